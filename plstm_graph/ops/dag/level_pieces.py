"""Pairs of a line graph level by level, in pieces that bound how much is held at once."""

import itertools

from torch import Tensor


def level_pieces(pair_ptr: Tensor, size: int, last_first: bool) -> list[slice]:
    """The stored pairs of each level that has any, in the order in which they are advanced.

    Pairs of a level do not know of each other, so a level with a hub, which has far more pairs than edges, is cut.

    Args:
        pair_ptr: Where each level begins, ``[L + 1]``, on the CPU.
        size: Most pairs of a piece; at least one is taken.
        last_first: Whether the last level comes first.
    """
    pieces = [
        slice(begin, min(begin + max(size, 1), last))
        for first, last in itertools.pairwise(pair_ptr.tolist())
        for begin in range(first, last, max(size, 1))
    ]
    return pieces[::-1] if last_first else pieces
