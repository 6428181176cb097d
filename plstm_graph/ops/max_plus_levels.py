r"""M-mode level by level, all edges of a level and all graphs of a batch together.

A maximum, hard or soft, is differentiated by weights :math:`w`: which of its terms it takes, one of them or each in
part. Given the weights, sums along paths follow the linear recurrence of the other modes,
:math:`\bar m_e = \sum_{(e,f)} w_{ef} \bar m_f`, run backwards.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.level_pieces import level_pieces
from plstm_graph.ops.linear_recurrence import solve_recurrence

#: Numbers of pairs that are advanced at once.
_PIECE_NUMBERS = 2**24


def max_plus_levels(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype."""
    s, reverse = line_graph.schedule, line_graph.is_reversed
    pairs = (s.pair_out, s.pair_in) if reverse else (s.pair_in, s.pair_out)
    structure = (*pairs, s.start if reverse else s.end, s.edge_order, s.pair_order, s.pair_ptr)
    if temperature == 0:
        return _HARD(source, transition, mark, direct, structure=structure, options=[int(reverse)])
    # A soft maximum of temperature 1, in units of the temperature.
    operands = (tensor / temperature for tensor in (source, transition, mark, direct))
    return temperature * _SOFT(*operands, structure=structure, options=[int(reverse)])


