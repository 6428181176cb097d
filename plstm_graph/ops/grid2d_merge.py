"""Grids in logarithmic depth: groups of lines are merged until one is left; every matrix is as wide as a line.

What crosses from one line to the next are the edges along the second axis, one at each place. So a group of lines has
few generalised gates: what its nodes put on the edges that leave it (Source), what its nodes read of the edges that
enter it (Mark), and what passes through (Transition). Merging two groups multiplies these, and gives the gating matrix
between the groups, ``Mark @ Source``, for all orientations at once that cross the boundary in one direction. It is
used on the spot, as a masked attention, so no gating matrix of the whole grid is ever kept.

Orientations that run against the order of lines are kept transposed, with Source and Mark exchanged: the same merging
then gives the transpose of their gating matrix.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from plstm_graph.ops.precision import without_autocast

# Entries of gating matrices that are worked on at once on a CPU, so that they stay in its cache.
_SLICE = 2**19


class _Gates(NamedTuple):
    """Gates of groups of ``m`` nodes for one direction: Transition ``[..., W, W]``; Source, Mark ``[..., W, m]``."""

    transition: Tensor
    source: Tensor
    mark: Tensor


class _Group(NamedTuple):
    """``P`` groups each of ``Z`` grids: features ``[P, Z, m, C]``, and gates ``[P, Z, O, ...]`` of each direction."""

    features: tuple[Tensor, ...]
    gates: tuple[_Gates, ...]


class _Merge(NamedTuple):
    """Groups that were merged, the second behind the first, and whether they are halves of one tensor."""

    first: _Group
    second: _Group
    halves: bool


def merged_lines(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
    source: Tensor,
    mark: Tensor,
    backwards: list[bool],
) -> Tensor:
    """What nodes read of other lines.

    Line ``i`` of group ``p`` stands at ``[i, p]``; ``P`` is a power of two, and groups are in the order that has the
    even ones in the first half, the odd ones in the second, and so on within each half.

    Args:
        query: ``[n, P, Z, W, K]``
        key: ``[n, P, Z, W, K]``
        value: ``[n, P, Z, W, V]``
        transition: ``[D, n, P, Z, O, W, W]`` for ``D`` directions of ``O`` orientations each.
        source: From nodes, the last dimension, to what leaves; likewise.
        mark: From nodes, the last dimension, to what enters, transposed that is; likewise.
        backwards: Whether a direction runs against the order of lines. Such come transposed, Source as Mark.

    Returns:
        ``[n, P, Z, W, V]``
    """
    return _merged_lines(query, key, value, transition, source, mark, backwards)


@torch.library.custom_op("plstm_graph::merged_lines", mutates_args=())
@without_autocast
def _merged_lines(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
    source: Tensor,
    mark: Tensor,
    backwards: list[bool],
) -> Tensor:
    merges = _merge_all((query, key, value), (transition, source, mark))
    parts = [
        (torch.zeros_like(merge.first.features[2]), torch.zeros_like(merge.second.features[2])) for merge in merges
    ]
    for merge, outs in zip(merges, parts, strict=True):
        for d, against in enumerate(backwards):
            for piece in _slices(merge):
                left, right, weight = _weight(merge, d, against, piece)
                weight.mul_(torch.bmm(left, right.mT))
                _add_read(outs, merge, weight, against, piece)
    return _unmerged([(first,) for first, _ in parts], [(second,) for _, second in parts], merges, (value,))[0]


def _weight(merge: _Merge, d: int, against: bool, piece: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Features on both sides of the scores, and the gating matrix from the first group to the second."""
    gate = torch.bmm(_flat_mark(merge, d)[piece].mT, _flat_source(merge, d)[piece])
    x, y = (1, 0) if against else (0, 1)
    return _flat(merge.second.features[x])[piece], _flat(merge.first.features[y])[piece], gate


def _add_read(outs: tuple[Tensor, Tensor], merge: _Merge, weight: Tensor, against: bool, piece: slice) -> None:
    if against:
        _flat(outs[0])[piece].baddbmm_(weight.mT, _flat(merge.second.features[2])[piece])
    else:
        _flat(outs[1])[piece].baddbmm_(weight, _flat(merge.first.features[2])[piece])


