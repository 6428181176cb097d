"""Blocks of a DAG laid out for one direction and number of heads, as the chunkwise form walks them."""

from typing import NamedTuple

import torch
from torch import Tensor

from plstm_graph.graph.blocks.level_blocks import Blocks
from plstm_graph.graph.plain import outside_transforms
from plstm_graph.graph.rows import Rows


class BlockLayout(NamedTuple):
    """A flat list of tensors. Row ``r`` of head ``h`` stands at ``r * H + h`` everywhere.

    A matrix is given by ``..._ptr`` (compressed rows), ``..._column`` and ``..._value`` (where its values stand). The
    two that are walked block by block have rows that begin anew in each block, with one end more, and count from the
    first item of the block; columns of ``wide`` count from the first edge of the block.
    """

    wide_ptr: Tensor
    wide_column: Tensor
    wide_value: Tensor
    wide_back_ptr: Tensor
    wide_back_column: Tensor
    wide_back_value: Tensor
    arriving_ptr: Tensor
    arriving_column: Tensor
    arriving_value: Tensor
    leaving_ptr: Tensor
    leaving_column: Tensor
    leaving_value: Tensor
    crossing_ptr: Tensor
    thin_ptr: Tensor
    thin_column: Tensor
    thin_value: Tensor
    thin_back_ptr: Tensor
    thin_back_column: Tensor
    thin_back_value: Tensor
    entry: Tensor
    exit: Tensor
    own: Tensor
    step_from: Tensor
    step_to: Tensor
    step_pair: Tensor
    step_ptr: Tensor
    bounds: Tensor

    @classmethod
    @outside_transforms
    def of(cls, blocks: Blocks, heads: int, reverse: bool) -> "BlockLayout":
        """Lay out blocks, once for each number of heads and direction. Arguments as for :meth:`build`."""
        if (heads, reverse) not in blocks.layouts:
            blocks.layouts[heads, reverse] = cls.build(blocks, heads, reverse)
        return blocks.layouts[heads, reverse]

    @classmethod
    def build(cls, blocks: Blocks, heads: int, reverse: bool) -> "BlockLayout":
        """Lay out blocks.

        Args:
            blocks: The blocks.
            heads: Number of heads that are advanced together.
            reverse: Whether to go from sinks to sources.
        """
        wide, wide_back, thin, thin_back = blocks.wide, blocks.wide_back, blocks.thin, blocks.thin_back
        arriving, leaving = blocks.crossing_in, blocks.crossing_out
        entries, exits = blocks.entries, blocks.exits
        if reverse:
            wide, wide_back, arriving, leaving = wide_back, wide, leaving, arriving
            entries, exits = exits, entries
            place = torch.empty_like(thin_back.where)
            place[thin_back.where] = torch.arange(place.numel(), device=place.device)
            thin, thin_back = (
                Rows(thin_back.ptr, thin_back.column, thin.where[thin_back.where]),
                Rows(thin.ptr, thin.column, place),
            )
        device = blocks.own.device
        edge_ptr = blocks.edge_ptr.to(device)
        block = torch.repeat_interleave(edge_ptr.diff())
        entry_ptr, exit_ptr = torch.searchsorted(entries, edge_ptr), torch.searchsorted(exits, edge_ptr)
        first = edge_ptr[block]

        bounds = [edge_ptr, entry_ptr, exit_ptr]
        walked: list[Tensor] = []
        for rows, row_ptr in ((wide, edge_ptr), (wide_back, edge_ptr), (arriving, entry_ptr), (leaving, exit_ptr)):
            bounds.append(rows.ptr[row_ptr] * heads)
            column = rows.column
            if row_ptr is edge_ptr:
                column = column - torch.repeat_interleave(first, rows.ptr.diff())
            repeated = Rows(rows.ptr, column, rows.where).for_heads(heads)
            walked += [_by_block(repeated.ptr, row_ptr * heads), repeated.column, repeated.where]
        thin_heads, thin_back_heads = thin.for_heads(heads), thin_back.for_heads(heads)
        # Values of the transpose stand at the items of the matrix itself.
        item = torch.empty_like(thin_heads.where)
        flat = torch.arange(item.numel(), device=device)
        item[thin._replace(where=flat[: thin.where.numel()]).for_heads(heads).where] = flat
        thin_back_heads = thin_back_heads._replace(where=item[thin_back_heads.where])
        on_cpu = torch.empty(len(bounds), blocks.num_blocks + 1, dtype=torch.long, device="cpu")
        return cls._make(
            (
                *walked,
                arriving.for_heads(heads).ptr,
                *thin_heads,
                *thin_back_heads,
                entries - first[entries],
                exits - first[exits],
                blocks.own,
                blocks.step_from,
                blocks.step_to,
                blocks.step_pair,
                blocks.step_ptr,
                on_cpu.copy_(torch.stack(bounds)),
            )
        )


def _by_block(ptr: Tensor, row_ptr: Tensor) -> Tensor:
    """Pointers that begin anew with each block of rows, ``[R + B]``."""
    block = torch.repeat_interleave(row_ptr.diff() + 1)
    position = torch.arange(block.numel(), device=ptr.device) - block
    return ptr[position] - ptr[row_ptr[:-1]][block]
