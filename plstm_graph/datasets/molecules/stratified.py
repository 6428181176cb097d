"""Parts of rows with several labels, of which each has about its share of every label."""

from collections.abc import Sequence

import numpy as np


def labelled_parts(labels: np.ndarray, wanted: Sequence[float], seed: int) -> np.ndarray:
    """Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011).

    The rarest label among the rows that are left comes first: each of its rows goes to the part that lacks most rows of
    this label, of such parts to the one that lacks most rows at all. Rows without labels fill what is left.

    Args:
        labels: Whether each row has each label, ``[n, T]``; a missing one counts as none.
        wanted: Sizes of the parts, in rows; a part of size 0 gets none.
        seed: Of the order of rows.

    Returns:
        Numbers of parts, ``[n]``.
    """
    has = np.asarray(labels) > 0
    sizes = np.asarray(wanted, dtype=np.float64)
    lacks = sizes.copy()
    lacks_label = np.outer(sizes / sizes.sum(), has.sum(axis=0))
    lacks[sizes == 0] = lacks_label[sizes == 0] = -np.inf
    order = np.random.default_rng(seed).permutation(len(has))
    part = np.full(len(has), -1)

    def put(row: int, scores: np.ndarray) -> None:
        best = np.flatnonzero(scores == scores.max())
        part[row] = chosen = best[np.argmax(lacks[best])]
        lacks[chosen] -= 1
        lacks_label[chosen] -= has[row]

    while True:
        left = order[part[order] < 0]
        counts = has[left].sum(axis=0)
        if not counts.any():
            break
        label = int(np.where(counts > 0, counts, len(has) + 1).argmin())
        for row in left[has[left, label]]:
            put(row, lacks_label[:, label])
    for row in left:
        put(row, lacks)
    return part
