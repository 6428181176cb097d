r"""States of grids in M-mode, one anti-diagonal after the other, all orientations and all grids of a batch together.

Nodes are stored by anti-diagonal, and along it by x, so that every step takes and gives slices. A maximum, hard or
soft, is differentiated by weights: how much of each state is its source, and how much has come from either side. Given
those, gradients follow the same walk backwards, with sums of products.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.graph.plain import outside_transforms
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.max_plus_terms import larger, largest_term, mask_of, part, temperature_of, temperature_tensors

#: Sources and transitions in the order of :data:`~plstm_graph.ops.shapes.GATES`, which are the first six.
_OPERANDS = ("source_right", "source_down", "right_from_left", "down_from_up", "down_from_left", "right_from_up")
# Those in the order in which they are stacked: sources, then transitions by what leaves and by what enters.
_STACKED = (0, 1, 2, 5, 4, 3)


def max_plus_grid2d_states(gates: Sequence[Tensor], flips: Sequence[tuple[bool, bool]], temperature: float) -> Tensor:
    """States that enter nodes from the left and from above, minus infinity where no edge does.

    Args:
        gates: The first six of :data:`~plstm_graph.ops.shapes.GATES`, each ``[Z, X, Y, O, C]``, with numbers in it.
        flips: Whether each orientation runs against the first and the second axis.
        temperature: Of the soft maximum; 0 for the maximum itself.

    Returns:
        ``[2, Z, O, X, Y, C]``
    """
    against = [int(against) for flip in flips for against in flip]
    return _STATES(*gates, structure=temperature_tensors(temperature), options=against)


class _Diagonal(NamedTuple):
    """Nodes of an anti-diagonal, and where on the next one the edges that leave them lead to.

    Attributes:
        nodes: Their rows in the order of storage.
        leaving: Those of them from which an edge leads right, and down, counted from 0.
        padding: How many nodes of the next diagonal lie before and behind those that edges right lead to, and down.
    """

    nodes: slice
    leaving: tuple[slice, slice]
    padding: tuple[tuple[int, int], tuple[int, int]]


class _Order(NamedTuple):
    """Permutations between ``[X, Y, O]``, as operands lie, stored rows, and ``[O, X, Y]``, as states are returned.

    Attributes:
        operand_of_row: Which operand each stored row is, like all others ``[X * Y * O]``.
        row_of_operand: The inverse.
        row_of_state: Which stored row each state is.
        state_of_row: The inverse.
    """

    operand_of_row: Tensor
    row_of_operand: Tensor
    row_of_state: Tensor
    state_of_row: Tensor


def _diagonals(width: int, height: int) -> list[_Diagonal]:
    result, place = [], 0
    for number in range(width + height - 1):
        first, last = max(0, number - height + 1), min(width, number + 1)
        next_first, next_last = max(0, number - height + 2), min(width, number + 2)
        right, down = slice(0, min(last, width - 1) - first), slice(next_first - first, last - first)
        padding = (first + 1 - next_first, next_last - min(last + 1, width)), (0, next_last - last)
        result.append(_Diagonal(slice(place, place + last - first), (right, down), padding))
        place += last - first
    return result


@functools.lru_cache(maxsize=64)
@outside_transforms
def _order(width: int, height: int, flips: tuple[int, ...], device: torch.device) -> _Order:
    """The permutations of a grid; ``flips`` holds both signs of each orientation."""
    x = torch.arange(width, device="cpu").view(-1, 1).expand(width, height)
    y = torch.arange(height, device="cpu").expand(width, height)
    by_diagonal = torch.argsort(((x + y) * width + x).flatten())
    numbers = torch.arange(width * height, device="cpu").view(width, height)
    against = list(zip(flips[::2], flips[1::2], strict=True))
    flipped = [numbers.flip([axis for axis, turned in enumerate(flip) if turned]).flatten() for flip in against]
    node = torch.stack([each[by_diagonal] for each in flipped], dim=1)
    orientation = torch.arange(len(against), device="cpu")
    operand_of_row = (node * len(against) + orientation).flatten()
    state_of_row = (node + orientation * width * height).flatten()
    orders = operand_of_row, torch.argsort(operand_of_row), torch.argsort(state_of_row), state_of_row
    return _Order(*(order.to(device) for order in orders))


def _stored(operands: Sequence[Tensor], options: Options) -> tuple[Tensor, Tensor]:
    """Sources ``[2, Z, N, O * C]`` and transitions ``[2, 2, Z, N, O * C]``, by diagonal."""
    z, width, height, orientations, channels = operands[0].shape
    order = _order(width, height, tuple(options), operands[0].device)
    stacked = torch.stack([operands[gate] for gate in _STACKED]).view(6, z, -1, channels)
    rows = stacked.index_select(2, order.operand_of_row).view(6, z, width * height, orientations * channels)
    return rows[:2], rows[2:].unflatten(0, (2, 2))


def _by_orientation(rows: Tensor, shape: Sequence[int], options: Options) -> Tensor:
    """``[..., Z, N, O * C]``, by diagonal, to ``[..., Z, O, X, Y, C]``."""
    width, height, orientations, channels = shape[1:]
    order = _order(width, height, tuple(options), rows.device)
    flat = rows.reshape(*rows.shape[:-2], -1, channels)
    return flat.index_select(-2, order.row_of_state).view(*rows.shape[:-2], orientations, width, height, channels)


def _walk(
    put: Tensor,
    gate: Tensor,
    shape: Sequence[int],
    nothing: float,
    step: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """States that enter, ``[2, Z, N, R]``.

    Args:
        put: ``[2, Z, N, R]``
        gate: ``[2, 2, Z, N, R]``
        shape: That of the operands.
        nothing: What enters where no edge does.
        step: What leaves, ``[2, Z, n, R]``, of gates, puts and what enters, ``[2, Z, n, R]``.
    """
    entering = torch.full_like(put[:, :, :1], nothing)
    states = [entering]
    for diagonal in _diagonals(*shape[1:3])[:-1]:
        nodes = diagonal.nodes
        right, down = step(gate[:, :, :, nodes], put[:, :, nodes], entering)
        sides = zip((right, down), diagonal.leaving, diagonal.padding, strict=True)
        entering = torch.stack(
            [F.pad(state[:, leaving], (0, 0, *padding), value=nothing) for state, leaving, padding in sides]
        )
        states.append(entering)
    return torch.cat(states, dim=2)


def _step(temperature: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def step(gate: Tensor, put: Tensor, entering: Tensor) -> Tensor:
        left, up = (gate + entering).unbind(1)
        return larger(put, larger(left, up, temperature), temperature)

    return step


def _linear_step(gate: Tensor, put: Tensor, entering: Tensor) -> Tensor:
    return put + part(entering, gate).sum(dim=1)


def _shares(put: Tensor, gate: Tensor, entering: Tensor, temperature: float) -> tuple[Tensor | None, Tensor]:
    """How much of what leaves is its source, and how much has entered from the left and from above.

    Returns:
        Weights ``[2, 3, Z, N, R]``, or None where each is 1 or none, and a mask of those that are not none.
    """
    largest = _step(temperature)(gate, put, entering)
    there = largest != -torch.inf
    if temperature > 0:
        terms = torch.cat([put.unsqueeze(1), gate + entering], dim=1)
        weight = terms.sub_(largest.unsqueeze(1)).div_(temperature).exp_()
        return weight, mask_of(there.unsqueeze(1).expand_as(weight), put.dtype)
    # Something is the largest; not a number is, if anything is not.
    left = gate[:, 0] + entering[0]
    own, from_left = ((term == largest) | term.isnan() for term in (put, left))
    rest = there & ~own
    return None, mask_of(torch.stack([there & own, rest & from_left, rest & ~from_left], dim=1), put.dtype)


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    shape = operands[0].shape
    states = _walk(*_stored(operands, options), shape, -torch.inf, _step(temperature_of(structure)))
    return (_by_orientation(states, shape, options),)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    shape = operands[0].shape
    z, width, height, orientations, channels = shape
    order = _order(width, height, tuple(options), grad.device)

    def stored(tensor: Tensor) -> Tensor:
        rows = tensor.reshape(2, z, -1, channels).index_select(2, order.state_of_row)
        return rows.view(2, z, width * height, orientations * channels)

    put, gate = _stored(operands, options)
    weight, mask = _shares(put, gate, stored(kept[0]), temperature_of(structure))
    adjoint, grads = stored(grad), put.new_zeros(2, 3, *put.shape[1:])
    diagonals = _diagonals(width, height)
    for diagonal, following in zip(diagonals[-2::-1], diagonals[:0:-1], strict=True):
        here = grads[:, :, :, diagonal.nodes]
        for side, (nodes, (before, behind)) in enumerate(zip(diagonal.leaving, diagonal.padding, strict=True)):
            reached = slice(following.nodes.start + before, following.nodes.stop - behind)
            here[side, :, :, nodes] = adjoint[side, :, reached]
        if weight is not None:
            here *= weight[:, :, :, diagonal.nodes]
        here.view(mask.dtype).bitwise_and_(mask[:, :, :, diagonal.nodes])
        adjoint[:, :, diagonal.nodes] += here[:, 1:].sum(dim=0)
    # Sources, then transitions by what leaves and by what enters.
    rows = [grads[0, 0], grads[1, 0], *grads[:, 1:].flatten(0, 1)]
    return tuple(
        rows[_STACKED.index(gate)].reshape(z, -1, channels).index_select(1, order.row_of_operand).view(shape)
        for gate in range(len(_OPERANDS))
    )


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    z, width, height, orientations, channels = operands[0].shape
    return (operands[0].new_empty(2, z, orientations, width, height, channels),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    shape, temperature = operands[0].shape, temperature_of(structure)
    put, gate = _stored(operands, options)
    if temperature > 0:
        step = lambda gate, put, entering: largest_term([put, *(gate + entering).unbind(1)], temperature)  # noqa: E731
        return _by_orientation(_walk(put, gate, shape, -torch.inf, step), shape, options)
    # Given which terms are the largest, a linear recurrence.
    fixed = put.detach(), gate.detach()
    states = _walk(*fixed, shape, -torch.inf, _step(0.0))
    takes = _shares(*fixed, states, 0.0)[1] != 0
    own, passing = takes[:, 0], takes[:, 1:]
    # What is not taken may be minus infinity, which 0 would not make vanish.
    taken = put.masked_fill(~own, 0.0) + gate.masked_fill(~passing, 0.0).sum(dim=1)
    sums = _walk(taken, passing.to(put.dtype), shape, 0.0, _linear_step).masked_fill(states == -torch.inf, -torch.inf)
    return _by_orientation(sums, shape, options)


_STATES = CustomOperator("max_plus_grid2d", _OPERANDS, _forward, _backward, _fake, _twin, keeps_output=True, features=0)
