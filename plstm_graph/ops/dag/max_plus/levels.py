r"""M-mode level by level, all edges of a level and all graphs of a batch together.

A maximum, hard or soft, is differentiated by weights :math:`w`: which of its terms it takes, one of them or each in
part. Given the weights, sums along paths follow the linear recurrence of the other modes,
:math:`\bar m_e = \sum_{(e,f)} w_{ef} \bar m_f`, run backwards.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.level_pieces import level_pieces
from plstm_graph.ops.dag.linear_recurrence import solve_recurrence
from plstm_graph.ops.max_plus_terms import share_of, temperature_of, temperature_tensors

#: Numbers of pairs that are advanced at once.
_PIECE_NUMBERS = 2**24


def max_plus_levels(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype."""
    structure = (*level_structure(line_graph), *temperature_tensors(temperature))
    return _MAX_PLUS(source, transition, mark, direct, structure=structure, options=[int(line_graph.is_reversed)])


def level_structure(line_graph: LineGraph) -> tuple[Tensor, ...]:
    """Stored edge that each stored pair leaves, and that it enters; node where each stored edge is read; the caller's
    number of each stored edge and pair; where each level of stored pairs begins."""
    s, reverse = line_graph.schedule, line_graph.is_reversed
    pairs = (s.pair_out, s.pair_in) if reverse else (s.pair_in, s.pair_out)
    return (*pairs, s.start if reverse else s.end, s.edge_order, s.pair_order, s.pair_ptr)


