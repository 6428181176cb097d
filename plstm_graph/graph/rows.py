"""Sparse matrices in compressed rows, and the same matrix for several heads."""

from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """Non-zero positions of a matrix in compressed rows.

    Attributes:
        ptr: Items of row ``r`` are ``ptr[r]:ptr[r + 1]``, ``[R + 1]``.
        column: Column of each item, ``[M]``.
        where: Where the value of each item stands, ``[M]``.
    """

    ptr: Tensor
    column: Tensor
    where: Tensor

    @classmethod
    def sort(cls, row: Tensor, column: Tensor, where: Tensor, num_rows: int) -> "Rows":
        """Compress unsorted items, each given by its row, column and place of its value.

        Args:
            row: ``[M]``
            column: ``[M]``
            where: ``[M]``
            num_rows: Number of rows ``R``.
        """
        order = torch.argsort(row * (int(column.max()) + 1 if column.numel() else 1) + column)
        return cls(pointer(torch.bincount(row, minlength=num_rows)), column[order], where[order])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Rows":
        """Copy to a device."""
        return Rows(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))

    def for_heads(self, heads: int, row: Tensor | None = None) -> "Rows":
        """The same matrix for every head, rows and columns of the heads interleaved: ``r`` of ``h`` is ``r * H + h``.

        Args:
            heads: Number of heads ``H``.
            row: Row of each item, ``[M]``, if known already; compiled code needs it.
        """
        if heads == 1:
            return self
        count = self.ptr.diff()
        row = torch.repeat_interleave(count, output_size=self.column.numel()) if row is None else row
        head = torch.arange(heads, device=count.device)
        item = torch.arange(self.column.numel(), device=count.device)
        target = (item + (heads - 1) * self.ptr[:-1][row]).unsqueeze(1) + head * count[row].unsqueeze(1)
        # Scattered by flat positions, which takes a quarter of the time of indexed assignment.
        target = target.view(-1)
        column = torch.empty_like(target).scatter_(0, target, (self.column.unsqueeze(1) * heads + head).view(-1))
        where = torch.empty_like(target).scatter_(0, target, (self.where.unsqueeze(1) * heads + head).view(-1))
        begin = (heads * self.ptr[:-1].unsqueeze(1) + head * count.unsqueeze(1)).view(-1)
        return Rows(torch.cat([begin, heads * self.ptr[-1:]]), column, where)


def pointer(count: Tensor) -> Tensor:
    """Where each group of ``count`` items begins, and where the last one ends."""
    return torch.cat([count.new_zeros(1), count.cumsum(0)])
