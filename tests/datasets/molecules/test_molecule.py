import pickle
import random
import subprocess
import sys

import pytest
import torch
from ogb.utils import smiles2graph
from rdkit import Chem

from plstm_graph.datasets import InvalidSmilesError, smiles_to_data

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
SYMMETRIC = ["C12C3C4C1C5C4C3C25", "C1C2CC3CC1CC(C2)C3", "c1ccc2ccccc2c1", "C1CCCCC1.C1CCCCC1", "C[C@H](N)C(=O)O"]


def test_features_are_those_of_ogb() -> None:
    data, expected = smiles_to_data(ASPIRIN), smiles2graph(ASPIRIN)
    assert data.x.tolist() == expected["node_feat"].tolist()
    assert data.edge_index.tolist() == expected["edge_index"].tolist()
    assert data.edge_attr.tolist() == expected["edge_feat"].tolist()
    assert (data.x.dtype, data.edge_index.dtype, data.edge_attr.dtype) == (torch.long,) * 3
    assert data.smiles == ASPIRIN
    assert sorted(data.canonical_rank.tolist()) == list(range(13))


@pytest.mark.parametrize("smiles", ["C", "[U+9]", "[H][H]", "[Na+].[Cl-]", "*C"])
def test_unusual_molecules(smiles: str) -> None:
    data = smiles_to_data(smiles)
    assert data.x.shape == (data.num_nodes, 9)
    assert data.edge_index.shape == (2, data.num_edges)
    assert data.edge_attr.shape == (data.num_edges, 3)
    assert data.validate()


@pytest.mark.parametrize("smiles", [ASPIRIN, *SYMMETRIC])
def test_canonical_rank_does_not_depend_on_the_numbering(smiles: str) -> None:
    def in_canonical_order(molecule: Chem.Mol) -> tuple[list, list]:
        rank = smiles_to_data(Chem.MolToSmiles(molecule, canonical=False)).canonical_rank.tolist()
        molecule = Chem.MolFromSmiles(Chem.MolToSmiles(molecule, canonical=False))
        atoms = sorted((rank[atom.GetIdx()], atom.GetAtomicNum()) for atom in molecule.GetAtoms())
        ends = [(rank[bond.GetBeginAtomIdx()], rank[bond.GetEndAtomIdx()], bond) for bond in molecule.GetBonds()]
        return atoms, sorted((min(i, j), max(i, j), bond.GetBondTypeAsDouble()) for i, j, bond in ends)

    molecule = Chem.MolFromSmiles(smiles)
    expected = in_canonical_order(molecule)
    generator = random.Random(0)
    for _ in range(10):
        number = list(range(molecule.GetNumAtoms()))
        generator.shuffle(number)
        assert in_canonical_order(Chem.RenumberAtoms(molecule, number)) == expected


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CC", "cannot be parsed"),
        ("not a molecule", "cannot be parsed"),
        ("", "no atoms"),
        ("C(C)(C)(C)(C)C", "valence"),
        ("c1cccc1", "kekulize"),
    ],
)
def test_invalid_smiles(smiles: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidSmilesError, match=reason) as error:
        smiles_to_data(smiles)
    assert repr(smiles) in str(error.value)
    assert error.value.smiles == smiles
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # as worker processes hand it back
    assert capfd.readouterr().err == ""


def test_import_asks_no_package_index() -> None:
    code = (
        "import sys, threading; from plstm_graph.datasets import smiles_to_data; smiles_to_data('C'); "
        "print('outdated' in sys.modules, threading.active_count())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "1"]