def _merge_all(features: tuple[Tensor, ...], gates: tuple[Tensor, ...]) -> list[_Merge]:
    """All merges in order: the lines of every group one after the other, then groups in pairs."""
    lines = [
        _Group(
            tuple(tensor[i] for tensor in features),
            tuple(_Gates(*(gate[d, i] for gate in gates)) for d in range(gates[0].size(0))),
        )
        for i in range(features[0].size(0))
    ]
    merges, group = [], lines[0]
    for line in lines[1:]:
        merges.append(_Merge(group, line, False))
        group = _merged(merges[-1])
    while group.features[0].size(0) > 1:
        half = group.features[0].size(0) // 2
        first, second = (
            _Group(
                tuple(tensor[part] for tensor in group.features),
                tuple(_Gates(*(gate[part] for gate in gates)) for gates in group.gates),
            )
            for part in (slice(half), slice(half, None))
        )
        merges.append(_Merge(first, second, True))
        group = _merged(merges[-1], gates_too=half > 1)
    return merges


def _merged(merge: _Merge, gates_too: bool = True) -> _Group:
    first, second, _ = merge
    features = tuple(torch.cat(pair, dim=2) for pair in zip(first.features, second.features, strict=True))
    if not gates_too:
        return _Group(features, ())
    gates = tuple(
        _Gates(
            torch.matmul(b.transition, a.transition),
            torch.cat([torch.matmul(b.transition, a.source), b.source], dim=-1),
            torch.cat([a.mark, torch.matmul(a.transition.mT, b.mark)], dim=-1),
        )
        for a, b in zip(first.gates, second.gates, strict=True)
    )
    return _Group(features, gates)


