"""Groups, orders and parts of molecules as numbers, for those that divide a table."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from torch import Tensor

from plstm_graph.datasets.folds import TEST, TRAIN, VALID
from plstm_graph.datasets.molecules.likeness import butina_clusters, kennard_stone_order


# Folds and choices ask anew for the same molecules, which takes a minute for many.
@lru_cache(maxsize=2)
def clusters_of(smiles: tuple[str, ...], cutoff: float) -> np.ndarray:
    """As :func:`~plstm_graph.datasets.molecules.likeness.butina_clusters`."""
    return butina_clusters(smiles, cutoff)


@lru_cache(maxsize=2)
def order_of(smiles: tuple[str, ...], count: int) -> np.ndarray:
    """As :func:`~plstm_graph.datasets.molecules.likeness.kennard_stone_order`."""
    return kennard_stone_order(smiles, count)


def sizes_of(n: int, fractions: Sequence[float]) -> list[float]:
    """Wanted sizes of parts, in rows."""
    return [fraction * n for fraction in fractions]


def part_numbers(parts: dict[str, list[int]] | dict[str, Tensor], n: int) -> np.ndarray:
    """The part of each molecule, from the molecules of each part."""
    part = np.full(n, TRAIN)
    part[parts["valid"]], part[parts["test"]] = VALID, TEST
    return part


def joined_groups(groups: Sequence[str] | np.ndarray, molecules: np.ndarray) -> np.ndarray:
    """Groups of which those with a molecule in common are one, ``[n]``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.unique(np.asarray(groups), return_inverse=True)[1]
    size = int(number.max()) + 1
    edges = coo_array((np.ones(len(number)), (number, size + molecules)), shape=[size + int(molecules.max()) + 1] * 2)
    return connected_components(edges, directed=False)[1][number]
