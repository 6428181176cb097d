"""Similarity to the nearest training molecule, against RDKit's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from plstm_graph.datasets import ChEMBL2321810
from plstm_graph.datasets.molecules.similarity import nearest_similarity, packed_fingerprints

_SMILES = ["C", "CCO", "CCCO", "c1ccccc1", "Cc1ccccc1O", "[Na+].[Cl-]", "CC(=O)Oc1ccccc1C(=O)O", "O"]


def _by_rdkit(molecules, training):
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    there = [make(Chem.MolFromSmiles(text)) for text in training]
    return [max(DataStructs.BulkTanimotoSimilarity(make(Chem.MolFromSmiles(text)), there)) for text in molecules]


@given(
    molecules=st.lists(st.sampled_from(_SMILES), min_size=1), training=st.lists(st.sampled_from(_SMILES), min_size=1)
)
def test_as_rdkit_has_it(molecules, training):
    found = nearest_similarity(packed_fingerprints(molecules), packed_fingerprints(training))
    assert found.tolist() == pytest.approx(_by_rdkit(molecules, training), abs=1e-6)
    assert all(value == 1 for value, text in zip(found.tolist(), molecules, strict=True) if text in training)


def test_sets_larger_than_a_tile(tmp_path):
    """Of real molecules, so that places are as common as they are."""
    smiles = ChEMBL2321810(str(tmp_path)).smiles[:700]
    found = nearest_similarity(packed_fingerprints(smiles[600:]), packed_fingerprints(smiles[:600]))
    assert found.tolist() == pytest.approx(_by_rdkit(smiles[600:], smiles[:600]), abs=1e-6)


def test_nothing_to_compare():
    some, none = packed_fingerprints(["CCO"]), torch.zeros(2, 256, dtype=torch.uint8)
    assert nearest_similarity(some[:0], some).shape == (0,)
    assert nearest_similarity(some, some[:0]).tolist() == [0]
    assert nearest_similarity(none, none).tolist() == [0, 0]  # without any place there is none in common
