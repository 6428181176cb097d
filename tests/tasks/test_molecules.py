"""Tables of molecules as a task: rows, splits, values that are not finite."""

import itertools

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.datasets.molecules.smiles import check_finite
from plstm_graph.tasks.molecules import molecules
from plstm_graph.tasks.task import Shard
from tests.train.tiny_model import TinyModel

_ROWS = ["c1ccccc1,1.0,train", "CCO,2.0,train", "C1CC,3.0,train", "CCN,4.0,valid", "CCC,,test", "CCF,6.0,test"]
_BOTH_WAYS = {"class_path": "torch_geometric.transforms.Compose", "init_args": {"transforms": []}}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["smiles,y,part", *_ROWS]) + "\n")
    return path


def task_of(table, **arguments):
    return molecules(str(table.parent / "root"), str(table), target_columns=["y"], **arguments)


def test_bad_rows_are_listed_and_the_given_split_is_kept(table):
    task = task_of(table, split="part")
    data = task.labelled
    assert [row.line for row in data.bad_rows] == [4, 6]
    assert [note.partition(":")[0] for note in task.notes[-2:]] == ["left out, line 4", "left out, line 6"]
    assert [graph.smiles for graph in task.parts["train"]] == ["c1ccccc1", "CCO"]
    assert data.train_targets.tolist() == [[1.0], [2.0]]
    assert data.target_names == ["y"]
    assert "level" in data.dataset[0]  # ToDAG is the default


def test_missing_labels_can_be_kept(table):
    task = task_of(table, split="part", allow_missing=True)
    assert torch.cat([graph.y for graph in task.parts["test"]]).isnan().tolist() == [[True], [False]]


def test_batches_give_each_molecule_once(table):
    task = task_of(table, split="random", fractions=(0.5, 0.25, 0.25), pre_transform=_BOTH_WAYS)
    needs, where = task.needs(torch.nn.Linear(1, 1)), (torch.device("cpu"), Shard())
    batches = {part: task.batches(part, needs, 2, *where) for part in ("valid", "test")}
    batches["train"] = task.train_loader(needs, 2, 0, *where)
    seen = {part: [smiles for batch in loader for smiles in batch.smiles] for part, loader in batches.items()}
    assert sorted(itertools.chain(*seen.values())) == ["CCF", "CCN", "CCO", "c1ccccc1"]
    assert {part: len(found) for part, found in seen.items()} == {"train": 2, "valid": 1, "test": 1}


def test_bad_arguments(table):
    with pytest.raises(ValueError, match="no column 'fold'"):
        task_of(table, split="fold")
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        task_of(table.with_name("none.csv"))
    with pytest.raises(ValueError, match=r"kind must be one of regression, .*got 'sequence'"):
        task_of(table, split="part", kind="sequence")


def test_a_model_is_tried_on_molecules(table):
    task = task_of(table, split="part")
    task.check(TinyModel())
    with pytest.raises(ValueError, match=r"a model of graphs with out_channels=1 \(y\) is needed"):
        task.check(TinyModel(out_channels=3))


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


def test_classes_that_differ_in_capitals_alone_are_said(table):
    table.write_text(table.read_text().replace(",1.0", ",Low").replace(",2.0", ",low").replace(",4.0", ",Low"))
    task = task_of(table, split="part", kind="multiclass")
    assert "target 'y': classes 'Low', 'low' differ in capitals alone" in task.notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["OC,1,train"],
            "1 molecule stands in several rows (2 rows), 0 of them in several parts: lines 2 (train) and 8 (t",
        ),
        (
            ["C(C)O,1,test", "OC,2,valid", "OC,2,valid"],
            "2 molecules stand in several rows (5 rows), 2 of them in several",
        ),
        (
            ["CN(C),1,test"],
            "1 molecule stands in several rows (2 rows), 1 of them in several parts: lines 4 (valid) and 8",
        ),
        (["CCCCCO,1,test"], None),
    ],
)
def test_molecules_that_stand_in_several_rows_are_counted_and_named(tmp_path, rows, message):
    first = ["CO,1,train", "CCO,2,train", "CNC,3,valid", "CCN,4,valid", "CCCO,5,test", "CCCN,6,test"]
    path = tmp_path / "several.csv"
    path.write_text("\n".join(["smiles,y,part", *first, *rows]) + "\n")
    notes = molecules(str(tmp_path), str(path), target_columns=["y"], split="part").notes
    assert [note[: len(message)] for note in notes] == [message] if message else notes == []
