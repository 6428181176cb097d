"""Groups of molecules that stay together, in parts of given sizes: at random, but for those that are too large."""

from collections.abc import Sequence

import numpy as np


def balanced_parts(groups: Sequence[str] | np.ndarray, wanted: Sequence[float], seed: int, first: bool) -> np.ndarray:
    """The part of each row, so that rows of the same group are in one part.

    Groups come in an order of the seed. Those larger than half of the smallest part come before the others: into the
    first part while it has room, or into that with the most room. Each of the others goes where most is missing, as a
    fraction of what is wanted, so that all parts get large and small groups.

    Args:
        groups: What stays together, ``[n]``.
        wanted: Sizes of the parts, in rows; a part of size 0 gets none.
        seed: Of the order.
        first: Whether large groups go into the first part, as they do where that one trains; folds are all alike.

    Returns:
        Numbers of parts, ``[n]``.
    """
    _, number, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    sizes = np.asarray(wanted, dtype=np.float64)
    order = np.random.default_rng(seed).permutation(len(counts))
    is_large = counts[order] > sizes[sizes > 0].min() / 2
    part_of = np.zeros(len(counts), dtype=np.int64)
    have = np.zeros(len(sizes))
    for group, large in [
        *zip(order[is_large], [True] * len(order), strict=False),
        *((g, False) for g in order[~is_large]),
    ]:
        count = counts[group]
        lacks = np.divide(sizes - have, sizes, out=np.full(len(sizes), -np.inf), where=sizes > 0)
        part = 0 if large and first and have[0] + count <= sizes[0] else int(np.argmax(lacks))
        part_of[group] = part
        have[part] += count
    return part_of[number]