def _unmerged(
    firsts: list[tuple[Tensor, ...]],
    seconds: list[tuple[Tensor, ...]],
    merges: list[_Merge],
    like: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Sum what the groups of all merges got, and put it in the place of their lines."""
    results = tuple(torch.zeros_like(tensor) for tensor in like)
    whole: tuple[Tensor, ...] | None = None
    line = like[0].size(0)
    for merge, first, second in zip(reversed(merges), reversed(firsts), reversed(seconds), strict=True):
        if whole is not None:
            size = first[0].size(2)
            for a, b, tensor in zip(first, second, whole, strict=True):
                a.add_(tensor[:, :, :size])
                b.add_(tensor[:, :, size:])
        if merge.halves:
            whole = tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
        else:
            line -= 1
            for result, tensor in zip(results, second, strict=True):
                result[line] = tensor
            whole = first
    if whole is not None:
        for result, tensor in zip(results, whole, strict=True):
            result[0] = tensor
    return results


@torch.library.custom_op("plstm_graph::merged_lines_backward", mutates_args=())
@without_autocast
def _merged_lines_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
    source: Tensor,
    mark: Tensor,
    backwards: list[bool],
) -> list[Tensor]:
    """Gradients of the six tensors; the matrices of groups are computed anew."""
    merges = _merge_all((query, key, value, grad), (transition, source, mark))
    firsts = [tuple(torch.zeros_like(tensor) for tensor in merge.first.features[:3]) for merge in merges]
    seconds = [tuple(torch.zeros_like(tensor) for tensor in merge.second.features[:3]) for merge in merges]
    gate_grads = [torch.zeros_like(tensor) for tensor in (transition, source, mark)]
    line = query.size(0)
    above: tuple[_Gates, ...] = ()
    for merge, first, second in zip(reversed(merges), reversed(firsts), reversed(seconds), strict=True):
        grads = [
            _merge_gradients(merge, d, against, first, second, above[d] if above else None)
            for d, against in enumerate(backwards)
        ]
        if merge.halves:
            above = tuple(_Gates(*(torch.cat(pair) for pair in zip(a, b, strict=True))) for a, b in grads)
        else:
            line -= 1
            above = tuple(a for a, _ in grads)
            for d, (_, own) in enumerate(grads):
                for target, tensor in zip(gate_grads, own, strict=True):
                    target[d, line] = tensor
    for d, own in enumerate(above):
        for target, tensor in zip(gate_grads, own, strict=True):
            target[d, 0] = tensor
    return [*_unmerged(firsts, seconds, merges, (query, key, value)), *gate_grads]


def _merge_gradients(
    merge: _Merge,
    d: int,
    against: bool,
    grad_first: tuple[Tensor, ...],
    grad_second: tuple[Tensor, ...],
    above: _Gates | None,
) -> tuple[_Gates, _Gates]:
    """Gradients of the gates of two groups, for one direction; those of features are added to what there is."""
    a, b = merge.first.gates[d], merge.second.gates[d]
    grad_source, grad_mark = torch.empty_like(a.source), torch.empty_like(b.mark)
    x, y = (1, 0) if against else (0, 1)
    for piece in _slices(merge):
        left, right, gate = _weight(merge, d, against, piece)
        value, grad = (merge.second, merge.first) if against else (merge.first, merge.second)
        v, g = _flat(value.features[2])[piece], _flat(grad.features[3])[piece]
        score = torch.bmm(left, right.mT)
        grad_weight = torch.bmm(v, g.mT) if against else torch.bmm(g, v.mT)
        grad_score = grad_weight * gate
        _flat(grad_second[x])[piece].baddbmm_(grad_score, right)
        _flat(grad_first[y])[piece].baddbmm_(grad_score.mT, left)
        weight, grad_gate = gate.mul_(score), grad_weight.mul_(score)
        if against:
            _flat(grad_second[2])[piece].baddbmm_(weight, g)
        else:
            _flat(grad_first[2])[piece].baddbmm_(weight.mT, g)
        torch.bmm(_flat_source(merge, d)[piece], grad_gate.mT, out=_flat(grad_mark.flatten(2, 3))[piece])
        torch.bmm(_flat_mark(merge, d)[piece], grad_gate, out=_flat(grad_source.flatten(2, 3))[piece])
    if above is None:
        none = torch.zeros_like(a.transition)
        return (
            _Gates(none, grad_source, torch.zeros_like(a.mark)),
            _Gates(none, torch.zeros_like(b.source), grad_mark),
        )
    size = a.source.size(-1)
    carried_source, own_source = above.source[..., :size].contiguous(), above.source[..., size:]
    own_mark, carried_mark = above.mark[..., :size], above.mark[..., size:].contiguous()
    grad_source += torch.matmul(b.transition.mT, carried_source)
    grad_mark += torch.matmul(a.transition, carried_mark)
    grad_b = torch.matmul(carried_source, a.source.mT) + torch.matmul(above.transition, a.transition.mT)
    grad_a = torch.matmul(b.mark, carried_mark.mT) + torch.matmul(b.transition.mT, above.transition)
    return _Gates(grad_a, grad_source, own_mark), _Gates(grad_b, own_source, grad_mark)


def _flat(tensor: Tensor) -> Tensor:
    """``[P, Z, m, C]`` as ``[P * Z, m, C]``."""
    return tensor.flatten(0, 1)


def _flat_source(merge: _Merge, d: int) -> Tensor:
    """``[P * Z, O * W, m]``"""
    return merge.first.gates[d].source.flatten(2, 3).flatten(0, 1)


def _flat_mark(merge: _Merge, d: int) -> Tensor:
    """``[P * Z, O * W, m]``"""
    return merge.second.gates[d].mark.flatten(2, 3).flatten(0, 1)


def _slices(merge: _Merge) -> list[slice]:
    first, second = merge.first.features[0], merge.second.features[0]
    items, size = first.size(0) * first.size(1), first.size(2) * second.size(2)
    step = max(1, _SLICE // max(size, 1)) if first.device.type == "cpu" else max(items, 1)
    return [slice(begin, begin + step) for begin in range(0, items, step)]


@_merged_lines.register_fake
def _(query, key, value, *rest):
    return torch.empty_like(value)


@_merged_lines_backward.register_fake
def _(grad, query, key, value, transition, source, mark, backwards):
    return [torch.empty_like(tensor) for tensor in (query, key, value, transition, source, mark)]


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:6])
    ctx.backwards = inputs[6]


def _backward(ctx, grad):
    return (*_merged_lines_backward(grad.contiguous(), *ctx.saved_tensors, ctx.backwards), None)


_merged_lines.register_autograd(_backward, setup_context=_setup_context)
