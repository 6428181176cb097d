"""M-mode on chains: sequences of any length, in one pass or streamed in pieces."""

from typing import Literal, overload

import torch
from torch import Tensor

from plstm_graph.ops.chain.max_plus_states import max_plus_chain_states
from plstm_graph.ops.max_plus_regular_naive import max_plus_chain_naive
from plstm_graph.ops.max_plus_terms import check_temperature, largest_read
from plstm_graph.ops.shapes import check_form, check_real, check_same, widened

MaxPlusChainForm = Literal["auto", "naive", "recurrent", "scan"]

# Places up to which steps are few, and numbers of one place from which a CPU is busy with the arithmetic of a step.
_WORTH_SCAN = 32
_WORTH_STEPS = 2048


@overload
def plstm_max_plus_chain(
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    temperature: float = 0.0,
    form: MaxPlusChainForm = "auto",
    initial_state: Tensor | None = None,
    return_final_state: Literal[False] = False,
) -> Tensor: ...


@overload
def plstm_max_plus_chain(
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    temperature: float = 0.0,
    form: MaxPlusChainForm = "auto",
    initial_state: Tensor | None = None,
    *,
    return_final_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def plstm_max_plus_chain(
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    temperature: float = 0.0,
    form: MaxPlusChainForm = "auto",
    initial_state: Tensor | None = None,
    return_final_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""The largest sum along any path of a chain: :func:`~plstm_graph.ops.plstm_max_plus` on sequences.

    Operands stand at the nodes as gates do in :func:`~plstm_graph.ops.plstm_chain`, between the state that enters,
    :math:`m_{l-1}`, and the state that leaves, :math:`m_l`:

    .. math::
        y_l = \max(d_l,\; m_{l-1} + r_l)

        m_l = \max(s_l,\; m_{l-1} + t_l)

    Minus infinity is legal everywhere: nothing enters there. Gradients go to what attains a maximum, as in
    ``plstm_max_plus``: of equal terms to ``direct`` or ``source`` first, and nowhere from an output of minus infinity.
    Not a number counts as larger than every number. Plus infinity is not legal: forms add in different orders, so that
    beside minus infinity it may become no number in one of them and stay infinite in another.

    Args:
        source: :math:`s`, ``[..., L, C]``.
        transition: :math:`t`, ``[..., L, C]``.
        mark: :math:`r`, ``[..., L, C]``.
        direct: :math:`d`, ``[..., L, C]``.
        temperature: Of the soft maximum, in the unit of the operands; 0 for the maximum itself.
        form: ``"naive"`` and ``"recurrent"`` (step by step; for reference, and with a gradient of its own), ``"scan"``
            (all steps by an associative scan: work is linear, depth logarithmic in ``L``), or ``"auto"`` for the
            cheaper of the latter two.
        initial_state: The state that enters the first node, ``[..., C]``. (default: minus infinity)
        return_final_state: Whether to return the state that leaves the last node as well; passing it as the
            ``initial_state`` of the next piece of a sequence gives what the whole sequence would give.

    Returns:
        ``[..., L, C]`` in the dtype of ``direct``, and with ``return_final_state`` the final state ``[..., C]``, at
        least float32. Computed in float32 at least.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: If a shape does not fit, naming the argument, if the temperature is negative, not finite or
            too small a number to divide by, or if there is no such form.
    """
    check_real("direct", direct)
    if direct.dim() < 2:
        raise ValueError(f"direct must be [..., L, C], got {list(direct.shape)}")
    shape = tuple(direct.shape)
    check_same("[..., L, C]", shape, {"source": source, "transition": transition, "mark": mark})
    if initial_state is None:
        initial_state = direct.new_full((*shape[:-2], shape[-1]), -torch.inf)
    else:
        check_same("[..., C]", (*shape[:-2], shape[-1]), {"initial_state": initial_state})
    check_form(form, MaxPlusChainForm)
    s, t, r, d, start = widened(source, transition, mark, direct, initial_state)
    check_temperature(temperature, d.dtype)
    with torch.autocast(direct.device.type, enabled=False):
        if form == "naive" or direct.numel() == 0:
            out, state = max_plus_chain_naive(s, t, r, d, start, temperature)
        else:
            out, state = _by_states(s, t, r, d, start, temperature, scan=_scans(form, d))
    return (out.to(direct.dtype), state) if return_final_state else out.to(direct.dtype)


def _by_states(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, start: Tensor, temperature: float, scan: bool
) -> tuple[Tensor, Tensor]:
    put, gate = (operand.movedim(-2, 0).flatten(1) for operand in (source, transition))
    states = max_plus_chain_states(put, gate, start.flatten(), temperature, scan)
    states = states.unflatten(1, start.shape).movedim(0, -2)
    # One edge into each node, in one orientation; all chains are one batch.
    arriving = (states[..., :-1, :] + mark).reshape(1, -1, 1, *direct.shape[-2:])
    out = largest_read(arriving, direct.reshape(-1, *direct.shape[-2:]), temperature).reshape(direct.shape)
    return out, states[..., -1, :].clone()


def _scans(form: MaxPlusChainForm, direct: Tensor) -> bool:
    """Whether to scan: of a few small operations a scan starts fewer, of large ones it has more to do."""
    if form != "auto":
        return form == "scan"
    length = direct.size(-2)
    wide = direct.device.type == "cpu" and direct.numel() >= _WORTH_STEPS * length
    return length > _WORTH_SCAN and not wide
