"""Where to cut the levels of a DAG into blocks."""

import torch
from torch import Tensor

from plstm_graph.graph.ancestry import MAX_ENTRIES, AncestryTooLargeError
from plstm_graph.graph.blocks.level_blocks import close_blocks, mark
from plstm_graph.graph.levels import expand_ranges
from plstm_graph.graph.schedule import Schedule

# Nanoseconds of a forward and backward pass on one CPU core: orders of magnitude, set by hand on chains, circuits and
# random DAGs.
_PER_BLOCK = 500_000.0  # some thirty operations, whatever their size
_PER_STATE_NUMBER = 0.5  # a number of a K x V state, carried over a crossing pair or a wide item
_PER_VECTOR_NUMBER = 1.0  # a number of a query, key or value, weighed by a thin item
_PER_VALUE = 30.0  # filling in the value of an item, or a step that leads to it, and its gradient

# Numbers in the states of a block's edges, so that the few tensors of that size stay in a cache of some megabytes.
_STATE_NUMBERS = 2**19


def equal_blocks(schedule: Schedule, levels: int) -> Tensor:
    """Blocks of a given number of levels; the last may be shorter.

    Args:
        schedule: The line graph in storage order.
        levels: Number of levels of each block.

    Returns:
        First edge of each block and end of the last, ``[B + 1]``, on the CPU.

    Raises:
        ValueError: If ``levels`` is not positive.
    """
    if levels < 1:
        raise ValueError(f"a block must have at least one level, got {levels}")
    return torch.cat([schedule.edge_ptr[:-1:levels], schedule.edge_ptr[-1:]])


def merged_blocks(
    schedule: Schedule, heads: int, key_width: int, value_width: int, max_entries: int = MAX_ENTRIES
) -> Tensor:
    """Blocks that are cheap to compute: two neighbours merge while one block costs less than the two.

    At first every level is a block. Blocks of ``2^j`` levels then merge two by two, where both are still whole, into
    blocks of ``2^(j + 1)``; parts of the DAG that are wide stop early, parts that are narrow go on. All candidates of
    a size are examined together. Blocks grow no larger than the cache; a level that is wider is cut into several.

    Args:
        schedule: The line graph in storage order.
        heads: ``H``
        key_width: ``K``
        value_width: ``V``
        max_entries: Stop merging when the blocks have more items than this.

    Returns:
        First edge of each block and end of the last, ``[B + 1]``, on the CPU.
    """
    widths = heads, key_width, value_width
    max_edges = max(_STATE_NUMBERS // max(heads * key_width * value_width, 1), 1)
    is_cut = torch.ones(schedule.num_levels, dtype=torch.bool, device="cpu")
    whole = is_cut.clone()
    size = 1
    edge_ptr = equal_blocks(schedule, size)
    cost = _costs(schedule, edge_ptr, whole, widths, max_entries)
    while True:
        pairs = whole.numel() // 2
        apart = cost[: 2 * pairs].view(pairs, 2).sum(dim=1)
        size *= 2
        edge_ptr = equal_blocks(schedule, size)
        chosen = edge_ptr.diff() <= max_edges
        chosen[:pairs] &= whole[: 2 * pairs].view(pairs, 2).all(dim=1)
        chosen[pairs:] = False
        if not bool(chosen.any()):
            break
        try:
            cost = _costs(schedule, edge_ptr, chosen, widths, max_entries)
        except AncestryTooLargeError:
            break
        whole = chosen
        whole[:pairs] &= cost[:pairs] < apart
        is_cut[whole.nonzero().view(-1) * size + size // 2] = False
    first = schedule.edge_ptr[:-1][is_cut]
    return _cut_wide(torch.cat([first, schedule.edge_ptr[-1:]]), max_edges)


def _cut_wide(edge_ptr: Tensor, max_edges: int) -> Tensor:
    """Cut blocks of more than ``max_edges`` edges, each of one level, into equal parts."""
    size = edge_ptr.diff()
    parts = (size + max_edges - 1) // max_edges
    within = expand_ranges(torch.zeros_like(parts), parts)
    first = edge_ptr[:-1].repeat_interleave(parts) + within * size.repeat_interleave(parts) // parts.repeat_interleave(
        parts
    )
    return torch.cat([first, edge_ptr[-1:]])


def _costs(
    schedule: Schedule, edge_ptr: Tensor, chosen: Tensor, widths: tuple[int, int, int], max_entries: int
) -> Tensor:
    """What each chosen block costs as one, ``[B]``; meaningless for the others.

    Raises:
        AncestryTooLargeError: If the chosen blocks have more than ``max_entries`` items.
    """
    heads, key_width, value_width = widths
    inside, order, ancestry = close_blocks(schedule, edge_ptr, max_entries, chosen)
    size, num_blocks = schedule.edge_order.numel(), edge_ptr.numel() - 1
    block = torch.repeat_interleave(edge_ptr.diff()).to(order.device)
    crosses = ~mark(inside, schedule.pair_in.numel())
    is_exit, is_entry = mark(schedule.pair_in[crosses], size), mark(schedule.pair_out[crosses], size)
    reached = order[ancestry.to_edge]
    is_wide = is_exit[reached] | is_entry[order[ancestry.from_edge]]

    def per_block(edges: Tensor) -> Tensor:
        return torch.bincount(block[edges], minlength=num_blocks).to("cpu", torch.float64)

    wide, items = per_block(reached[is_wide]), per_block(reached)
    crossing = per_block(schedule.pair_out[crosses])
    steps = per_block(reached[ancestry.step_to])
    return _PER_BLOCK + heads * (
        (wide + crossing) * (key_width * value_width * _PER_STATE_NUMBER)
        + (items - wide) * ((key_width + value_width) * _PER_VECTOR_NUMBER)
        + (items + steps) * _PER_VALUE
    )
