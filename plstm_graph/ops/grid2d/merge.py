"""Groups of lines of a grid, merged until one is left: every matrix is as wide as a line. No autograd here.

What crosses from one line to the next are the edges along the second axis, one at each place. So a group of lines has
few generalised gates: what its nodes put on the edges that leave it (Source), what its nodes read of the edges that
enter it (Mark), and what passes through (Transition). Merging two groups multiplies these, and gives the gating matrix
between the groups, ``Mark @ Source``, for all orientations at once that cross the boundary in one direction. It is
used on the spot, as a masked attention, so no gating matrix of the whole grid is ever kept.

Orientations that run against the order of lines are kept transposed, with Source and Mark exchanged: the same merging
then gives the transpose of their gating matrix.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Gates(NamedTuple):
    """Gates of groups of ``m`` nodes for the ``O`` orientations of one direction.

    Attributes:
        transition: ``[P, Z, O, W, W]``
        source: From nodes to what leaves, ``[P, Z, O, W, m]``.
        mark: From what enters to nodes, transposed, ``[P, Z, O, W, m]``.
    """

    transition: Tensor
    source: Tensor
    mark: Tensor


class Group(NamedTuple):
    """``P`` groups of lines in each of ``Z`` grids.

    Attributes:
        features: Query, key and value, in a backward pass the gradient of the output as well, ``[P, Z, m, C]``.
        gates: For each direction.
    """

    features: tuple[Tensor, ...]
    gates: tuple[Gates, ...]


class Merge(NamedTuple):
    """Groups that are merged, the second behind the first; ``halves`` of one tensor, or a group and one more line."""

    first: Group
    second: Group
    halves: bool


Results = list[tuple[Tensor, ...]]


def merge_all(lines: Sequence[Group]) -> list[Merge]:
    """All merges in order: the lines of every group one after the other, then groups in pairs.

    Args:
        lines: The first line of all groups, the second, and so on. The number of groups is a power of two; they are
            in the order that has the even ones in the first half, the odd ones in the second, and so on within each.
    """
    merges, group = [], lines[0]
    for index, line in enumerate(lines[1:], start=2):
        merges.append(Merge(group, line, halves=False))
        group = _merged(merges[-1], last=index == len(lines) and line.features[0].size(0) == 1)
    while group.features[0].size(0) > 1:
        half = group.features[0].size(0) // 2
        merges.append(Merge(_part(group, slice(half)), _part(group, slice(half, None)), halves=True))
        group = _merged(merges[-1], last=half == 1)
    return merges


def read_across(merges: Sequence[Merge], backwards: Sequence[bool], out: Sequence[Tensor]) -> None:
    """Add what nodes read of other lines.

    Args:
        merges: All merges.
        backwards: Whether each direction runs against the order of lines.
        out: Outputs of each line, ``[P, Z, W, V]``, added to in place.
    """
    firsts: Results = []
    seconds: Results = []
    for merge in merges:
        outs = [torch.zeros_like(group.features[2]) for group in (merge.first, merge.second)]
        for d, against in enumerate(backwards):
            left, right, gate = _scored(merge, d, against)
            weight = gate.mul_(torch.bmm(left, right.mT))
            if against:
                _flat(outs[0]).baddbmm_(weight.mT, _flat(merge.second.features[2]))
            else:
                _flat(outs[1]).baddbmm_(weight, _flat(merge.first.features[2]))
        firsts.append((outs[0],))
        seconds.append((outs[1],))
    _add_to_lines(merges, firsts, seconds, [(line,) for line in out])


def gradients_across(
    merges: Sequence[Merge], backwards: Sequence[bool], grads: Sequence[tuple[Tensor, ...]]
) -> list[tuple[Gates, ...]]:
    """Gradients of :func:`read_across`.

    Args:
        merges: All merges, with the gradient of the output as the fourth feature.
        backwards: Whether each direction runs against the order of lines.
        grads: Gradients of query, key and value of each line, ``[P, Z, W, C]``, added to in place.

    Returns:
        Gradients of the gates of each line, for each direction.
    """
    firsts = [tuple(torch.zeros_like(tensor) for tensor in merge.first.features[:3]) for merge in merges]
    seconds = [tuple(torch.zeros_like(tensor) for tensor in merge.second.features[:3]) for merge in merges]
    of_lines: list[tuple[Gates, ...]] = []
    above: tuple[Gates, ...] = ()
    for merge, first, second in zip(reversed(merges), reversed(firsts), reversed(seconds), strict=True):
        pairs = []
        for d, against in enumerate(backwards):
            grad_source, grad_mark = _attention_gradients(merge, d, against, first, second)
            pairs.append(_gate_gradients(merge, d, grad_source, grad_mark, above[d] if above else None))
        if merge.halves:
            above = tuple(Gates(*(torch.cat(pair) for pair in zip(*both, strict=True))) for both in pairs)
        else:
            above = tuple(a for a, _ in pairs)
            of_lines.append(tuple(b for _, b in pairs))
    _add_to_lines(merges, firsts, seconds, grads)
    return [above, *reversed(of_lines)]


def _merged(merge: Merge, last: bool) -> Group:
    first, second, _ = merge
    features = tuple(torch.cat(pair, dim=2) for pair in zip(first.features, second.features, strict=True))
    if last:
        return Group(features, ())
    gates = tuple(
        Gates(
            torch.matmul(b.transition, a.transition),
            torch.cat([torch.matmul(b.transition, a.source), b.source], dim=-1),
            torch.cat([a.mark, torch.matmul(a.transition.mT, b.mark)], dim=-1),
        )
        for a, b in zip(first.gates, second.gates, strict=True)
    )
    return Group(features, gates)


def _part(group: Group, part: slice) -> Group:
    return Group(
        tuple(tensor[part] for tensor in group.features),
        tuple(Gates(*(gate[part] for gate in gates)) for gates in group.gates),
    )


def _scored(merge: Merge, d: int, against: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What is scored, of the second group and of the first, and the gating matrix between them."""
    first, second = merge.first, merge.second
    source, mark = first.gates[d].source.flatten(2, 3), second.gates[d].mark.flatten(2, 3)
    left, right = (1, 0) if against else (0, 1)
    return _flat(second.features[left]), _flat(first.features[right]), torch.bmm(_flat(mark).mT, _flat(source))


