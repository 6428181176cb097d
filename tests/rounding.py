"""How far two evaluations of the same sums may lie apart: in another order or place, on another processor."""

import torch


def rounding(dtype: torch.dtype, summands: int) -> float:
    """Relative to the largest entry: every addition and product rounds by at most half a unit in the last place.

    Args:
        dtype: What the sums are kept in.
        summands: How many numbers, at most, an entry is summed up from.
    """
    return summands * torch.finfo(dtype).eps
