"""How near molecules are to those of a training set, by the substructures they share."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.molecules.fingerprints import morgan_fingerprints

#: Bytes of a fingerprint: 2,048 places, a bit each.
BYTES = 256
# Molecules whose bits lie in the processor's cache together, and those that are compared with them in one product.
_TILE, _QUERIES = 256, 1024


def packed_fingerprints(smiles: Sequence[str]) -> Tensor:
    """Which circular substructures molecules have: Morgan fingerprints of radius 2 (ECFP4), eight places to a byte.

    Args:
        smiles: Of ``n`` molecules.

    Returns:
        ``[n, 256]``, uint8

    Raises:
        ValueError: If one is no SMILES; names it.
    """
    return torch.from_numpy(np.packbits(morgan_fingerprints(smiles), axis=1))


def nearest_similarity(molecules: Tensor, training: Tensor) -> Tensor:
    """Largest Tanimoto similarity of each molecule to one of a training set.

    That is the number of places that both have over that of those that one has: 1 for equal fingerprints, 0 for those
    without a common place. Products of a sparse matrix, as a molecule has some 30 of 2,048 places, with the training
    set in pieces that fit into the cache: 100 million pairs take 2.5 s on one core.

    Args:
        molecules: By :func:`packed_fingerprints`, ``[n, 256]``.
        training: Likewise, ``[m, 256]``.

    Returns:
        ``[n]``, float32; 0 where there is nothing to compare with
    """
    from scipy.sparse import csr_matrix  # slow to import, and not needed without molecules

    places = csr_matrix(np.unpackbits(molecules.numpy(), axis=1).astype(np.float32))
    counts = np.asarray(places.sum(axis=1))
    nearest = np.zeros(len(molecules), dtype=np.float32)
    for start in range(0, len(training), _TILE):
        tile = np.unpackbits(training[start : start + _TILE].numpy(), axis=1).astype(np.float32)
        transposed, of_tile = np.ascontiguousarray(tile.T), tile.sum(axis=1)
        for first in range(0, len(molecules), _QUERIES):
            rows = slice(first, first + _QUERIES)
            common = places[rows] @ transposed
            similarity = common / np.maximum(counts[rows] + of_tile - common, 1)
            nearest[rows] = np.maximum(nearest[rows], similarity.max(axis=1))
    return torch.from_numpy(nearest)
