"""Molecular fingerprints, from SMILES."""

from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from tqdm import tqdm

from plstm_graph.text import meant


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


#: Names of fingerprints, and what each tells of a molecule.
FINGERPRINTS = {
    "ecfp": "circular substructures of radius 2, by atoms (Morgan)",
    "fcfp": "the same by what atoms do: donors, acceptors, charges, rings, halogens",
    "maccs": "166 substructures that chemists chose",
    "atom_pairs": "pairs of atoms and how many bonds lie between them",
    "torsions": "chains of four atoms",
}
_SIZE = 2048  # places of those that are hashed


def fingerprints(
    smiles: Sequence[str], names: Sequence[str], size: int = _SIZE, counts: bool = False, radius: int = 2
) -> np.ndarray:
    """Fingerprints of molecules, several side by side.

    Args:
        smiles: Of ``B`` molecules.
        names: Of :data:`FINGERPRINTS`, each once.
        size: Number of places of each that is hashed; ``"maccs"`` has 167.
        counts: How often each substructure occurs, rather than whether it does; 255 at most; ``"maccs"`` knows none.
        radius: Largest number of bonds between the centre of a circular substructure and its rim.

    Returns:
        0 or 1, or counts, ``[B, F]``, uint8

    Raises:
        ValueError: If there is no fingerprint of a name, a name stands twice, or one is no SMILES; names it.
    """
    check_names(names)
    makers = [_maker(name, size, counts, radius) for name in names]
    rows = np.zeros((len(smiles), sum(width for width, _ in makers)), dtype=np.uint8)
    for row, each in enumerate(tqdm(smiles, desc="fingerprints", unit=" molecules", delay=2, disable=None)):
        molecule = read_molecule(each)
        # Generators ask which atoms are in rings; only a sanitised molecule knows.
        Chem.FastFindRings(molecule)
        place = 0
        for width, make in makers:
            rows[row, place : place + width] = np.minimum(make(molecule), 255)
            place += width
    return rows


def check_names(names: Sequence[str]) -> None:
    """Check names of fingerprints.

    Raises:
        ValueError: If there is none of a name, or a name stands twice.
    """
    for name in names:
        if name not in FINGERPRINTS:
            raise ValueError(f"there is no fingerprint {name!r}{meant(name, FINGERPRINTS)}: {', '.join(FINGERPRINTS)}")
        if list(names).count(name) > 1:
            raise ValueError(f"the fingerprint {name} stands twice")
    if not names:
        raise ValueError(f"name at least one fingerprint: {', '.join(FINGERPRINTS)}")


def morgan_fingerprints(smiles: Sequence[str], radius: int = 2, size: int = _SIZE, counts: bool = False) -> np.ndarray:
    """Which circular substructures each molecule has (ECFP of diameter 2 x radius), see :func:`fingerprints`."""
    return fingerprints(smiles, ["ecfp"], size, counts, radius)


def _maker(name: str, size: int, counts: bool, radius: int) -> tuple[int, Callable[[Chem.Mol], np.ndarray]]:
    """Number of places of a fingerprint, and what makes it."""
    if name == "maccs":
        return 167, lambda molecule: np.array(rdMolDescriptors.GetMACCSKeysFingerprint(molecule), dtype=np.uint8)
    generator = {
        "ecfp": lambda: rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=size),
        "fcfp": lambda: rdFingerprintGenerator.GetMorganGenerator(
            radius=radius,
            fpSize=size,
            atomInvariantsGenerator=rdFingerprintGenerator.GetMorganFeatureAtomInvGen(),
        ),
        "atom_pairs": lambda: rdFingerprintGenerator.GetAtomPairGenerator(fpSize=size),
        "torsions": lambda: rdFingerprintGenerator.GetTopologicalTorsionGenerator(fpSize=size),
    }[name]()
    return size, generator.GetCountFingerprintAsNumPy if counts else generator.GetFingerprintAsNumPy
