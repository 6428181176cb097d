from pathlib import Path

import pytest
import torch

from plstm_graph.datasets import ChEMBL2321810, scaffold_split
from plstm_graph.datasets.molecules.chembl import _read_table
from plstm_graph.transforms import ToDAG


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def dataset(root: Path) -> ChEMBL2321810:
    return ChEMBL2321810(root, pre_transform=ToDAG())


def test_all_molecules_are_there(dataset: ChEMBL2321810) -> None:
    assert len(dataset) == 1017
    assert dataset.bad_rows == []
    assert dataset.y.shape == (1017, 1)
    assert (round(dataset.y.min().item(), 2), round(dataset.y.max().item(), 2)) == (4.27, 9.22)
    assert dataset.table.columns == ("name", "smiles", "activity")


def test_structure_is_attached(dataset: ChEMBL2321810) -> None:
    for data in dataset[:20]:
        start, end = data.level[data.edge_index]
        assert bool((start < end).all())
        assert data.edge_attr.size(0) == data.num_edges
        assert data.kept_pairs.dtype == torch.bool


def test_scaffold_split_keeps_scaffolds_apart(dataset: ChEMBL2321810) -> None:
    split = scaffold_split(dataset.table.column("smiles"))
    assert {part: len(indices) for part, indices in split.items()} == {"train": 813, "valid": 102, "test": 102}


def test_second_start_processes_nothing(dataset: ChEMBL2321810, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChEMBL2321810, "process", lambda self: pytest.fail("processed again"))
    assert len(ChEMBL2321810(root, pre_transform=ToDAG())) == 1017
    assert len(list((root / "chembl2321810" / "processed").iterdir())) == 1


def test_rdkit_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"CHEMBL2321810\.smi: its build leaves out Contrib.*pip install rdkit"):
        _read_table(tmp_path)