def _pieces(pair_ptr: Tensor, channels: int, last_first: bool) -> list[slice]:
    """Pairs whose sums are at most :data:`_PIECE_NUMBERS` numbers."""
    return level_pieces(pair_ptr, _PIECE_NUMBERS // max(channels, 1), last_first)


def _largest(rows: Tensor, terms: Tensor, target: Tensor, soft: bool) -> Tensor:
    """The largest of each row and the terms that go there: ``[R, C]``, ``[n, C]`` and ``[n]`` to ``[R, C]``."""
    index = target.unsqueeze(-1).expand_as(terms)
    largest = rows.scatter_reduce(0, index, terms, "amax")
    if not soft:
        return largest
    # Differentiable through sums of exponentials, which stay below the number of terms.
    nothing = largest == -torch.inf
    shift = largest.detach().masked_fill(nothing, 0.0)
    total = (rows - shift).exp().index_add(0, target, (terms - shift.index_select(0, target)).exp())
    return (total.masked_fill(nothing, 1.0).log() + shift).masked_fill(nothing, -torch.inf)


def _weights(
    terms: Tensor, target: Tensor, own: Tensor, largest: Tensor, rank: Tensor, soft: bool
) -> tuple[Tensor, Tensor]:
    """How much of each term, and of what a row has of its own, is in the largest.

    Args:
        terms: ``[n, C]``
        target: The row of each term, ``[n]``.
        own: ``[R, C]``
        largest: ``[R, C]``
        rank: Of equal terms the one of the lowest rank counts, ``[n]``; a permutation.
        soft: Whether the largest is a soft maximum.

    Returns:
        ``[n, C]`` and ``[R, C]``; both 0 where the largest is minus infinity.
    """
    there = largest > -torch.inf
    at_terms = largest.index_select(0, target)
    if soft:
        return (
            (terms - at_terms).exp().masked_fill(~there.index_select(0, target), 0.0),
            (own - largest).exp().masked_fill(~there, 0.0),
        )
    takes_own = (own == largest) & there
    takes = (terms == at_terms) & (there & ~takes_own).index_select(0, target)
    ranks = rank.unsqueeze(-1).expand_as(terms)
    none = torch.full_like(largest, rank.numel(), dtype=torch.long)
    index = target.unsqueeze(-1).expand_as(terms)
    first = none.scatter_reduce(0, index, ranks.masked_fill(~takes, rank.numel()), "amin")
    return (ranks == first.index_select(0, target)).to(terms.dtype), takes_own.to(terms.dtype)


def _forward_of(soft: bool) -> Callable[[Tensors, Tensors, Options], tuple[Tensor, Tensor]]:
    def forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
        """Outputs ``[N, C]`` and the largest sum at each stored edge ``[E, C]``."""
        source, transition, mark, direct = operands
        pair_from, pair_to, node, edge_order, pair_order, pair_ptr = structure
        sums, gate = source.index_select(0, edge_order), transition.index_select(0, pair_order)
        for pairs in _pieces(pair_ptr, source.size(1), last_first=bool(options[0])):
            arriving = sums.index_select(0, pair_from[pairs]).add_(gate[pairs])
            sums = _largest(sums, arriving, pair_to[pairs], soft)
        return _largest(direct, sums + mark.index_select(0, edge_order), node, soft), sums

    return forward


def _backward_of(soft: bool) -> Callable[[Tensor, Tensors, Tensors, Tensors, Options], tuple[Tensor, ...]]:
    def backward(
        grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
    ) -> tuple[Tensor, ...]:
        (sums, out), (source, transition, mark, direct) = kept, operands
        pair_from, pair_to, node, edge_order, pair_order, pair_ptr = structure
        read = sums + mark.index_select(0, edge_order)
        of_read, of_direct = _weights(read, node, direct, out, edge_order, soft)
        adjoint = grad.index_select(0, node).mul_(of_read)
        grad_mark = torch.empty_like(mark).index_copy_(0, edge_order, adjoint)
        arriving = sums.index_select(0, pair_from).add_(transition.index_select(0, pair_order))
        weight, of_source = _weights(arriving, pair_to, source.index_select(0, edge_order), sums, pair_order, soft)
        for pairs in _pieces(pair_ptr, source.size(1), last_first=not options[0]):
            adjoint.index_add_(0, pair_from[pairs], adjoint.index_select(0, pair_to[pairs]).mul_(weight[pairs]))
        grad_transition = weight.mul_(adjoint.index_select(0, pair_to))
        return (
            torch.empty_like(source).index_copy_(0, edge_order, adjoint.mul_(of_source)),
            torch.empty_like(transition).index_copy_(0, pair_order, grad_transition),
            grad_mark,
            of_direct.mul_(grad),
        )

    return backward


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    source, _, _, direct = operands
    return direct.new_empty(direct.shape), source.new_empty(source.shape)


def _soft_twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    """The forward pass itself is made of operations that torch differentiates."""
    return _forward_of(soft=True)(operands, structure, options)[0]


def _hard_twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    """Given which terms are the largest, a linear recurrence."""
    source, transition, mark, direct = operands
    pair_from, pair_to, node, edge_order, pair_order, pair_ptr = structure
    fixed = [tensor.detach() for tensor in operands]
    out, sums = _forward_of(soft=False)(fixed, structure, options)
    read = sums + fixed[2].index_select(0, edge_order)
    of_read, of_direct = _weights(read, node, fixed[3], out, edge_order, soft=False)
    arriving = sums.index_select(0, pair_from) + fixed[1].index_select(0, pair_order)
    own = fixed[0].index_select(0, edge_order)
    weight, of_source = _weights(arriving, pair_to, own, sums, pair_order, soft=False)

    # What is not taken may be minus infinity, which 0 would not make vanish.
    taken = source.index_select(0, edge_order).masked_fill(of_source == 0, 0.0)
    gate = transition.index_select(0, pair_order).masked_fill(weight == 0, 0.0)
    put = taken.index_add(0, pair_to, gate)
    total = solve_recurrence(put.unsqueeze(-1), weight, pair_from, pair_to, pair_ptr, bool(options[0])).squeeze(-1)
    seen = (total + mark.index_select(0, edge_order)).masked_fill(of_read == 0, 0.0)
    result = direct.masked_fill(of_direct == 0, 0.0).index_add(0, node, seen)
    return result.masked_fill(out == -torch.inf, -torch.inf)


_OPERANDS = ("source", "transition", "mark", "direct")
_HARD = CustomOperator(
    "max_plus",
    _OPERANDS,
    _forward_of(False),
    _backward_of(False),
    _fake,
    _hard_twin,
    kept=1,
    keeps_output=True,
    features=0,
)
_SOFT = CustomOperator(
    "soft_max_plus",
    _OPERANDS,
    _forward_of(True),
    _backward_of(True),
    _fake,
    _soft_twin,
    kept=1,
    keeps_output=True,
    features=0,
)
