"""States between the blocks of a grid and attention inside them, given the generalised gates of the blocks."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from plstm_graph.ops.grid2d_wave import Wave, waves
from plstm_graph.ops.precision import without_autocast

# Numbers in the states of one slice; on a CPU, slices of this size stay in the cache of a core.
_SLICE = 2**19


class BlockGates(NamedTuple):
    """Generalised gates of ``G`` grids of ``I x J`` blocks of ``n`` nodes, entered by ``A`` edges per orientation.

    Attributes:
        source: What leaves, of what the nodes put in, ``[G, I * J, O * A, n]``.
        transition: What leaves, of what enters, ``[G, I * J, O, A, A]``.
        mark: What the nodes read of what enters, ``[G, I * J, n, O * A]``.
        gating: What the nodes read of each other, all orientations together, ``[G, I * J, n, n]``.
    """

    source: Tensor
    transition: Tensor
    mark: Tensor
    gating: Tensor


def block_outputs(
    query: Tensor, key: Tensor, value: Tensor, gates: BlockGates, blocks: tuple[int, int], sides: int, flips: list[bool]
) -> Tensor:
    """What nodes read of all others.

    Args:
        query: ``[G, I * J, n, K]``
        key: ``[G, I * J, n, K]``
        value: ``[G, I * J, n, V]``
        gates: The generalised gates.
        blocks: ``(I, J)``
        sides: How many of the ``A`` edges enter from the left, and leave to the right; the first ones.
        flips: Whether orientation ``o`` runs against the first axis (at ``2 o``) and the second axis (``2 o + 1``).

    Returns:
        ``[G, I * J, n, V]``
    """
    return _block_outputs(query, key, value, *gates, *blocks, sides, flips)


@torch.library.custom_op("plstm_graph::block_outputs", mutates_args=())
@without_autocast
def _block_outputs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    gating: Tensor,
    width: int,
    height: int,
    sides: int,
    flips: list[bool],
) -> Tensor:
    out = torch.empty_like(value)
    for part in _slices(key, value, transition):
        q, k, v, s, t, m, g = (
            tensor[part].flatten(0, 1) for tensor in (query, key, value, source, transition, mark, gating)
        )
        order = _order(width, height, flips, out[part].size(0), q.device)
        states = _states(s, t, _outer(k, v), order, sides)
        read = torch.bmm(m, states).unflatten(2, (k.size(2), v.size(2)))
        result = (q.unsqueeze(-1) * read).sum(dim=-2)
        result.baddbmm_(torch.bmm(q, k.mT).mul_(g), v)
        out[part] = result.view_as(out[part])
    return out


@torch.library.custom_op("plstm_graph::block_outputs_backward", mutates_args=())
@without_autocast
def _block_outputs_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    gating: Tensor,
    width: int,
    height: int,
    sides: int,
    flips: list[bool],
) -> list[Tensor]:
    """Gradients of the first seven arguments. States are computed anew, so that none needs to be kept."""
    inputs = (query, key, value, source, transition, mark, gating)
    grads = [torch.empty_like(tensor) for tensor in inputs]
    for part in _slices(key, value, transition):
        q, k, v, s, t, m, g, d = (tensor[part].flatten(0, 1) for tensor in (*inputs, grad))
        order = _order(width, height, flips, query[part].size(0), q.device)
        outer = _outer(k, v)
        states = _states(s, t, outer, order, sides)

        grad_read = _outer(q, d)
        read = torch.bmm(m, states).unflatten(2, (k.size(2), v.size(2)))
        grad_q = (read * d.unsqueeze(-2)).sum(dim=-1)
        grad_m = torch.bmm(grad_read, states.mT)
        grad_leaving = _adjoint(torch.bmm(m.mT, grad_read), t, order, sides)
        grad_t = torch.bmm(grad_leaving.view(*t.shape[:3], -1).flatten(0, 1), _per_orientation(states, t).mT)
        grad_s = torch.bmm(grad_leaving, outer.mT)
        grad_outer = torch.bmm(s.mT, grad_leaving).unflatten(2, (k.size(2), v.size(2)))
        grad_k = (grad_outer * v.unsqueeze(-2)).sum(dim=-1)
        grad_v = (grad_outer * k.unsqueeze(-1)).sum(dim=-2)

        score, grad_weight = torch.bmm(q, k.mT), torch.bmm(d, v.mT)
        grad_score = grad_weight * g
        grad_q.baddbmm_(grad_score, k)
        grad_k.baddbmm_(grad_score.mT, q)
        grad_v.baddbmm_((score * g).mT, d)
        results = (grad_q, grad_k, grad_v, grad_s, grad_t, grad_m, grad_weight.mul_(score))
        for target, result in zip(grads, results, strict=True):
            target[part] = result.view_as(target[part])
    return grads


def _states(source: Tensor, transition: Tensor, outer: Tensor, order: list[Wave], sides: int) -> Tensor:
    """States that enter blocks, ``[B, O * A, K * V]``."""
    blocks, orientations, entering, _ = transition.shape
    width = outer.size(2)
    leaving = torch.bmm(source, outer).view(blocks * orientations, entering, width)
    gates = transition.flatten(0, 1)
    states = leaving.new_zeros(blocks * orientations + 1, entering, width)
    for rows, right, down in order:
        out = leaving.index_select(0, rows).baddbmm_(gates.index_select(0, rows), states.index_select(0, rows))
        states[:, :sides].index_copy_(0, right, out[:, :sides])
        states[:, sides:].index_copy_(0, down, out[:, sides:])
    return states[:-1].view(blocks, orientations * entering, width)


def _adjoint(grad_states: Tensor, transition: Tensor, order: list[Wave], sides: int) -> Tensor:
    """Gradient of what leaves blocks, ``[B, O * A, K * V]``, from that of what nodes read of the states."""
    rows_of_all = grad_states.view(-1, transition.size(2), grad_states.size(2))
    grads = torch.cat([rows_of_all, rows_of_all.new_zeros(1, *rows_of_all.shape[1:])])
    leaving = torch.zeros_like(rows_of_all)
    gates = transition.flatten(0, 1)
    for rows, right, down in reversed(order):
        out = torch.cat([grads[:, :sides].index_select(0, right), grads[:, sides:].index_select(0, down)], dim=1)
        leaving.index_copy_(0, rows, out)
        grads.index_copy_(0, rows, grads.index_select(0, rows).baddbmm_(gates.index_select(0, rows).mT, out))
    return leaving.view_as(grad_states)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """``[B, n, K]`` and ``[B, n, V]`` to ``[B, n, K * V]``."""
    return (left.unsqueeze(-1) * right.unsqueeze(-2)).flatten(2)


def _per_orientation(states: Tensor, transition: Tensor) -> Tensor:
    return states.view(-1, transition.size(2), states.size(2))


def _order(width: int, height: int, flips: list[bool], items: int, device: torch.device) -> list[Wave]:
    return waves(width, height, list(zip(flips[::2], flips[1::2], strict=True)), items, device)


def _slices(key: Tensor, value: Tensor, transition: Tensor) -> list[slice]:
    """Grids that are advanced together: a few on a CPU, to stay in its cache, all of them elsewhere."""
    items = key.size(0)
    size = transition[0].numel() // max(transition.size(-1), 1) * key.size(3) * value.size(3)
    step = max(1, _SLICE // max(size, 1)) if key.device.type == "cpu" else max(items, 1)
    return [slice(begin, begin + step) for begin in range(0, items, step)]


@_block_outputs.register_fake
def _(query, key, value, *rest):
    return torch.empty_like(value)


@_block_outputs_backward.register_fake
def _(grad, query, key, value, source, transition, mark, gating, *rest):
    return [torch.empty_like(tensor) for tensor in (query, key, value, source, transition, mark, gating)]


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:7])
    ctx.structure = inputs[7:]


def _backward(ctx, grad):
    return (*_block_outputs_backward(grad, *ctx.saved_tensors, *ctx.structure), *((None,) * 4))


_block_outputs.register_autograd(_backward, setup_context=_setup_context)
