r"""Chains whose transitions are matrices: the paper's extension to state tracking.

The cell state of an edge gets one more dimension, :math:`C \in R^{J \times K \times V}`, on which transitions act from
the left. Matrices need not commute, so the order of inputs can matter as it cannot with scalar gates.
"""

from typing import Literal, overload

import torch
from torch import Tensor

from plstm_graph.ops.regular_naive import direct_only
from plstm_graph.ops.shapes import check_features, check_same, widened


@overload
def plstm_chain_matrix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor | None = None,
    return_final_state: Literal[False] = False,
) -> Tensor: ...


@overload
def plstm_chain_matrix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor | None = None,
    *,
    return_final_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def plstm_chain_matrix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor | None = None,
    return_final_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r""":func:`~plstm_graph.ops.plstm_chain` with a matrix for each transition, in logarithmic depth.

    .. math::
        y_l = \sum_j M_{lj}\, (q_l^{\top} C_{l-1,j}) + D_l\, (q_l \cdot k_l)\, v_l

        C_{lj} = \sum_i T_{lji}\, C_{l-1,i} + S_{lj}\, k_l v_l^{\top}

    Args:
        query: ``[..., L, H, K]``
        key: ``[..., L, H, K]``
        value: ``[..., L, H, V]``
        source: ``[..., L, H, J]``
        transition: To the first index from the second, ``[..., L, H, J, J]``.
        mark: ``[..., L, H, J]``
        direct: ``[..., L, H]``
        initial_state: The state that enters the first node, ``[..., H, J, K, V]``. (default: zeros)
        return_final_state: Whether to return the state that leaves the last node as well.

    Returns:
        ``[..., L, H, V]``, and with ``return_final_state`` the final state ``[..., H, J, K, V]``, at least float32.

    Raises:
        ValueError: If a shape does not fit, naming the argument.
    """
    shape = check_features(query, key, value, "L", 1)
    size = source.size(-1)
    check_same("[..., L, H, J]", (*shape, size), {"source": source, "mark": mark})
    check_same("[..., L, H, J, J]", (*shape, size, size), {"transition": transition})
    check_same("[..., L, H]", shape, {"direct": direct})
    state_shape = (*shape[:-2], shape[-1], size, query.size(-1), value.size(-1))
    if initial_state is None:
        initial_state = value.new_zeros(state_shape)
    else:
        check_same("[..., H, J, K, V]", state_shape, {"initial_state": initial_state})
    q, k, v, s, t, m, d, start = widened(query, key, value, source, transition, mark, direct, initial_state)
    with torch.autocast(q.device.type, enabled=False):
        put = _put(s, k, v)
        states = _scan(t.movedim(-4, 0), put.flatten(-2).movedim(-4, 0), start.flatten(-2))
        before = states[:-1].movedim(0, -4).unflatten(-1, put.shape[-2:])
        out = _read(m, q, before) + direct_only(q, k, v, d)
        state = states[-1].view(state_shape)
    return (out.to(value.dtype), state) if return_final_state else out.to(value.dtype)


def _scan(transition: Tensor, put: Tensor, state: Tensor) -> Tensor:
    """States before the first step and after every step, ``[L + 1, ..., J, D]``; steps are combined in pairs.

    Args:
        transition: ``[L, ..., J, J]``
        put: ``[L, ..., J, D]``
        state: ``[..., J, D]``
    """
    length = transition.size(0)
    if length == 0:
        return state.unsqueeze(0)
    if length % 2:
        # The last step of an odd number is done at the end.
        states = _scan(transition[:-1], put[:-1], state)
        return torch.cat([states, (transition[-1] @ states[-1] + put[-1]).unsqueeze(0)])
    early, late = transition[::2], transition[1::2]
    even = _scan(late @ early, late @ put[::2] + put[1::2], state)
    odd = early @ even[:-1] + put[::2]
    return torch.cat([torch.stack([even[:-1], odd], dim=1).flatten(0, 1), even[-1:]])


def _put(source: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``[..., J, K, V]``"""
    outer = key.unsqueeze(-1) * value.unsqueeze(-2)
    return source[..., None, None] * outer.unsqueeze(-3)


def _read(mark: Tensor, query: Tensor, states: Tensor) -> Tensor:
    """``[..., V]``"""
    return (query.unsqueeze(-1) * (mark[..., None, None] * states).sum(dim=-3)).sum(dim=-2)
