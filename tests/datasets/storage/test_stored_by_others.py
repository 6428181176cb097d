"""Processed files that come with a folder, and values of files that have another type than they should."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from plstm_graph.datasets import SmilesDataset
from plstm_graph.datasets.dag_folder.dataset import DAGFolder
from plstm_graph.datasets.dag_folder.encoding import Encoding
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.storage.plain_values import literal
from plstm_graph.datasets.storage.tensor_files import TensorFileError
from plstm_graph.transforms import ToDAG
from tests.fuzz.kinds import KINDS


@pytest.fixture
def folder(tmp_path):
    for name, content in KINDS["processed DAGs"].files.items():
        (tmp_path / "dags" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dags" / name).write_bytes(content)
    shutil.rmtree(tmp_path / "dags" / "stored")
    return tmp_path / "dags"


def _stored(folder):
    return Path(DAGFolder(folder, pre_transform=ToDAG("keep")).processed_dir)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(edge_index=values["edge_index"].double()),
        lambda values: values.update(edge_index=values["edge_index"][:1]),
        lambda values: values.update(edge_index=values["edge_index"].to_sparse()),
        lambda values: values.update(level=values["level"].to_sparse()),
        lambda values: values.update(x=None),
        lambda values: values.update(x=values["x"][:, 0]),
        lambda values: values["x"].__setitem__((0, -1), 10**6),
        lambda values: values["x"].__setitem__((0, -1), -1),
        lambda values: values["x"].__setitem__((0, 0), float("nan")),
        lambda values: values.update(y="y"),
    ],
)
def test_graphs_that_come_with_a_folder(change, folder):
    stored = _stored(folder)
    values, *more = torch.load(stored / "data.pt", weights_only=False)
    change(values)
    torch.save((values, *more), stored / "data.pt")
    with pytest.raises(TensorFileError, match="remove the folder"):
        DAGFolder(folder, pre_transform=ToDAG("keep"))


@pytest.mark.parametrize("begins", [7, None, [], "x", torch.zeros(0), torch.tensor([0, 1]), torch.tensor([0.0, 1.0])])
def test_begins_of_graphs_that_come_with_a_folder(begins, folder):
    stored = _stored(folder)
    values, slices, *more = torch.load(stored / "data.pt", weights_only=False)
    torch.save((values, slices | {"level": begins}, *more), stored / "data.pt")
    with pytest.raises(TensorFileError, match="do not fit together"):
        DAGFolder(folder, pre_transform=ToDAG("keep"))


@pytest.mark.parametrize(
    "split", [7, {}, torch.zeros(3), torch.zeros(2, 6), torch.zeros(12).to_sparse(), torch.zeros(12).t()[:5]]
)
def test_splits_that_come_with_a_folder(split, folder):
    torch.save(split, _stored(folder) / "split.pt")
    with pytest.raises(TensorFileError, match="does not say the part of each graph"):
        _ = DAGFolder(folder, pre_transform=ToDAG("keep")).split


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("task",), True),
        (("task",), "multiclass"),
        (("level",), None),
        (("target_names",), "y"),
        (("target_names",), []),
        (("classes",), [["a"], ["b"]]),
        (("columns", 0, "words"), [1]),
        (("columns", 0, "mean"), "0"),
        (("columns", 0, "kind"), "text"),
        (("columns", 0, "more"), 1),
        (("dtype",), "int64"),
        (("left_out",), []),
    ],
)
def test_encodings_of_other_types(place, value, folder):
    path = _stored(folder) / "encoding.json"
    whole = json.loads(path.read_text())
    assert Encoding.load(path) == Encoding.of_plain(whole)
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(whole))
    with pytest.raises(ValueError, match="cannot be read"):
        DAGFolder(folder, pre_transform=ToDAG("keep"))


@pytest.mark.parametrize(
    "values", [[], None, {"edges": 7}, {"targets": "y"}, {"split": {"fractions": [1, 0]}}, {"x": 1}]
)
def test_specs_of_other_types(values):
    with pytest.raises(ValueError, match=r"has another type|lacks"):
        Spec.of_plain(values)


@pytest.mark.parametrize("rows", ["7", "[7]", "[[1]]", "[[1, 2, 3]]", '[["x", "y"]]', "[" * 100_000])
def test_bad_rows_of_molecules(rows, tmp_path):
    (tmp_path / "t.csv").write_text("smiles,y\nCCO,1\nCCN,2\n")
    data = SmilesDataset(tmp_path, tmp_path / "t.csv", log=False)
    (Path(data.processed_dir) / "bad_rows.json").write_text(rows)
    with pytest.raises(ValueError, match=r"bad_rows\.json is damaged"):
        SmilesDataset(tmp_path, tmp_path / "t.csv", log=False)


@pytest.mark.parametrize("row", [torch.tensor([0]), torch.tensor([0, 2]), torch.tensor([-1, 0]), torch.ones(2), None])
def test_rows_of_molecules(row, tmp_path):
    (tmp_path / "t.csv").write_text("smiles,y\nCCO,1\nCCN,2\n")
    data = SmilesDataset(tmp_path, tmp_path / "t.csv", log=False)
    path = Path(data.processed_dir) / "data.pt"
    values, slices, *more = torch.load(path, weights_only=False)
    slices.pop("row")
    torch.save((values | {"row": row}, slices, *more), path)
    with pytest.raises(TensorFileError, match=r"rows of its graphs|of another table"):
        SmilesDataset(tmp_path, tmp_path / "t.csv", log=False)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "(" * 5_000 + ")" * 5_000, "-" * 100_000 + "1", "import os", "f()", "\0"]
)
def test_literals_that_are_none(text):
    with pytest.raises(ValueError, match=r".") as caught:
        literal(text)
    assert len(str(caught.value)) < 300
