r"""M-mode on any DAG in logarithmic depth: blocks of nodes are maps between cuts, and maps compose.

A block takes the largest sums at the edges that cross the cut before it to those that cross the cut behind it, by a
matrix in the semiring of maximum and sum and by what its own sources put in: an affine step of a chain, so an
associative scan of all blocks gives the sums at every cut. Gradients are such a scan, too, from the last cut to the
first, of sums and products with the weights that differentiate each maximum.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.blocks.node_blocks import MAX_NUMBERS, NodeBlocks
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.max_plus.levels import (
    Shares,
    largest_rows,
    level_structure,
    max_plus_gradients,
    max_plus_twin,
)
from plstm_graph.ops.max_plus_terms import larger, part, temperature_of, temperature_tensors
from plstm_graph.ops.semiring_scan import semiring_scan

# Tensors of the structure that the levels have, which come first.
_OF_LEVELS = 6


def max_plus_merged(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype; with at least one edge.

    Raises:
        ValueError: If the cuts are so wide that the matrices of blocks would have more than
            :data:`~plstm_graph.graph.blocks.node_blocks.MAX_NUMBERS`.
    """
    numbers = MAX_NUMBERS / max(direct.size(1), 1)
    blocks = NodeBlocks.build(line_graph.edge_index, line_graph.level, numbers, instead="take the recurrent form")
    levels = level_structure(line_graph)
    edge_order = levels[3]
    start, end = line_graph.edge_index.index_select(1, edge_order)
    slots = (each.index_select(0, edge_order) for each in (blocks.first_slot, blocks.last_slot))
    of_blocks = (blocks.block[start], blocks.block[end], *slots, *blocks.passing)
    return _MERGED(
        source,
        transition,
        mark,
        direct,
        structure=(*levels, *of_blocks, *temperature_tensors(temperature)),
        options=[int(line_graph.is_reversed), blocks.num_blocks, int(blocks.cut_width.max())],
    )


class _Cuts:
    """Where edges and pairs stand in the matrices of blocks, from the structure of the operator."""

    def __init__(self, structure: Tensors, options: Options) -> None:
        self.pair_from, self.pair_to = structure[:2]
        self.leaves, self.read, self.first_slot, self.last_slot, *self._passing = structure[_OF_LEVELS:][:7]
        self._blocks, self._width = options[1:]

    def matrices(self, gate: Tensor, unchanged: float, none: float) -> Tensor:
        """From sums at the edges before each block to those behind it, ``[B, C, W, W]``, of what pairs let through.

        Args:
            gate: Of each stored pair, ``[P, C]``.
            unchanged: What an edge lets through that passes over a block.
            none: What stands everywhere else.
        """
        block, before, after = self._passing
        passing = gate.new_full((block.numel(), gate.size(1)), unchanged)
        where = (
            torch.cat([self.leaves[self.pair_to], block]),
            torch.cat([self.first_slot[self.pair_to], after]),
            torch.cat([self.last_slot[self.pair_from], before]),
        )
        empty = gate.new_full((self._blocks, self._width, self._width, gate.size(1)), none)
        return empty.index_put_(where, torch.cat([gate, passing])).permute(0, 3, 1, 2).contiguous()

    def at(self, cut: Tensor, slot: Tensor, rows: Tensor, none: float) -> Tensor:
        """Rows of stored edges, each in its slot of a cut or block, ``[B, C, W]``; ``none`` in all others."""
        empty = rows.new_full((self._blocks, self._width, rows.size(1)), none)
        return empty.index_put_((cut, slot), rows).transpose(1, 2).contiguous()

    def behind(self, states: Tensor) -> Tensor:
        """Of states at all cuts, ``[B + 1, C, W]``, those of stored edges behind their start nodes, ``[E, C]``."""
        return states[self.leaves + 1, :, self.first_slot]


def _product(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """Matrix product in the semiring: ``[..., I, K]`` and ``[..., K, J]`` to ``[..., I, J]``.

    The last channel tells where there is a way at all: minus infinity if not. Without it, not a number would pass where
    nothing leads, for it is not a number either when minus infinity is added to it.
    """

    def through(k: int) -> Tensor:
        term = left[..., :, k, None] + right[..., k, None, :]
        return term.masked_fill(term[..., -1:, :, :] == -torch.inf, -torch.inf)

    result = through(0)
    for k in range(1, left.size(-1)):
        result = larger(result, through(k), temperature)
    return result


def _largest_sums(source: Tensor, gate: Tensor, cuts: _Cuts, temperature: float) -> Tensor:
    """The largest sum at each stored edge, ``[E, C]``."""
    put = cuts.at(cuts.leaves, cuts.first_slot, F.pad(source, (0, 1)), -torch.inf)

    def step(gate: Tensor, put: Tensor, state: Tensor) -> Tensor:
        return larger(put, _product(gate, state.unsqueeze(-1), temperature).squeeze(-1), temperature)

    states = semiring_scan(
        cuts.matrices(F.pad(gate, (0, 1)), 0.0, -torch.inf),
        put,
        torch.full_like(put[0], -torch.inf),
        lambda later, earlier: _product(later, earlier, temperature),
        step,
    )
    return cuts.behind(states)[:, :-1].contiguous()


def _carried(read: Tensor, shares: Shares, cuts: _Cuts) -> Tensor:
    """Gradients of the sums at stored edges, ``[E, C]``, from those of what nodes read of them."""
    gate = cuts.matrices(shares.weight.masked_fill(shares.none, 0.0), 1.0, 0.0).mT.flip(0)
    put = cuts.at(cuts.read, cuts.last_slot, read, 0.0).flip(0)

    def step(gate: Tensor, put: Tensor, state: Tensor) -> Tensor:
        return put + part(state.unsqueeze(-2), gate).sum(dim=-1)

    return cuts.behind(semiring_scan(gate, put, torch.zeros_like(put[0]), torch.matmul, step).flip(0))


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Outputs ``[N, C]`` and the largest sum at each stored edge ``[E, C]``."""
    source, transition, mark, direct = operands
    _, _, node, edge_order, pair_order, *_ = structure
    temperature = temperature_of(structure[_OF_LEVELS + 7 :])
    own, gate = source.index_select(0, edge_order), transition.index_select(0, pair_order)
    sums = _largest_sums(own, gate, _Cuts(structure, options), temperature)
    return largest_rows(direct, sums + mark.index_select(0, edge_order), node, temperature), sums


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    cuts, (sums, out), (source, transition) = _Cuts(structure, options), kept, operands[:2]
    levels, temperature = structure[:_OF_LEVELS], structure[_OF_LEVELS + 7 :]
    pair_from, pair_to, _, edge_order, pair_order, _ = levels
    # Sums are rounded in another order than along their paths, so terms are compared with their own largest.
    arriving = sums.index_select(0, pair_from).add_(transition.index_select(0, pair_order))
    local = largest_rows(source.index_select(0, edge_order), arriving, pair_to, temperature_of(temperature))
    return max_plus_gradients(
        grad, sums, local, out, operands, (*levels, *temperature), lambda read, shares: _carried(read, shares, cuts)
    )


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    source, _, _, direct = operands
    return direct.new_empty(direct.shape), source.new_empty(source.shape)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    return max_plus_twin(operands, [*structure[:_OF_LEVELS], *structure[_OF_LEVELS + 7 :]], options[:1])


_MERGED = CustomOperator(
    "max_plus_merged",
    ("source", "transition", "mark", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=1,
    keeps_output=True,
    features=0,
)
