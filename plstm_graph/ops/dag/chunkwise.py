r"""The chunkwise form: blocks of consecutive levels; parallel inside, K x V states only where pairs cross between them.

See :mod:`plstm_graph.ops.dag.block_walk` for the recurrence. Memory is bounded further by slices: neither heads nor
columns of the values know of each other, so they can be computed one after the other.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.blocks.layout import BlockLayout
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.block_walk import walk, walk_back
from plstm_graph.ops.dag.twins import edge_messages_twin

#: States and adjoint states at the borders of blocks that are computed at once, in bytes; more than twice that are
#: computed in slices.
STATE_BYTES = 2**31

#: States kept for the backward pass, in bytes, over all slices; more than that are computed once more there.
KEPT_BYTES = 2**32

#: Index tensors before those of the :class:`BlockLayout`.
_FOR_TWIN = 7

#: Fewer numbers of states per block than this take less time than starting the operations on them.
SLICE_NUMBERS = 2**15


def edge_messages_chunkwise(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    line_graph: LineGraph,
    block: int | None = None,
) -> Tensor:
    """What each edge brings to its end node. Arguments and result as in :func:`~plstm_graph.ops.edge_messages`.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H]``
        transition: ``[P, H]``
        line_graph: The DAG's line graph.
        block: Number of levels of each block. (default: chosen by what the blocks would cost)

    Raises:
        AncestryTooLargeError: If so many edges of one block reach each other that they cannot be listed.
        ValueError: If ``block`` is not positive.
    """
    heads, key_width, value_width = query.size(1), query.size(2), value.size(2)
    blocks = line_graph.blocks(heads, key_width, value_width, block)
    numbers = heads * key_width * value_width
    kept = (blocks.entries.numel() + blocks.exits.numel()) * numbers * value.element_size()
    per_block = line_graph.num_edges * numbers // max(blocks.num_blocks, 1)
    head_step, column_step = slice_sizes(kept, per_block, heads, value_width)
    if torch.compiler.is_compiling():
        # Compiled code cannot cut blocks: it takes those that LineGraph.prepare() has made for all heads.
        head_step = heads
    elif block is None and head_step < heads:
        blocks = line_graph.blocks(head_step, key_width, value_width)
    s, reverse = line_graph.schedule, line_graph.is_reversed
    ends, pairs = (s.start, s.end), (s.pair_in, s.pair_out)
    for_twin = (*(ends[::-1] if reverse else ends), *(pairs[::-1] if reverse else pairs))
    return _CHUNKWISE(
        *(query, key, value, source, transition),
        structure=[*for_twin, s.edge_order, s.pair_order, s.pair_ptr, *BlockLayout.of(blocks, head_step, reverse)],
        options=[int(reverse), head_step, column_step],
    )


def slice_sizes(state_bytes: int, block_numbers: int, heads: int, columns: int) -> tuple[int, int]:
    """Heads, and columns of the values, to compute at once.

    So many slices that the states of one stay below :data:`STATE_BYTES`, but no more than leave every block enough to
    do: slices walk over the blocks one after the other, and compute states in the backward pass anew. For that reason
    two slices are not worth it.

    Args:
        state_bytes: Size of all states kept.
        block_numbers: Numbers in the states of all edges of an average block.
        heads: ``H``
        columns: ``V``

    Returns:
        A divisor of ``heads``, and at most ``columns``; both at least 1.
    """
    slices = min(-(-state_bytes // STATE_BYTES), block_numbers // SLICE_NUMBERS)
    if slices <= 2:
        return heads, max(columns, 1)
    for step in range(heads, 0, -1):
        if heads % step == 0 and heads // step >= slices:
            return step, max(columns, 1)
    per_head = min(-(-slices // max(heads, 1)), columns)
    return 1, -(-columns // max(per_head, 1)) if columns else 1


def _slices(value: Tensor, head_step: int, column_step: int) -> list[tuple[slice, slice]]:
    """Every combination of a range of heads and a range of columns."""
    heads, columns = value.shape[1:]
    return [
        (slice(head, head + head_step), slice(column, min(column + column_step, columns)))
        for head in range(0, heads, head_step)
        for column in range(0, columns, column_step)
    ]


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Messages in the caller's edge order ``[E, H, V]``; states of exits, slice after slice, or none if too many.

    ``structure`` is what :func:`~plstm_graph.ops.dag.twins.edge_messages_twin` takes, then a :class:`BlockLayout`.
    """
    query, key, value, source, transition = operands
    start, end, edge_order, layout = _structure(structure)
    reverse, head_step, column_step = bool(options[0]), *options[1:]
    messages = value.new_empty(edge_order.numel(), *value.shape[1:])
    states = _storage(query, value, layout)
    slices = _slices(value, head_step, column_step)
    for (heads, columns), place in zip(slices, _places(states, query, slices, layout), strict=True):
        messages[edge_order, heads, columns] = walk(
            query[end, heads],
            key[start, heads] * source[edge_order, heads].unsqueeze(-1),
            value[start, heads, columns],
            transition[:, heads].contiguous(),
            layout,
            reverse,
            place,
        )
    return messages, states


