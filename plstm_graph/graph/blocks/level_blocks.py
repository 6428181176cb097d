"""The levels of a DAG cut into blocks: which edges reach which inside a block, and which pairs cross between blocks."""

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph.ancestry import MAX_ENTRIES, Ancestry
from plstm_graph.graph.rows import Rows
from plstm_graph.graph.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of consecutive levels, or parts of a level, of edges as stored in a :class:`~plstm_graph.graph.Schedule`.

    An edge lies in the block of its start node. A pair *crosses* if its edges lie in different blocks; its in-edge is
    then an *exit* of its block, its out-edge an *entry* of a later one. Inside the blocks, an item (a, g) says that
    edge ``a`` reaches edge ``g`` of the same block; it has one value per head, an entry of the resolvent
    ``(I - T)^-1``. Items that leave an entry or arrive at an exit are *wide*: K x V states pass through them. The
    others are *thin* and only ever weigh the value of one edge against the query of another. The reversed DAG has the
    same blocks with rows and columns, entries and exits exchanged.

    Attributes:
        edge_ptr: Edges of block ``b`` are ``edge_ptr[b]:edge_ptr[b + 1]``, ``[B + 1]``, always on the CPU.
        entries: Edges that a crossing pair leads into, ascending, ``[Y]``.
        exits: Edges that a crossing pair leads out of, ascending, ``[X]``.
        crossing_in: Crossing pairs; rows are entries, columns exits, values stand at the caller's pair.
        crossing_out: Their transpose.
        wide: Wide items; rows are the edges reached, columns those that reach them.
        wide_back: Their transpose.
        thin: Thin items, likewise.
        thin_back: Their transpose; values stand at the item of ``thin``.
        own: Value of each edge reaching itself, ``[E]`` in an order of its own.
        step_from: Value that each step starts from, ``[S]``; values are filled in by steps over pairs inside blocks.
        step_to: Value that each step adds to, ``[S]``.
        step_pair: The caller's pair that each step crosses, ``[S]``.
        step_ptr: Steps to the ``l``-th level of every block are ``step_ptr[l]:step_ptr[l + 1]``, always on the CPU.
        layouts: What :meth:`plstm_graph.graph.blocks.layout.BlockLayout.of` has built so far.
    """

    edge_ptr: Tensor
    entries: Tensor
    exits: Tensor
    crossing_in: Rows
    crossing_out: Rows
    wide: Rows
    wide_back: Rows
    thin: Rows
    thin_back: Rows
    own: Tensor
    step_from: Tensor
    step_to: Tensor
    step_pair: Tensor
    step_ptr: Tensor
    layouts: dict[tuple[int, bool], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def build(cls, schedule: Schedule, edge_ptr: Tensor, max_entries: int = MAX_ENTRIES) -> "Blocks":
        """Cut a schedule into blocks.

        Args:
            schedule: The line graph in storage order.
            edge_ptr: First edge of each block and end of the last, ``[B + 1]``, int64, on the CPU. A block consists of
                whole levels, or of a part of one.
            max_entries: Stop when the blocks have more items than this.

        Raises:
            AncestryTooLargeError: If they do.
        """
        size = schedule.edge_order.numel()
        block = torch.repeat_interleave(edge_ptr.diff()).to(schedule.start.device)
        inside, order, ancestry = close_blocks(schedule, edge_ptr, max_entries)
        from_edge, to_edge = order[ancestry.from_edge], order[ancestry.to_edge]

        crosses = (block[schedule.pair_in] != block[schedule.pair_out]).nonzero().view(-1)
        exits, exit_of = torch.unique(schedule.pair_in[crosses], return_inverse=True)
        entries, entry_of = torch.unique(schedule.pair_out[crosses], return_inverse=True)
        is_exit, is_entry = mark(exits, size), mark(entries, size)
        pair = schedule.pair_order[crosses]

        is_wide = is_exit[to_edge] | is_entry[from_edge]
        wide, thin = is_wide.nonzero().view(-1), (~is_wide).nonzero().view(-1)
        thin_rows = Rows.sort(to_edge[thin], from_edge[thin], thin, size)
        thin_row = torch.repeat_interleave(thin_rows.ptr.diff())
        here = torch.arange(thin.numel(), device=thin.device)
        return cls(
            edge_ptr=edge_ptr,
            entries=entries,
            exits=exits,
            crossing_in=Rows.sort(entry_of, exit_of, pair, entries.numel()),
            crossing_out=Rows.sort(exit_of, entry_of, pair, exits.numel()),
            wide=Rows.sort(to_edge[wide], from_edge[wide], wide, size),
            wide_back=Rows.sort(from_edge[wide], to_edge[wide], wide, size),
            thin=thin_rows,
            thin_back=Rows.sort(thin_rows.column, thin_row, here, size),
            own=ancestry.own,
            step_from=ancestry.step_from,
            step_to=ancestry.step_to,
            step_pair=schedule.pair_order[inside[ancestry.step_pair]],
            step_ptr=ancestry.step_ptr,
        )

    @property
    def num_blocks(self) -> int:
        """Number of blocks ``B``."""
        return self.edge_ptr.numel() - 1

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Blocks":
        """Copy to a device; ``edge_ptr`` and ``step_ptr`` stay on the CPU."""
        moved = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "layouts"}
        return Blocks(
            **{
                name: value if name.endswith("_ptr") else value.to(device, non_blocking=non_blocking)
                for name, value in moved.items()
            }
        )


def close_blocks(
    schedule: Schedule, edge_ptr: Tensor, max_entries: int, chosen: Tensor | None = None
) -> tuple[Tensor, Tensor, Ancestry]:
    """Find which edges of a block reach each other, for all blocks together.

    The pairs inside blocks form a line graph no deeper than the longest block, so this takes as many steps as that
    block has levels.

    Args:
        schedule: The line graph in storage order.
        edge_ptr: First edge of each block and end of the last, ``[B + 1]``, on the CPU.
        max_entries: As in :meth:`~plstm_graph.graph.ancestry.Ancestry.build`.
        chosen: Which blocks to look into, ``[B]``, bool, on the CPU. (default: all)

    Returns:
        The stored pairs that lie inside blocks, ``[P']``; edges by their level within the block, ``[E]``; and which
        reach which, in positions of these two.
    """
    device = schedule.start.device
    level = torch.repeat_interleave(schedule.edge_ptr.diff())
    block = torch.repeat_interleave(edge_ptr.diff())
    depth = (level - level[edge_ptr[:-1]][block]).to(device)
    block = block.to(device)
    is_inside = block[schedule.pair_in] == block[schedule.pair_out]
    if chosen is not None:
        is_inside &= chosen.to(device)[block[schedule.pair_in]]
    inside = is_inside.nonzero().view(-1)
    pairs = torch.stack([schedule.pair_in[inside], schedule.pair_out[inside]])
    # Every edge as a node of its own: only its depth decides where it is stored.
    edge = torch.arange(block.numel(), device=device)
    by_depth = Schedule.build(torch.stack([edge, edge]), pairs, depth)
    return inside, by_depth.edge_order, Ancestry.build(by_depth, max_entries)


def mark(edges: Tensor, size: int) -> Tensor:
    """Which of ``size`` edges are listed."""
    mask = torch.zeros(size, dtype=torch.bool, device=edges.device)
    mask[edges] = True
    return mask
