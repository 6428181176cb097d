"""The operator on chains: sequences of any length, in one pass or streamed in pieces."""

from typing import Literal, overload

import torch
from torch import Tensor

from plstm_graph.ops.chain.chunkwise import chain_chunkwise, chain_scan
from plstm_graph.ops.chain.native import chain_native, has_native_chains
from plstm_graph.ops.regular_naive import chain_naive
from plstm_graph.ops.shapes import check_features, check_form, check_same, widened

ChainForm = Literal["auto", "naive", "recurrent", "parallel", "chunkwise", "scan", "native"]


@overload
def plstm_chain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    form: ChainForm = "auto",
    initial_state: Tensor | None = None,
    return_final_state: Literal[False] = False,
) -> Tensor: ...


@overload
def plstm_chain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    form: ChainForm = "auto",
    initial_state: Tensor | None = None,
    *,
    return_final_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def plstm_chain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    form: ChainForm = "auto",
    initial_state: Tensor | None = None,
    return_final_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""The pLSTM operator on a chain (`arXiv 2506.11997 <https://arxiv.org/abs/2506.11997>`_, section 1D).

    All gates of a step belong to its node :math:`l`, between the state that enters it, :math:`C_{l-1}`, and the state
    that leaves it, :math:`C_l`:

    .. math::
        y_l = M_l\, (q_l^{\top} C_{l-1}) + D_l\, (q_l \cdot k_l)\, v_l

        C_l = T_l\, C_{l-1} + S_l\, k_l v_l^{\top}

    So ``transition[l]`` leads from the edge into node ``l`` to the edge out of it, ``transition[0]`` acts on the
    initial state alone, and ``source[L-1]`` is seen in the final state alone. Gates may have either sign and may be
    exactly 0 or 1. States and sums are at least float32; outputs have the dtype of ``value``.

    Args:
        query: ``[..., L, H, K]``
        key: ``[..., L, H, K]``
        value: ``[..., L, H, V]``
        source: Source gates :math:`S`, ``[..., L, H]``.
        transition: Transition gates :math:`T`, ``[..., L, H]``.
        mark: Mark gates :math:`M`, ``[..., L, H]``.
        direct: Direct gates :math:`D`, ``[..., L, H]``.
        form: Which exact evaluation to use: ``"naive"`` and ``"recurrent"`` (step by step), ``"parallel"`` (one
            masked attention, quadratic in ``L``), ``"chunkwise"`` (parallel inside chunks, states between them),
            ``"scan"`` (states by an associative scan, in logarithmic depth), ``"native"`` (step by step in C, on a CPU
            where there is a C compiler; where a state is given or asked for, the chunkwise form stands in), or
            ``"auto"`` for the cheapest.
        initial_state: The state that enters the first node, ``[..., H, K, V]``. (default: zeros)
        return_final_state: Whether to return the state that leaves the last node as well; passing it as the
            ``initial_state`` of the next piece of a sequence gives what the whole sequence would give.

    Returns:
        ``[..., L, H, V]``, and with ``return_final_state`` the final state ``[..., H, K, V]``, at least float32.

    Raises:
        ValueError: If a shape does not fit, naming the argument, or if there is no such form.
    """
    shape = check_features(query, key, value, "L", 1)
    check_same("[..., L, H]", shape, {"source": source, "transition": transition, "mark": mark, "direct": direct})
    state_shape = (*shape[:-2], shape[-1], query.size(-1), value.size(-1))
    check_form(form, ChainForm)
    stateless = initial_state is None and not return_final_state
    if initial_state is None:
        initial_state = value.new_zeros(state_shape)
    else:
        check_same("[..., H, K, V]", state_shape, {"initial_state": initial_state})
    q, k, v, s, t, m, d, start = widened(query, key, value, source, transition, mark, direct, initial_state)
    if stateless and value.numel() and (form == "native" or (form == "auto" and has_native_chains(q))):
        own = (tensor.reshape(-1, *tensor.shape[len(shape) - 2 :]) for tensor in (q, k, v, s, t, m, d))
        return chain_native(*own).reshape(value.shape).to(value.dtype)
    with torch.autocast(q.device.type, enabled=False):
        if form in ("naive", "recurrent") or value.numel() == 0:
            out, state = chain_naive(q, k, v, s, t, m, d, start)
        else:
            q, k, v = (tensor.transpose(-3, -2).flatten(0, -3) for tensor in (q, k, v))
            s, t, m, d = (gate.transpose(-2, -1).flatten(0, -2) for gate in (s, t, m, d))
            start = start.flatten(0, -3)
            if form == "scan":
                out, state = chain_scan(q, k, v, s, t, m, d, start)
            else:
                size = query.size(-3) if form == "parallel" else _chunk_size(q.device)
                out, state = chain_chunkwise(q, k, v, s, t, m, d, start, size)
            out = out.view(*shape[:-2], shape[-1], shape[-2], value.size(-1)).transpose(-3, -2)
            state = state.view(state_shape)
    return (out.to(value.dtype), state) if return_final_state else out.to(value.dtype)


def _chunk_size(device: torch.device) -> int:
    """Places in a chunk: small chunks save work, which counts on a CPU; large ones keep a GPU busy."""
    return 16 if device.type == "cpu" else 64