def _backward(
    grad_messages: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    (states,) = kept
    query, key, value, source, transition = operands
    start, end, edge_order, layout = _structure(structure)
    reverse, head_step, column_step = bool(options[0]), *options[1:]
    grads = tuple(torch.zeros_like(tensor) for tensor in (query, key, value, source, transition))
    grad_query, grad_key, grad_value, grad_source, grad_transition = grads
    slices = _slices(value, head_step, column_step)
    for (heads, columns), place in zip(slices, _places(states, query, slices, layout), strict=True):
        gate = source[edge_order, heads].unsqueeze(-1)
        here = (
            query[end, heads],
            key[start, heads] * gate,
            value[start, heads, columns],
            transition[:, heads].contiguous(),
            layout,
            reverse,
        )
        if states.numel() == 0:
            walk(*here, place)
        of_query, of_key, of_value, of_transition = walk_back(grad_messages[edge_order, heads, columns], place, *here)
        grad_query[:, heads] += _at_nodes(of_query, end, query)
        grad_value[:, heads, columns] = _at_nodes(of_value, start, value)
        grad_source[edge_order, heads] += (of_key * key[start, heads]).sum(dim=-1)
        grad_key[:, heads] += _at_nodes(of_key.mul_(gate), start, key)
        grad_transition[:, heads] += of_transition
    return grad_query, grad_key, grad_value, grad_source, grad_transition


def _structure(structure: Tensors) -> tuple[Tensor, Tensor, Tensor, BlockLayout]:
    """Start and end of each stored edge, the caller's edge, and the blocks."""
    start, end, _, _, edge_order, *_ = structure
    return start, end, edge_order, BlockLayout(*structure[_FOR_TWIN:])


def _at_nodes(of_edges: Tensor, node: Tensor, like: Tensor) -> Tensor:
    """Sums over the edges of each node; in memory of their own, for adding to a view with gaps is far slower."""
    return like.new_zeros(like.size(0), *of_edges.shape[1:]).index_add_(0, node, of_edges)


def _storage(query: Tensor, value: Tensor, layout: BlockLayout) -> Tensor:
    """Room for the states that the backward pass is given; none if it computes them anew, slice by slice."""
    numbers = layout.exit.size(0) * value.size(1) * query.size(2) * value.size(2)
    return value.new_empty(numbers if numbers * value.element_size() <= KEPT_BYTES else 0)


def _places(states: Tensor, query: Tensor, slices: list[tuple[slice, slice]], layout: BlockLayout) -> Iterator[Tensor]:
    """Where the states of each slice belong, ``[X * H', K * V']``: in the storage, or in memory of their own."""
    begin = 0
    for heads, columns in slices:
        shape = (layout.exit.size(0) * (heads.stop - heads.start), query.size(2) * (columns.stop - columns.start))
        if states.numel() == 0:
            yield states.new_empty(shape)
        else:
            yield states[begin : begin + math.prod(shape)].view(shape)
        begin += math.prod(shape)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    query, _, value, source, _ = operands
    return value.new_empty(source.size(0), *value.shape[1:]), _storage(query, value, _structure(structure)[3])


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    return edge_messages_twin(operands, structure[:_FOR_TWIN], reverse=bool(options[0]))


_CHUNKWISE = CustomOperator(
    "chunkwise", ("query", "key", "value", "source", "transition"), _forward, _backward, _fake, _twin, kept=1
)
