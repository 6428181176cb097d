"""The nodes of a DAG cut into blocks along a topological order, and the edges that cross each cut."""

from dataclasses import dataclass

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges

#: Matrices of all blocks together may have this many numbers; a gigabyte in float32.
MAX_NUMBERS = 2**28


@dataclass(frozen=True, eq=False)
class NodeBlocks:
    """Blocks of nodes, each of one level at most, in topological order.

    *Cut* ``b`` lies before block ``b``, cut ``B`` after the last block. An edge crosses all cuts between the block of
    its start node and that of its end node, and takes a *slot* in each. Slots of a cut are numbered from 0.

    Attributes:
        ptr: First node of each block in the order, and their number, ``[B + 1]``, on the CPU.
        position: Position of each node in the order, ``[N]``.
        block: Block of each node, ``[N]``.
        place: Position of each node within its block, ``[N]``.
        cut_width: Number of edges that cross each cut, ``[B + 1]``, on the CPU.
        first_slot: Slot of each edge in the first cut that it crosses, ``[E]``.
        last_slot: Slot of each edge in the last cut that it crosses, ``[E]``.
        passing: Block, slot before it and slot after it, for each edge that passes over a block, ``[3, Q]``.
    """

    ptr: Tensor
    position: Tensor
    block: Tensor
    place: Tensor
    cut_width: Tensor
    first_slot: Tensor
    last_slot: Tensor
    passing: Tensor

    @classmethod
    def build(
        cls, edge_index: Tensor, level: Tensor, max_numbers: float = float("inf"), instead: str = "use gating_matrix"
    ) -> "NodeBlocks":
        """Cut each level into as few blocks of about equal size as keep to the average size of a level.

        Args:
            edge_index: Start and end node of each edge, ``[2, E]``, int64.
            level: Longest-path level of each node, ``[N]``, int64.
            max_numbers: How many numbers matrices of (cut + block) x (cut + block) may have, over all blocks.
            instead: What to do if they would have more, for the message.

        Raises:
            ValueError: If they would have more; nothing of that size has been allocated by then.
        """
        num_nodes = level.numel()
        order = torch.argsort(level, stable=True)
        position = torch.empty_like(order)
        position[order] = torch.arange(num_nodes, device=order.device)
        level_size = torch.bincount(level).cpu()
        per_block = -(-num_nodes // max(level_size.numel(), 1))
        parts = (level_size + per_block - 1) // max(per_block, 1)
        part = expand_ranges(torch.zeros_like(parts), parts)
        size, parts = level_size.repeat_interleave(parts), parts.repeat_interleave(parts)
        ptr = torch.zeros(parts.numel() + 1, dtype=torch.long, device="cpu")
        ptr[1:] = ((part + 1) * size // parts - part * size // parts).cumsum(0)

        block = torch.repeat_interleave(ptr.diff().to(order.device))[position]
        first, last = block[edge_index[0]] + 1, block[edge_index[1]]
        change = torch.bincount(first, minlength=ptr.numel()) - torch.bincount(last + 1, minlength=ptr.numel() + 1)[:-1]
        cut_width = change.cumsum(0).cpu()
        widest = int(cut_width.max())
        numbers = parts.numel() * (widest + per_block) ** 2
        if numbers > max_numbers:
            raise ValueError(
                f"{parts.numel()} blocks with up to {widest} edges across a cut take {numbers} numbers per head, more "
                f"than {max_numbers:.0f}; merging is for deep and narrow graphs, {instead} for this one"
            )

        count = last - first + 1
        cut = expand_ranges(first, count)
        by_cut = torch.argsort(cut, stable=True)
        slot = torch.empty_like(cut)
        slot[by_cut] = expand_ranges(torch.zeros_like(cut_width), cut_width).to(cut.device)
        of_first = count.cumsum(0) - count
        goes_on = torch.ones_like(cut, dtype=torch.bool)
        goes_on[of_first + count - 1] = False
        passes = goes_on.nonzero().view(-1)
        return cls(
            ptr=ptr,
            position=position,
            block=block,
            place=position - ptr.to(block.device)[block],
            cut_width=cut_width,
            first_slot=slot[of_first],
            last_slot=slot[of_first + count - 1],
            passing=torch.stack([cut[passes], slot[passes], slot[passes + 1]]),
        )

    @property
    def num_blocks(self) -> int:
        """Number of blocks ``B``."""
        return self.ptr.numel() - 1
