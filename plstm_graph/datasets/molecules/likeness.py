"""Molecules by the Tanimoto distance of their Morgan fingerprints: clusters, and an order in which they differ most."""

from collections.abc import Iterator, Sequence

import numpy as np
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import ExplicitBitVect
from rdkit.SimDivFilters import rdSimDivPickers
from tqdm import tqdm

from plstm_graph.datasets.molecules.molecule import parse_smiles

#: Beyond so many molecules, the distances of all pairs take minutes and gigabytes.
MOST = 50_000
_BITS = 2048
_BLOCK = 512


def fingerprints(smiles: Sequence[str]) -> list[ExplicitBitVect]:
    """Morgan fingerprints of radius 2.

    Raises:
        InvalidSmilesError: If a SMILES cannot be read.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=_BITS)
    texts = tqdm(smiles, desc="fingerprints", unit=" molecules", delay=2, disable=None)
    return [generator.GetFingerprint(parse_smiles(text)) for text in texts]


def butina_clusters(smiles: Sequence[str], cutoff: float = 0.65) -> np.ndarray:
    """Clusters of Taylor and Butina (J. Chem. Inf. Comput. Sci. 39, 747, 1999).

    The molecule with the most neighbours makes a cluster of these and itself, then the one with the most of all that
    are left in the first count; of equal ones the last in the table, as in
    RDKit, whose own function needs gigabytes for many molecules.

    Args:
        smiles: Of ``n`` molecules.
        cutoff: Largest Tanimoto distance (1 - similarity) of neighbours.

    Returns:
        Number of the cluster of each molecule, ``[n]``; cluster 0 was made first.

    Raises:
        ValueError: If there are more than :data:`MOST` molecules.
    """
    _check_count(len(smiles), "butina")
    found = [np.nonzero(likeness >= 1 - cutoff) for likeness in _likeness(fingerprints(smiles))]
    starts = [first + number * _BLOCK for number, (first, _) in enumerate(found)]
    later = [second + number * _BLOCK for number, (_, second) in enumerate(found)]
    start, end = (np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int32) for parts in (starts, later))
    start, end = start[start < end], end[start < end]
    both = np.concatenate([start, end]), np.concatenate([end, start])
    order = np.argsort(both[0], kind="stable")
    of_each = np.split(both[1][order], np.cumsum(np.bincount(both[0], minlength=len(smiles)))[:-1])
    cluster = np.full(len(smiles), -1)
    count = 0
    for number in np.argsort([len(found) for found in of_each], kind="stable")[::-1]:
        if cluster[number] < 0:
            members = of_each[number]
            cluster[members[cluster[members] < 0]] = count
            cluster[number] = count
            count += 1
    return cluster


def kennard_stone_order(smiles: Sequence[str], count: int) -> np.ndarray:
    """The order of Kennard and Stone (Technometrics 11, 137, 1969), by Tanimoto distance.

    It begins with the two molecules that differ most, and each that follows is the one whose nearest molecule among
    those before is farthest. RDKit's ``MaxMinPicker`` finds them; of several that are equally far it takes any.

    Args:
        smiles: Of ``n`` molecules.
        count: How many are put in order; the others follow as they stand in the table.

    Returns:
        A permutation, ``[n]``.

    Raises:
        ValueError: If there are more than :data:`MOST` molecules.
    """
    n = len(smiles)
    _check_count(n, "kennard_stone")
    prints = fingerprints(smiles)
    picked = list(_farthest(prints)) if n > 1 else [0] * n
    if count > len(picked):
        picked = list(rdSimDivPickers.MaxMinPicker().LazyBitVectorPick(prints, n, count, picked))
    left = np.ones(n, dtype=bool)
    left[picked] = False
    return np.concatenate([np.array(picked, dtype=np.int64), np.flatnonzero(left)])


def _farthest(prints: Sequence[ExplicitBitVect]) -> tuple[int, int]:
    """Two fingerprints of which none are less alike: the first such pair."""
    best, pair = 2.0, (0, 1)
    for number, likeness in enumerate(_likeness(prints)):
        lowest = float(likeness.min())
        if lowest < best:
            first, second = np.unravel_index(int(likeness.argmin()), likeness.shape)
            best, pair = lowest, (int(first) + number * _BLOCK, int(second) + number * _BLOCK)
        if best == 0:
            break
    return pair


def _likeness(prints: Sequence[ExplicitBitVect]) -> Iterator[np.ndarray]:
    """Tanimoto similarities, of each block of fingerprints with itself and all after it, ``[B, n - start]``."""
    bits = np.zeros((len(prints), _BITS), dtype=np.float32)
    for row, each in zip(bits, prints, strict=True):
        row[list(each.GetOnBits())] = 1
    count = bits.sum(axis=1)
    for start in tqdm(range(0, len(bits), _BLOCK), desc="similarities", unit=" blocks", delay=2, disable=None):
        block = slice(start, start + _BLOCK)
        shared = bits[block] @ bits[start:].T
        yield shared / np.maximum(count[block, None] + count[None, start:] - shared, 1)


def _check_count(n: int, kind: str) -> None:
    if n > MOST:
        raise ValueError(
            f"split {kind!r} compares all molecules with each other: {MOST:,} are the most, and there are {n:,}; "
            "'scaffold_balanced' takes any number"
        )
