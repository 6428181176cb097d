"""Molecular fingerprints, from SMILES."""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator
from tqdm import tqdm


def read_molecule(smiles: str) -> Chem.Mol:
    """A molecule, also if this RDKit no longer accepts its valences, as happens with sets that an older one made.

    Args:
        smiles: Of one molecule.

    Raises:
        ValueError: If it is no SMILES at all.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) or Chem.MolFromSmiles(smiles, sanitize=False)
    if molecule is None:
        raise ValueError(f"not a SMILES: {smiles!r}")
    molecule.UpdatePropertyCache(strict=False)
    return molecule


def morgan_fingerprints(smiles: Sequence[str], radius: int = 2, size: int = 2048, counts: bool = False) -> np.ndarray:
    """Which circular substructures each molecule has, hashed to a fixed number of places (ECFP of diameter 2 x radius).

    Args:
        smiles: Of ``B`` molecules.
        radius: Largest number of bonds between the centre of a substructure and its rim.
        size: Number of places.
        counts: How often each substructure occurs, rather than whether it does; 255 at most. It tells large molecules
            of the same parts, such as peptides, from each other.

    Returns:
        0 or 1, or counts, ``[B, size]``, uint8

    Raises:
        ValueError: If one is no SMILES; names it.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size)
    generate = generator.GetCountFingerprintAsNumPy if counts else generator.GetFingerprintAsNumPy
    places = np.zeros((len(smiles), size), dtype=np.uint8)
    for row, each in enumerate(tqdm(smiles, desc="fingerprints", unit=" molecules", delay=2, disable=None)):
        molecule = read_molecule(each)
        # The generator asks which atoms are in rings; only a sanitised molecule knows.
        Chem.FastFindRings(molecule)
        places[row] = np.minimum(generate(molecule), 255)
    return places
