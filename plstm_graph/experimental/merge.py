r"""Merging neighbouring blocks of a DAG: the gating matrix in a number of steps that grows with the logarithm of depth.

A block of nodes is a linear map: from the states of edges that cross the cut before it, and the inputs of its nodes,
to the states of edges that cross the cut after it, and what its nodes read. Two neighbours share the cut between them,
so their maps compose, and composition is associative (eq. 11 to 16 of the paper, for any DAG). An edge that passes over
a block crosses both of its cuts, and its state passes unchanged.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.blocks.node_blocks import MAX_NUMBERS, NodeBlocks
from plstm_graph.ops.shapes import check_operand, wide_dtype

# So few blocks are large: to merge them one by one costs less than to bring them to one size.
_FEW = 8


@dataclass(frozen=True, eq=False)
class Block:
    """Generalised Source, Transition, Mark and gating matrix of a block, or of a batch of blocks.

    Attributes:
        transition: From edges before to edges after, ``[..., X, Y]``.
        source: From nodes to edges after, ``[..., X, n]``.
        mark: From edges before to nodes, ``[..., n, Y]``.
        gating: From nodes to nodes, ``[..., n, n]``.
    """

    transition: Tensor
    source: Tensor
    mark: Tensor
    gating: Tensor


def merge(first: Block, second: Block) -> Block:
    """The block of all nodes of two neighbours, those of ``first`` before those of ``second``. Associative.

    Args:
        first: Its edges after are, in the same order, the edges before ``second``.
        second: The block behind it, of the same batch shape.
    """
    through = second.mark @ first.source
    return Block(
        transition=second.transition @ first.transition,
        source=torch.cat([second.transition @ first.source, second.source], dim=-1),
        mark=torch.cat([first.mark, second.mark @ first.transition], dim=-2),
        gating=torch.cat(
            [F.pad(first.gating, (0, second.gating.size(-1))), torch.cat([through, second.gating], dim=-1)], dim=-2
        ),
    )


def gating_matrix_merged(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph
) -> Tensor:
    r"""The matrix of :func:`~plstm_graph.ops.gating_matrix`, by merging neighbouring blocks of nodes, round by round.

    The number of dependent steps grows with the logarithm of the depth of the DAG, where other forms take one per
    level; each step is a batched matrix product. Meant for deep graphs whose cuts are narrow, such as chains, ladders
    and grids. Differentiable by autograd, which keeps the matrices of all rounds.

    Args:
        source: ``[E, H]``
        transition: ``[P, H]``
        mark: ``[E, H]``
        direct: ``[N, H]``
        line_graph: The structure.

    Returns:
        ``[H, N, N]``; entry ``[h, n, m]`` is what reaches node ``n`` of node ``m`` along all paths.

    Raises:
        ValueError: If the cuts are so wide that the matrices of blocks would have more than
            :data:`~plstm_graph.graph.blocks.node_blocks.MAX_NUMBERS`.
    """
    nodes, heads = direct.shape
    check_operand("direct", direct, line_graph, N=line_graph.num_nodes, H=heads)
    check_operand("source", source, line_graph, E=line_graph.num_edges, H=heads)
    check_operand("transition", transition, line_graph, P=line_graph.num_pairs, H=heads)
    check_operand("mark", mark, line_graph, E=line_graph.num_edges, H=heads)
    if nodes == 0:
        return direct.new_zeros(heads, 0, 0)
    blocks = NodeBlocks.build(line_graph.edge_index, line_graph.level, MAX_NUMBERS / max(heads, 1))
    maps = single_blocks(source, transition, mark, direct, line_graph, blocks)
    ptr, cut_width = blocks.ptr, blocks.cut_width
    while ptr.numel() > _FEW + 1:
        maps = _merge_neighbours(maps, ptr)
        ptr, cut_width = _every_second(ptr), _every_second(cut_width)
        maps = _cropped(maps, int(cut_width.max()), int(cut_width.max()), int(ptr.diff().max()))
    forest = _separate(maps, ptr.diff().tolist(), cut_width.tolist())
    while len(forest) > 1:
        pairs = zip(forest[0::2], forest[1::2], strict=False)
        forest = [merge(first, second) for first, second in pairs] + forest[len(forest) // 2 * 2 :]
    gating = forest[0].gating.to(direct.dtype)
    if bool((blocks.position.diff() == 1).all()):
        return gating
    return gating.index_select(1, blocks.position).index_select(2, blocks.position)


def single_blocks(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, blocks: NodeBlocks
) -> Block:
    """The maps of all blocks of one level or less, where no path has more than one node.

    Args:
        source: ``[E, H]``
        transition: ``[P, H]``
        mark: ``[E, H]``
        direct: ``[N, H]``
        line_graph: The structure.
        blocks: Its blocks of nodes.

    Returns:
        Matrices ``[B, H, W, W]``, ``[B, H, W, n]``, ``[B, H, n, W]`` and ``[B, H, n, n]`` for ``B`` blocks of up to
        ``n`` nodes and cuts of up to ``W`` edges, float32 at least; unused rows and columns are 0.
    """
    dtype = wide_dtype(source, transition, mark, direct)
    start, end = line_graph.edge_index
    in_edge, out_edge = line_graph.pairs
    passed_block, slot_before, slot_after = blocks.passing
    width, size = int(blocks.cut_width.max()), int(blocks.ptr.diff().max())

    def filled(rows: int, columns: int, block: Tensor, row: Tensor, column: Tensor, gate: Tensor) -> Tensor:
        zeros = gate.new_zeros(blocks.num_blocks, rows, columns, gate.size(1), dtype=dtype)
        return zeros.index_put((block, row, column), gate.to(dtype)).permute(0, 3, 1, 2).contiguous()

    unchanged = transition.new_ones(passed_block.numel(), transition.size(1))
    return Block(
        transition=filled(
            width,
            width,
            torch.cat([blocks.block[start[out_edge]], passed_block]),
            torch.cat([blocks.first_slot[out_edge], slot_after]),
            torch.cat([blocks.last_slot[in_edge], slot_before]),
            torch.cat([transition, unchanged]),
        ),
        source=filled(width, size, blocks.block[start], blocks.first_slot, blocks.place[start], source),
        mark=filled(size, width, blocks.block[end], blocks.place[end], blocks.last_slot, mark),
        gating=filled(size, size, blocks.block, blocks.place, blocks.place, direct),
    )


def _merge_neighbours(maps: Block, ptr: Tensor) -> Block:
    """Merge blocks two by two; an odd one at the end stays, followed by an empty one."""
    if maps.gating.size(0) % 2:
        # No edge crosses the cut behind the last block: a map of zeros is the empty block.
        maps = Block(*(F.pad(m, (0, 0, 0, 0, 0, 0, 0, 1)) for m in _matrices(maps)))
    merged = merge(Block(*(m[0::2] for m in _matrices(maps))), Block(*(m[1::2] for m in _matrices(maps))))
    room = maps.gating.size(-1)
    followed = ptr.diff()[:-1][0::2]
    if bool((followed == room).all()):
        return merged
    # Close the gaps behind the nodes of each first block. What stands in places without a node is never read.
    used = ptr.diff()[0::2, None].to(merged.gating.device)
    place = torch.arange(2 * room, device=merged.gating.device).expand(used.size(0), -1)
    place = torch.where(place < used, place, (place + room - used).clamp(max=2 * room - 1))[:, None]
    return Block(
        transition=merged.transition,
        source=_gather(merged.source, place.unsqueeze(-2), -1),
        mark=_gather(merged.mark, place.unsqueeze(-1), -2),
        gating=_gather(_gather(merged.gating, place.unsqueeze(-1), -2), place.unsqueeze(-2), -1),
    )


def _gather(matrix: Tensor, place: Tensor, dim: int) -> Tensor:
    """Rows or columns of each matrix, in the order of its own list."""
    size = list(matrix.shape)
    size[dim] = place.size(dim)
    return matrix.gather(dim, place.expand(size))


def _separate(maps: Block, sizes: list[int], cut_width: list[int]) -> list[Block]:
    """Single blocks ``[H, ...]`` without unused rows and columns."""
    return [
        _cropped(Block(*matrices), after, before, size)
        for *matrices, before, after, size in zip(*_matrices(maps), cut_width[:-1], cut_width[1:], sizes, strict=True)
    ]


def _cropped(maps: Block, after: int, before: int, size: int) -> Block:
    """Without the slots and places beyond the given numbers."""
    return Block(
        transition=maps.transition[..., :after, :before],
        source=maps.source[..., :after, :size],
        mark=maps.mark[..., :size, :before],
        gating=maps.gating[..., :size, :size],
    )


def _every_second(ptr: Tensor) -> Tensor:
    """What remains of the boundaries of blocks once neighbours are merged; the last one always does."""
    last = ptr.numel() - 1
    return ptr[[*range(0, last, 2), last]]


def _matrices(maps: Block) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return maps.transition, maps.source, maps.mark, maps.gating