def _attention_gradients(
    merge: Merge, d: int, against: bool, grad_first: tuple[Tensor, ...], grad_second: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Gradients of the first group's Source and the second's Mark; those of features are added to what there is."""
    left, right, gate = _scored(merge, d, against)
    origin, reader = (merge.second, merge.first) if against else (merge.first, merge.second)
    value, grad = _flat(origin.features[2]), _flat(reader.features[3])
    score = torch.bmm(left, right.mT)
    grad_weight = torch.bmm(value, grad.mT) if against else torch.bmm(grad, value.mT)
    grad_score = grad_weight * gate
    _flat(grad_second[1 if against else 0]).baddbmm_(grad_score, right)
    _flat(grad_first[0 if against else 1]).baddbmm_(grad_score.mT, left)
    weight, grad_gate = gate.mul_(score), grad_weight.mul_(score)
    if against:
        _flat(grad_second[2]).baddbmm_(weight, grad)
    else:
        _flat(grad_first[2]).baddbmm_(weight.mT, grad)
    source, mark = merge.first.gates[d].source, merge.second.gates[d].mark
    grad_source = torch.bmm(_flat(mark.flatten(2, 3)), grad_gate).view_as(source)
    return grad_source, torch.bmm(_flat(source.flatten(2, 3)), grad_gate.mT).view_as(mark)


def _gate_gradients(
    merge: Merge, d: int, grad_source: Tensor, grad_mark: Tensor, above: Gates | None
) -> tuple[Gates, Gates]:
    """Gradients of the gates of both groups, given those of the gates of the merged group."""
    a, b = merge.first.gates[d], merge.second.gates[d]
    if above is None:
        none = torch.zeros_like(a.transition)
        return Gates(none, grad_source, torch.zeros_like(a.mark)), Gates(none, torch.zeros_like(b.source), grad_mark)
    size = a.source.size(-1)
    carried_source, own_source = above.source[..., :size], above.source[..., size:]
    own_mark, carried_mark = above.mark[..., :size], above.mark[..., size:]
    grad_source += torch.matmul(b.transition.mT, carried_source)
    grad_mark += torch.matmul(a.transition, carried_mark)
    grad_a = torch.matmul(b.mark, carried_mark.mT) + torch.matmul(b.transition.mT, above.transition)
    grad_b = torch.matmul(carried_source, a.source.mT) + torch.matmul(above.transition, a.transition.mT)
    return Gates(grad_a, grad_source, own_mark), Gates(grad_b, own_source, grad_mark)


def _add_to_lines(
    merges: Sequence[Merge], firsts: Results, seconds: Results, lines: Sequence[tuple[Tensor, ...]]
) -> None:
    """Hand what groups got in all merges down to their lines."""
    whole: tuple[Tensor, ...] = ()
    line = len(lines)
    for merge, first, second in zip(reversed(merges), reversed(firsts), reversed(seconds), strict=True):
        if whole:
            size = first[0].size(2)
            for a, b, tensor in zip(first, second, whole, strict=True):
                a += tensor[:, :, :size]
                b += tensor[:, :, size:]
        if merge.halves:
            whole = tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
        else:
            line -= 1
            whole = first
            for target, tensor in zip(lines[line], second, strict=True):
                target += tensor
    for target, tensor in zip(lines[0], whole, strict=bool(whole)):
        target += tensor


def _flat(tensor: Tensor) -> Tensor:
    """``[P, Z, m, C]`` as ``[P * Z, m, C]``."""
    return tensor.flatten(0, 1)
