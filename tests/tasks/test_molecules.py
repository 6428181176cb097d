import itertools

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import Compose

from plstm_graph.tasks.molecules import check_finite
from plstm_graph.train import MoleculeDataModule

_ROWS = ["c1ccccc1,1.0,train", "CCO,2.0,train", "C1CC,3.0,train", "CCN,4.0,valid", "CCC,,test", "CCF,6.0,test"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["smiles,y,part", *_ROWS]) + "\n")
    return path


def _module(table, **arguments):
    return MoleculeDataModule(str(table), target_columns=["y"], root=str(table.parent / "root"), **arguments)


def test_bad_rows_are_listed_and_the_given_split_is_kept(table):
    data = _module(table, split="part")
    assert [row.line for row in data.bad_rows] == [4, 6]
    assert [graph.smiles for graph in data.subset("train")] == ["c1ccccc1", "CCO"]
    assert data.train_targets.tolist() == [[1.0], [2.0]]
    assert data.target_names == ["y"]
    assert "level" in data.dataset[0]  # ToDAG is the default


def test_missing_labels_can_be_kept(table):
    data = _module(table, split="part", allow_missing=True)
    assert torch.cat([graph.y for graph in data.subset("test")]).isnan().tolist() == [[True], [False]]


def test_loaders_give_each_molecule_once(table):
    data = _module(table, split="random", fractions=(0.5, 0.25, 0.25), batch_size=2, pre_transform=Compose([]))
    loaders = {"train": data.train_dataloader(), "valid": data.val_dataloader(), "test": data.test_dataloader()}
    seen = {split: [s for batch in loader for s in batch.smiles] for split, loader in loaders.items()}
    assert sorted(itertools.chain(*seen.values())) == ["CCF", "CCN", "CCO", "c1ccccc1"]
    assert {split: len(found) for split, found in seen.items()} == {"train": 2, "valid": 1, "test": 1}


def test_bad_arguments(table):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        _module(table, batch_size=0)
    with pytest.raises(ValueError, match="no column 'fold'"):
        _ = _module(table, split="fold").splits
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        _ = _module(table.with_name("none.csv")).dataset


@pytest.mark.parametrize(
    ("name", "value"), [("x", float("nan")), ("x", float("inf")), ("edge_attr", float("nan")), ("y", float("inf"))]
)
def test_values_that_are_not_finite_are_found(name, value):
    good = {"x": torch.zeros(3, 2), "edge_attr": torch.zeros(3, 2), "y": torch.tensor([[1.0, float("nan")]])}
    bad = {key: tensor.clone() for key, tensor in good.items()}
    bad[name][0, 1] = value
    check_finite([Data(**good)])
    with pytest.raises(ValueError, match=rf"graph 1 has {name}\[0, 1\] = {value}"):
        check_finite([Data(**good), Data(**bad)])
