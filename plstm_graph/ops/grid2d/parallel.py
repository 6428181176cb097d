"""The parallel form of grids: lines in closed form, then groups of lines merged in logarithmic depth.

Grids are evaluated a few at a time, from their gates to their outputs, and once more in the backward pass, so that all
matrices in between stay in the cache and none is kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.grid2d.lines import line_matrices, line_matrices_gradient
from plstm_graph.ops.grid2d.merge import Gates, Group, gradients_across, merge_all, read_across
from plstm_graph.ops.grid2d.twin import grid2d_twin

# Positions of the gates, see GATES of grid2d, when the two axes exchange their roles.
_SWAPPED = (1, 0, 3, 2, 5, 4, 7, 6)

# Most lines that are merged one after the other before groups are merged in pairs.
_MOST_IN_GROUP = 12

# Numbers in the matrices of lines of the grids that are evaluated together on a CPU.
_SLICE = 2**18


class _Lines(NamedTuple):
    """A few grids by their lines.

    Attributes:
        groups: Features and gates of the lines.
        gating: What nodes read of their own line, ``[n, P, Z, W, W]``.
    """

    groups: list[Group]
    gating: Tensor


def grid2d_parallel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Sequence[tuple[bool, bool]],
) -> Tensor:
    """Outputs of a grid in several orientations.

    Args:
        query: ``[B, X, Y, H, K]``
        key: ``[B, X, Y, H, K]``
        value: ``[B, X, Y, H, V]``
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, each ``[B, X, Y, O, H]``.
        direct: ``[B, X, Y, H]``
        flips: Whether each orientation runs against the first and the second axis.

    Returns:
        ``[B, X, Y, H, V]``
    """
    batch, width, height, heads = direct.shape
    if width > height:
        # Lines are along the shorter axis: the work grows with their length.
        swapped = [gates[index].transpose(1, 2) for index in _SWAPPED]
        q, k, v, d = (tensor.transpose(1, 2) for tensor in (query, key, value, direct))
        return grid2d_parallel(q, k, v, swapped, d, [(second, first) for first, second in flips]).transpose(1, 2)
    lines, groups = _plan(height)
    padding = lines * groups - height
    q, k, v = (_by_line(tensor, lines, groups, padding) for tensor in (query, key, value))
    d = _by_line(direct.unsqueeze(-1), lines, groups, padding).squeeze(-1)
    # Orientations along the order of lines come first.
    chosen = sorted(range(len(flips)), key=lambda o: flips[o][1])
    own = torch.stack([gate[:, :, :, chosen] for gate in gates], dim=-1).flatten(3, 4)
    own = _by_line(own, lines, groups, padding).unflatten(2, (batch, len(flips), heads))
    own = own.permute(6, 3, 0, 1, 2, 4, 5).flatten(4, 5)
    out = _LINES(q, k, v, own, d, options=[int(flips[o][axis]) for axis in (0, 1) for o in chosen])
    return _by_node(out, batch, height)


def _plan(height: int) -> tuple[int, int]:
    """Lines in a group, and number of groups, a power of two: as few lines as possible, then as many groups."""
    plans = [(-(-height // 2**power), 2**power) for power in range(max(height, 1).bit_length())]
    fitting = [plan for plan in plans if plan[0] <= _MOST_IN_GROUP]
    return min(fitting, key=lambda plan: (plan[0] * plan[1], plan[0]))


def _pairing_order(groups: int) -> list[int]:
    """Numbers of groups, the even ones first, and so on within each half."""
    order = [0]
    while len(order) < groups:
        order = [2 * number for number in order] + [2 * number + 1 for number in order]
    return order


def _by_line(tensor: Tensor, lines: int, groups: int, padding: int) -> Tensor:
    """``[B, X, Y, H, C]`` to ``[n, P, B * H, X, C]``, with lines along X and zeros for missing ones."""
    tensor = F.pad(tensor, (0, 0, 0, 0, 0, padding)).unflatten(2, (groups, lines))
    if groups > 2:
        tensor = tensor[:, :, _pairing_order(groups)]
    return tensor.permute(3, 2, 0, 4, 1, 5).flatten(2, 3)


def _by_node(tensor: Tensor, batch: int, height: int) -> Tensor:
    """The inverse of :func:`_by_line`."""
    tensor = tensor.unflatten(2, (batch, -1)).permute(2, 4, 1, 0, 3, 5)
    groups = tensor.size(2)
    if groups > 2:
        order = _pairing_order(groups)
        tensor = tensor[:, :, [order.index(number) for number in range(groups)]]
    return tensor.flatten(2, 3)[:, :, :height]


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    """Outputs ``[n, P, Z, W, V]`` of lines with gates ``[8, O, n, P, Z, W]``, those against the order of lines last."""
    query, key, value, gates, direct = operands
    flips, backwards = _against(options)
    out = torch.empty_like(value)
    for part in _slices(gates):
        q, k, v = (tensor[:, :, part].contiguous() for tensor in (query, key, value))
        lines = _lines((q, k, v), gates[..., part, :], direct[:, :, part], flips, backwards)
        read = torch.matmul(torch.matmul(q, k.mT).mul_(lines.gating), v)
        read_across(merge_all(lines.groups), sorted(set(backwards)), read.unbind())
        out[:, :, part] = read
    return (out,)


def _backward(grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options) -> Sequence[Tensor]:
    query, key, value, gates, direct = operands
    flips, backwards = _against(options)
    grads = [torch.empty_like(tensor) for tensor in (query, key, value, gates, direct)]
    for part in _slices(gates):
        q, k, v, g = (tensor[:, :, part].contiguous() for tensor in (query, key, value, grad))
        lines = _lines((q, k, v, g), gates[..., part, :], direct[:, :, part], flips, backwards)
        score, grad_weight = torch.matmul(q, k.mT), torch.matmul(g, v.mT)
        grad_score = grad_weight * lines.gating
        features = (
            torch.matmul(grad_score, k),
            torch.matmul(grad_score.mT, q),
            torch.matmul((score * lines.gating).mT, g),
        )
        grad_gating = grad_weight.mul_(score)
        rows = list(zip(*(tensor.unbind() for tensor in features), strict=True))
        of_lines = gradients_across(merge_all(lines.groups), sorted(set(backwards)), rows)
        for target, tensor in zip(grads, features, strict=False):
            target[:, :, part] = tensor
        grads[4][:, :, part] = grad_gating.diagonal(dim1=-2, dim2=-1)
        for d, (against, own) in enumerate(_directions(backwards)):
            if of_lines[0]:
                transition, source, mark = (
                    torch.stack(list(t)) for t in zip(*(line[d] for line in of_lines), strict=True)
                )
            else:
                transition = source = mark = lines.gating.new_zeros(
                    *q.shape[:3], own.stop - own.start, *[q.size(3)] * 2
                )
            transition, source, mark = (transition.mT, mark, source.mT) if against else (transition, source, mark.mT)
            grad_own = line_matrices_gradient(
                transition,
                source,
                mark,
                grad_gating.unsqueeze(3),
                gates[:, own, :, :, part].movedim(1, 4).contiguous(),
                flips[own],
            )
            grads[3][:, own, :, :, part] = grad_own.movedim(4, 1)
    return grads


def _lines(
    features: tuple[Tensor, ...], gates: Tensor, direct: Tensor, flips: list[bool], backwards: list[bool]
) -> _Lines:
    gating = direct.diag_embed()
    directions = []
    for against, own in _directions(backwards):
        matrices = line_matrices(gates[:, own].movedim(1, 4).contiguous(), flips[own])
        transition, source, mark, within = matrices
        gating += within.sum(dim=-3)
        if against:
            directions.append(Gates(transition.mT.contiguous(), mark.mT.contiguous(), source))
        else:
            directions.append(Gates(transition, source, mark.mT.contiguous()))
    groups = [
        Group(
            tuple(tensor[i] for tensor in features), tuple(Gates(*(gate[i] for gate in gates)) for gates in directions)
        )
        for i in range(gating.size(0))
    ]
    return _Lines(groups, gating)


def _directions(backwards: list[bool]) -> list[tuple[bool, slice]]:
    """Whether a direction runs against the order of lines, and its orientations."""
    forwards = backwards.count(False)
    both = [(False, slice(0, forwards)), (True, slice(forwards, len(backwards)))]
    return [(against, own) for against, own in both if own.stop > own.start]


def _slices(gates: Tensor) -> list[slice]:
    """Grids that are evaluated together: a few on a CPU, all of them elsewhere."""
    items = gates.size(4)
    size = gates[0, ..., 0, :].numel() * gates.size(5)
    step = max(1, _SLICE // max(size, 1)) if gates.device.type == "cpu" else max(items, 1)
    return [slice(begin, begin + step) for begin in range(0, items, step)]


def _against(options: Options) -> tuple[list[bool], list[bool]]:
    """Whether each orientation runs against the lines, and against their order."""
    against = [bool(option) for option in options]
    return against[: len(against) // 2], against[len(against) // 2 :]


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    value = operands[2]
    return (value.new_empty(value.shape),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    query, key, value, gates, direct = operands
    order = _pairing_order(query.size(1))
    place = [order.index(number) for number in range(len(order))]

    def as_grid(tensor: Tensor) -> Tensor:
        """``[n, P, Z, W, C]`` to ``[Z, W, Y, C]``"""
        return tensor.permute(2, 3, 1, 0, 4)[:, :, place].flatten(2, 3)

    own = [as_grid(gate.movedim(0, -1)) for gate in gates.unbind()]
    q, k, v = (as_grid(tensor) for tensor in (query, key, value))
    out = grid2d_twin(q, k, v, own, as_grid(direct.unsqueeze(-1)).squeeze(-1), *_against(options))
    return out.unflatten(2, (query.size(1), query.size(0)))[:, :, order].permute(3, 2, 0, 1, 4)


_LINES = CustomOperator(
    "grid2d_parallel", ("query", "key", "value", "gates", "direct"), _forward, _backward, _fake, _twin
)
