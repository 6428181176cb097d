"""Atoms and bonds of molecules in OGB's scheme, as arrays. Imports no torch: worker processes start with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from plstm_graph.datasets.molecules.parse import InvalidSmilesError

# The categories of ogb.utils.features. Written down because importing ogb looks for a newer version online, and takes
# torch along. The last number of a column is that of all other values.
_ATOMIC_NUMBERS = 118
_CHIRALITY = {
    Chem.ChiralType.CHI_UNSPECIFIED: 0,
    Chem.ChiralType.CHI_TETRAHEDRAL_CW: 1,
    Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 2,
    Chem.ChiralType.CHI_OTHER: 3,
}
_HYBRIDIZATION = {
    Chem.HybridizationType.SP: 0,
    Chem.HybridizationType.SP2: 1,
    Chem.HybridizationType.SP3: 2,
    Chem.HybridizationType.SP3D: 3,
    Chem.HybridizationType.SP3D2: 4,
}
_BOND_TYPE = {Chem.BondType.SINGLE: 0, Chem.BondType.DOUBLE: 1, Chem.BondType.TRIPLE: 2, Chem.BondType.AROMATIC: 3}
_BOND_STEREO = {
    Chem.BondStereo.STEREONONE: 0,
    Chem.BondStereo.STEREOZ: 1,
    Chem.BondStereo.STEREOE: 2,
    Chem.BondStereo.STEREOCIS: 3,
    Chem.BondStereo.STEREOTRANS: 4,
    Chem.BondStereo.STEREOANY: 5,
}
#: Columns whose categories are whole numbers in a row: the first, and how many there are.
_RANGES = {0: (1, _ATOMIC_NUMBERS), 2: (0, 11), 3: (-5, 11), 4: (0, 9), 5: (0, 5)}
_COLUMNS = 9
_OTHER_CHIRALITY, _OTHER_HYBRIDIZATION, _OTHER_BOND = 4, 5, 4


@dataclass
class MoleculeArrays:
    """Molecules as arrays, one after the other.

    Attributes:
        x (numpy.ndarray): Atoms in OGB's scheme, ``[N, 9]``, int64, as all that follow.
        edge_index (numpy.ndarray): Each bond in both directions, ``[2, E]``; atoms of each molecule count from 0.
        edge_attr (numpy.ndarray): Bonds in OGB's scheme, ``[E, 3]``.
        canonical_rank (numpy.ndarray): RDKit's canonical order of the atoms of each molecule, ``[N]``.
        num_nodes (list[int]): Atoms of each molecule.
        num_edges (list[int]): Columns of ``edge_index`` of each molecule.
        component (numpy.ndarray): Which molecule of its row each atom is of, ``[N]``.
    """

    x: np.ndarray
    edge_index: np.ndarray
    edge_attr: np.ndarray
    canonical_rank: np.ndarray
    num_nodes: list[int]
    num_edges: list[int]
    component: np.ndarray


class MoleculeRows:
    """Collects atoms and bonds of molecules, and makes arrays of all of them at once, which is faster."""

    def __init__(self) -> None:
        self._atoms: list[tuple[int, ...]] = []
        self._ends: list[tuple[int, int]] = []
        self._bonds: list[tuple[int, int, int]] = []
        self._rank: list[int] = []
        self._num_nodes: list[int] = []
        self._num_edges: list[int] = []
        self._component: list[int] = []

    def add(self, smiles: Sequence[str], molecules: Sequence[Chem.Mol]) -> None:
        """Add a molecule, or several that are one graph.

        Args:
            smiles: For messages.
            molecules: What RDKit reads in them.

        Raises:
            InvalidSmilesError: If one has a bond that OGB's scheme does not have; nothing is added then.
        """
        read = [_bonds(text, molecule) for text, molecule in zip(smiles, molecules, strict=True)]
        first = 0
        for number, (molecule, (ends, bonds)) in enumerate(zip(molecules, read, strict=True)):
            count = molecule.GetNumAtoms()
            self._ends += ends if first == 0 else [(start + first, end + first) for start, end in ends]
            self._bonds += bonds
            self._atoms += _atoms(molecule)
            self._rank += [rank + first for rank in Chem.CanonicalRankAtoms(molecule, breakTies=True)]
            self._component += [number] * count
            first += count
        self._num_nodes.append(first)
        self._num_edges.append(sum(len(ends) for ends, _ in read))

    def arrays(self) -> MoleculeArrays:
        """All molecules that were added."""
        x = np.array(self._atoms, dtype=np.int64).reshape(-1, _COLUMNS)
        for column, (first, count) in _RANGES.items():
            values = x[:, column] - first
            x[:, column] = np.where((values >= 0) & (values < count), values, count)
        return MoleculeArrays(
            x=x,
            edge_index=np.array(self._ends, dtype=np.int64).reshape(-1, 2).T,
            edge_attr=np.array(self._bonds, dtype=np.int64).reshape(-1, 3),
            canonical_rank=np.array(self._rank, dtype=np.int64),
            num_nodes=self._num_nodes,
            num_edges=self._num_edges,
            component=np.array(self._component, dtype=np.int64),
        )


def _atoms(molecule: Chem.Mol) -> list[tuple[int, ...]]:
    """Values of each atom; those of :data:`_RANGES` as they are."""
    return [
        (
            atom.GetAtomicNum(),
            _CHIRALITY.get(atom.GetChiralTag(), _OTHER_CHIRALITY),
            atom.GetTotalDegree(),
            atom.GetFormalCharge(),
            atom.GetTotalNumHs(),
            atom.GetNumRadicalElectrons(),
            _HYBRIDIZATION.get(atom.GetHybridization(), _OTHER_HYBRIDIZATION),
            atom.GetIsAromatic(),
            atom.IsInRing(),
        )
        for atom in molecule.GetAtoms()
    ]


def _bonds(smiles: str, molecule: Chem.Mol) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Ends and categories of each bond, in both directions."""
    ends: list[tuple[int, int]] = []
    rows: list[tuple[int, int, int]] = []
    for bond in molecule.GetBonds():
        start, end, stereo = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _BOND_STEREO.get(bond.GetStereo())
        if stereo is None:
            raise InvalidSmilesError(smiles, f"OGB's features have no number for a bond with {bond.GetStereo()}")
        row = _BOND_TYPE.get(bond.GetBondType(), _OTHER_BOND), stereo, int(bond.GetIsConjugated())
        ends += ((start, end), (end, start))
        rows += (row, row)
    return ends, rows