def _pieces(pair_ptr: Tensor, channels: int, last_first: bool) -> list[slice]:
    """Pairs whose sums are at most :data:`_PIECE_NUMBERS` numbers."""
    return level_pieces(pair_ptr, _PIECE_NUMBERS // max(channels, 1), last_first)


def largest_rows(rows: Tensor, terms: Tensor, target: Tensor, temperature: float) -> Tensor:
    """The largest of each row and the terms that go there: ``[R, C]``, ``[n, C]`` and ``[n]`` to ``[R, C]``."""
    index = target.unsqueeze(-1).expand_as(terms)
    largest = rows.scatter_reduce(0, index, terms, "amax")
    if temperature == 0:
        return largest
    # Differentiable through sums of exponentials, which stay below the number of terms.
    nothing = largest == -torch.inf
    shift = largest.detach().masked_fill(largest.isinf(), 0.0)
    distances = (terms - shift.index_select(0, target)) / temperature
    total = ((rows - shift) / temperature).exp().index_add(0, target, distances.exp())
    return (temperature * total.masked_fill(nothing, 1.0).log() + shift).masked_fill(nothing, -torch.inf)


class Shares(NamedTuple):
    """How much of each number is in the largest, and where that is none whatever the gradient."""

    weight: Tensor
    none: Tensor

    def of(self, grad: Tensor, rows: slice = slice(None)) -> Tensor:
        """Shares of a gradient, in its place."""
        return grad.mul_(self.weight[rows]).masked_fill_(self.none[rows], 0.0)


def _shares(
    terms: Tensor, target: Tensor, own: Tensor, largest: Tensor, rank: Tensor, temperature: float
) -> tuple[Shares, Shares]:
    """How much of each term, and of what a row has of its own, is in the largest.

    Args:
        terms: ``[n, C]``
        target: The row of each term, ``[n]``.
        own: ``[R, C]``
        largest: ``[R, C]``
        rank: Of equal terms the one of the lowest rank counts, ``[n]``; a permutation.
        temperature: Of the maximum.

    Returns:
        ``[n, C]`` and ``[R, C]``; nothing where the largest is minus infinity.
    """
    nothing = largest == -torch.inf
    at_terms = largest.index_select(0, target)
    if temperature > 0:
        of_terms, of_own = ((terms - at_terms) / temperature).exp(), ((own - largest) / temperature).exp()
        return Shares(of_terms, nothing.index_select(0, target)), Shares(of_own, nothing)
    takes_own = share_of(own, largest, 0.0)
    takes = share_of(terms, at_terms, 0.0) & ~takes_own.index_select(0, target)
    ranks = rank.unsqueeze(-1).expand_as(terms)
    none = torch.full_like(largest, rank.numel(), dtype=torch.long)
    index = target.unsqueeze(-1).expand_as(terms)
    first = none.scatter_reduce(0, index, ranks.masked_fill(~takes, rank.numel()), "amin")
    takes = ranks == first.index_select(0, target)
    return Shares(takes.to(terms.dtype), ~takes), Shares(takes_own.to(terms.dtype), ~takes_own)


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Outputs ``[N, C]`` and the largest sum at each stored edge ``[E, C]``."""
    source, transition, mark, direct = operands
    pair_from, pair_to, node, edge_order, pair_order, pair_ptr, *temperature = structure
    sums, gate = source.index_select(0, edge_order), transition.index_select(0, pair_order)
    for pairs in _pieces(pair_ptr, source.size(1), last_first=bool(options[0])):
        arriving = sums.index_select(0, pair_from[pairs]) + gate[pairs]
        sums = largest_rows(sums, arriving, pair_to[pairs], temperature_of(temperature))
    return largest_rows(direct, sums + mark.index_select(0, edge_order), node, temperature_of(temperature)), sums


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    pair_from, pair_to, _, _, _, pair_ptr, *_ = structure

    def carried(read: Tensor, shares: Shares) -> Tensor:
        adjoint = read.clone()
        for pairs in _pieces(pair_ptr, read.size(1), last_first=not options[0]):
            adjoint.index_add_(0, pair_from[pairs], shares.of(adjoint.index_select(0, pair_to[pairs]), pairs))
        return adjoint

    sums, out = kept
    return max_plus_gradients(grad, sums, sums, out, operands, structure, carried)


def max_plus_gradients(
    grad: Tensor,
    sums: Tensor,
    largest: Tensor,
    out: Tensor,
    operands: Tensors,
    structure: Tensors,
    carried: Callable[[Tensor, Shares], Tensor],
) -> tuple[Tensor, ...]:
    """Gradients of all operands.

    Args:
        grad: ``[N, C]``
        sums: The largest sum at each stored edge, ``[E, C]``.
        largest: The same, as the largest of its terms made of ``sums``, to the last digit.
        out: The output, ``[N, C]``.
        operands: Source, transition, mark and direct.
        structure: As for :func:`max_plus_twin`.
        carried: Gradients of the sums at stored edges, ``[E, C]``, from those of what nodes read of them, and from the
            shares of stored pairs in the sums that they lead to.
    """
    source, transition, mark, direct = operands
    pair_from, pair_to, node, edge_order, pair_order, _, *temperature = structure
    read = sums + mark.index_select(0, edge_order)
    of_read, of_direct = _shares(read, node, direct, out, edge_order, temperature_of(temperature))
    grad_read = of_read.of(grad.index_select(0, node))
    grad_mark = torch.empty_like(mark).index_copy_(0, edge_order, grad_read)
    arriving = sums.index_select(0, pair_from).add_(transition.index_select(0, pair_order))
    own = source.index_select(0, edge_order)
    of_term, of_source = _shares(arriving, pair_to, own, largest, pair_order, temperature_of(temperature))
    adjoint = carried(grad_read, of_term)
    grad_transition = of_term.of(adjoint.index_select(0, pair_to))
    return (
        torch.empty_like(source).index_copy_(0, edge_order, of_source.of(adjoint)),
        torch.empty_like(transition).index_copy_(0, pair_order, grad_transition),
        grad_mark,
        of_direct.of(grad.clone()),
    )


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    source, _, _, direct = operands
    return direct.new_empty(direct.shape), source.new_empty(source.shape)


def max_plus_twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    """The same by operations that torch differentiates by itself.

    Args:
        operands: Source, transition, mark and direct.
        structure: As from :func:`level_structure`, and from :func:`temperature_tensors`.
        options: Whether the structure is that of a reversed graph.

    Returns:
        ``[N, C]``
    """
    source, transition, mark, direct = operands
    pair_from, pair_to, node, edge_order, pair_order, pair_ptr, *temperature = structure
    if temperature:
        # The forward pass itself is made of operations that torch differentiates.
        return _forward(operands, structure, options)[0]
    # Given which terms are the largest, it is a linear recurrence.
    fixed = [tensor.detach() for tensor in operands]
    out, sums = _forward(fixed, structure, options)
    read = sums + fixed[2].index_select(0, edge_order)
    of_read, of_direct = _shares(read, node, fixed[3], out, edge_order, 0.0)
    arriving = sums.index_select(0, pair_from) + fixed[1].index_select(0, pair_order)
    own = fixed[0].index_select(0, edge_order)
    of_term, of_source = _shares(arriving, pair_to, own, sums, pair_order, 0.0)

    # What is not taken may be minus infinity, which 0 would not make vanish.
    taken = source.index_select(0, edge_order).masked_fill(of_source.none, 0.0)
    gate = transition.index_select(0, pair_order).masked_fill(of_term.none, 0.0)
    put = taken.index_add(0, pair_to, gate)
    total = solve_recurrence(put.unsqueeze(-1), of_term.weight, pair_from, pair_to, pair_ptr, bool(options[0])).squeeze(
        -1
    )
    seen = (total + mark.index_select(0, edge_order)).masked_fill(of_read.none, 0.0)
    result = direct.masked_fill(of_direct.none, 0.0).index_add(0, node, seen)
    return result.masked_fill(out == -torch.inf, -torch.inf)


_MAX_PLUS = CustomOperator(
    "max_plus",
    ("source", "transition", "mark", "direct"),
    _forward,
    _backward,
    _fake,
    max_plus_twin,
    kept=1,
    keeps_output=True,
    features=0,
)
