"""Products with sparse matrices of one pattern for all heads, given in compressed rows."""

import functools
import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.native.load import CHANGED


class Pattern(NamedTuple):
    """Non-zero positions of a block-diagonal matrix with one block of the same pattern per head.

    Attributes:
        ptr: Entries of row ``h * E + i`` are ``ptr[h * E + i]:ptr[h * E + i + 1]``, ``[H * E + 1]``.
        column: Column of each entry, ``[H * A]``.
    """

    ptr: Tensor
    column: Tensor

    @classmethod
    def of_heads(cls, ptr: Tensor, column: Tensor, heads: int) -> "Pattern":
        """Repeat one pattern for every head.

        Args:
            ptr: Compressed rows of one head, ``[E + 1]``.
            column: Column of each entry, ``[A]``.
            heads: Number of heads ``H``.
        """
        rows, entries = ptr.numel() - 1, column.numel()
        head = torch.arange(heads, device=ptr.device).unsqueeze(1)
        last = ptr.new_full((1,), heads * entries)
        return cls(torch.cat([(ptr[:-1] + head * entries).view(-1), last]), (column + head * rows).view(-1))


def sparse_times_dense(pattern: Pattern, weight: Tensor, dense: Tensor) -> Tensor:
    """Matrix product, without autograd.

    Args:
        pattern: Pattern of the sparse matrix.
        weight: Its entries, ``[H * A]``.
        dense: ``[H * E, D]``

    Returns:
        ``[H * E, D]``
    """
    return F.embedding_bag(pattern.column, dense, pattern.ptr[:-1], mode="sum", per_sample_weights=weight)


def sampled_product(pattern: Pattern, left: Tensor, right: Tensor) -> Tensor:
    """Entries of ``left @ right.T`` at the positions of a pattern, without autograd.

    Args:
        pattern: Where to evaluate.
        left: ``[H * E, D]``
        right: ``[H * E, D]``, or another number of rows if the pattern is not square

    Returns:
        ``[H * A]``

    Raises:
        ValueError: If the pattern leads outside the matrix, on a CPU; asking a GPU would make the host wait for it.
    """
    _silence_beta_warning()
    if left.is_cpu:
        _check_bounds(pattern, left.size(0), right.size(0))
    zeros = left.new_zeros(pattern.column.numel())
    sparse = torch.sparse_csr_tensor(
        pattern.ptr, pattern.column, zeros, (left.size(0), right.size(0)), check_invariants=False
    )
    return torch.sparse.sampled_addmm(sparse, left, right.t(), beta=0.0).values()


def _check_bounds(pattern: Pattern, rows: int, columns: int) -> None:
    """Check what torch does not before it reads and writes there: rows in order, columns inside the matrix."""
    # Read in place: a question to torch counts as one to a device, of which forward passes ask none.
    ptr, column = pattern.ptr.numpy(), pattern.column.numpy()
    whole = len(ptr) == rows + 1 and ptr[0] == 0 and ptr[-1] == len(column)
    if whole and len(column) > 0:
        whole = column.min() >= 0 and column.max() < columns and bool((ptr[1:] >= ptr[:-1]).all())
    if not whole:
        raise ValueError(f"the links of the line graph have an index outside their range: {CHANGED}")


@functools.cache
def _silence_beta_warning() -> None:
    """torch warns at the first tensor with compressed rows of a process that they are in beta; take that one here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        none = torch.empty(0, dtype=torch.long, device="cpu")
        torch.sparse_csr_tensor(none.new_zeros(2), none, none, (1, 1), check_invariants=False)
