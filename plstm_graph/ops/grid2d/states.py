"""States between the blocks of a grid and attention inside them, given their generalised gates. No autograd here."""

from collections.abc import Sequence

import torch
from torch import Tensor

from plstm_graph.ops.grid2d.gates import BlockGates
from plstm_graph.ops.grid2d.wave import Wave


def block_outputs(
    query: Tensor, key: Tensor, value: Tensor, gates: BlockGates, order: Sequence[Wave], sides: int
) -> Tensor:
    """What nodes read of all others.

    Args:
        query: ``[B, n, K]`` for ``B`` blocks.
        key: ``[B, n, K]``
        value: ``[B, n, V]``
        gates: The generalised gates.
        order: In which order blocks hand states on.
        sides: How many of the edges enter from the left, and leave to the right; the first ones.

    Returns:
        ``[B, n, V]``
    """
    states = _states(gates, _outer(key, value), order, sides)
    read = torch.bmm(gates.mark, states).unflatten(2, (key.size(2), value.size(2)))
    out = (query.unsqueeze(-1) * read).sum(dim=-2)
    return out.baddbmm_(torch.bmm(query, key.mT).mul_(gates.gating), value)


def block_gradients(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: BlockGates,
    order: Sequence[Wave],
    sides: int,
) -> tuple[Tensor, Tensor, Tensor, BlockGates]:
    """Gradients of query, key, value and the gates. States are computed anew, so that none needs to be kept.

    Args:
        grad: Gradient of the output, ``[B, n, V]``.
        query: As for :func:`block_outputs`, like all others.
        key: ``[B, n, K]``
        value: ``[B, n, V]``
        gates: The generalised gates.
        order: In which order blocks hand states on.
        sides: How many edges enter from the left.
    """
    source, transition, mark, gating = gates
    widths = (key.size(2), value.size(2))
    outer, grad_read = _outer(key, value), _outer(query, grad)
    states = _states(gates, outer, order, sides)
    grad_query = (torch.bmm(mark, states).unflatten(2, widths) * grad.unsqueeze(-2)).sum(dim=-1)
    grad_mark = torch.bmm(grad_read, states.mT)
    leaving = _leaving_gradient(mark, grad_read, transition, order, sides)
    grad_transition = torch.bmm(leaving, states.view_as(leaving).mT)
    leaving = leaving.view_as(states)
    grad_source = torch.bmm(leaving, outer.mT)
    grad_outer = torch.bmm(source.mT, leaving).unflatten(2, widths)
    grad_key = (grad_outer * value.unsqueeze(-2)).sum(dim=-1)
    grad_value = (grad_outer.mul_(key.unsqueeze(-1))).sum(dim=-2)

    score, grad_weight = torch.bmm(query, key.mT), torch.bmm(grad, value.mT)
    grad_score = grad_weight * gating
    grad_query.baddbmm_(grad_score, key)
    grad_key.baddbmm_(grad_score.mT, query)
    grad_value.baddbmm_((score * gating).mT, grad)
    return (
        grad_query,
        grad_key,
        grad_value,
        BlockGates(grad_source, grad_transition, grad_mark, grad_weight.mul_(score)),
    )


def _states(gates: BlockGates, outer: Tensor, order: Sequence[Wave], sides: int) -> Tensor:
    """States that enter blocks, ``[B, O * A, K * V]``."""
    rows, entering, _ = gates.transition.shape
    leaving = torch.bmm(gates.source, outer).view(rows, entering, -1)
    states = leaving.new_zeros(rows + 1, *leaving.shape[1:])
    for at, right, down in order:
        out = leaving.index_select(0, at)
        out.baddbmm_(gates.transition.index_select(0, at), states.index_select(0, at))
        states[:, :sides].index_copy_(0, right, out[:, :sides])
        states[:, sides:].index_copy_(0, down, out[:, sides:])
    return states[:-1].view(outer.size(0), -1, outer.size(2))


def _leaving_gradient(mark: Tensor, grad_read: Tensor, transition: Tensor, order: Sequence[Wave], sides: int) -> Tensor:
    """Gradient of what leaves blocks, ``[B * O, A, K * V]``, from that of what nodes read, ``[B, n, K * V]``."""
    rows, entering, _ = transition.shape
    # One row more, of zeros, for what leaves the grid.
    grads = grad_read.new_empty(rows + 1, entering, grad_read.size(2))
    grads[-1] = 0
    torch.bmm(mark.mT, grad_read, out=grads[:-1].view(mark.size(0), mark.size(2), -1))
    leaving = torch.empty_like(grads[:-1])
    for at, right, down in reversed(order):
        out = torch.cat([grads[:, :sides].index_select(0, right), grads[:, sides:].index_select(0, down)], dim=1)
        leaving.index_copy_(0, at, out)
        grads.index_add_(0, at, torch.bmm(transition.index_select(0, at).mT, out))
    return leaving


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """``[B, n, K]`` and ``[B, n, V]`` to ``[B, n, K * V]``."""
    return (left.unsqueeze(-1) * right.unsqueeze(-2)).flatten(2)
