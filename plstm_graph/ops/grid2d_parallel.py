"""The parallel form of grids: lines in closed form, then groups of lines merged in logarithmic depth."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.grid2d_lines import line_gates
from plstm_graph.ops.grid2d_merge import merged_lines

# Positions of the gates, see GATES of grid2d, when the two axes exchange their roles.
_SWAPPED = (1, 0, 3, 2, 5, 4, 7, 6)

# Most lines that are merged one after the other before groups are merged in pairs.
_MOST_IN_GROUP = 12


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
        gates: In the order of :data:`~plstm_graph.ops.grid2d.GATES`, each ``[B, X, Y, O, H]``.
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
    gating = _by_line(direct.unsqueeze(-1), lines, groups, padding).squeeze(-1).diag_embed()
    transitions, sources, marks, backwards = [], [], [], []
    for against, chosen in _directions(flips):
        own = torch.stack([gate[:, :, :, chosen] for gate in gates], dim=-1).flatten(3, 4)
        own = _by_line(own, lines, groups, padding).movedim(-1, 0)
        own = own.unflatten(3, (batch, len(chosen), heads)).transpose(4, 5).flatten(3, 4)
        transition, source, mark, within = line_gates(own.contiguous(), [flips[o][0] for o in chosen])
        gating = gating + within.sum(dim=-3)
        transitions.append(transition.mT if against else transition)
        sources.append(mark.mT if against else source)
        marks.append(source if against else mark.mT)
        backwards.append(against)
    weight = torch.matmul(q, k.mT) * gating
    out = torch.matmul(weight, v)
    if lines * groups > 1:
        out = out + merged_lines(q, k, v, _stacked(transitions), _stacked(sources), _stacked(marks), backwards)
    return _by_node(out, batch, height)


def _plan(height: int) -> tuple[int, int]:
    """Lines in a group, and number of groups, a power of two: as few lines as possible, then as many groups."""
    plans = [(-(-height // 2**power), 2**power) for power in range(max(height, 1).bit_length())]
    fitting = [plan for plan in plans if plan[0] <= _MOST_IN_GROUP]
    return min(fitting, key=lambda plan: (plan[0] * plan[1], plan[0]))


def _directions(flips: Sequence[tuple[bool, bool]]) -> list[tuple[bool, list[int]]]:
    """Whether a direction runs against the order of lines, and which orientations it has."""
    both = [(against, [o for o, flip in enumerate(flips) if flip[1] == against]) for against in (False, True)]
    return [(against, chosen) for against, chosen in both if chosen]


def _stacked(matrices: list[Tensor]) -> Tensor:
    """Directions in one tensor; where they differ in the number of orientations, zeros make up for it."""
    most = max(matrix.size(-3) for matrix in matrices)
    return torch.stack([F.pad(matrix, (0, 0, 0, 0, 0, most - matrix.size(-3))) for matrix in matrices])


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
