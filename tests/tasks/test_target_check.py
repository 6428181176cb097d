"""Targets that do not fit their kind are refused before training, with place, value and the kind that fits."""

import csv
import io
import math
from dataclasses import replace

import pytest
import torch

from plstm_graph.datasets import BadRow
from plstm_graph.datasets.dag_folder import DAGFolderError
from plstm_graph.datasets.dag_folder.dataset import DAGFolder, OnDiskDAGFolder
from plstm_graph.report.predictions import measured_columns, prediction_columns
from plstm_graph.tasks.metrics import misfit
from plstm_graph.tasks.molecules import molecules
from plstm_graph.tasks.supervised import check_targets
from tests.tasks.made_task import made_task
from tests.train.tiny_model import TinyModel

nan, inf = math.nan, math.inf
_SMILES = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "F")]


def _table(path, cells, parts=None):
    """Two columns `y`, `z` of the same cells; molecules 0-11 train, 12-17 validate, 18-23 test."""
    parts = parts or ["train"] * 12 + ["valid"] * 6 + ["test"] * 6
    rows = [[smiles, cell, cell, part] for smiles, cell, part in zip(_SMILES, cells, parts, strict=True)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["smiles", "y", "z", "part"], *rows])
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def _task(path, kind, targets=("y",), **options):
    root = str(path.parent / "root")
    return molecules(root, str(path), kind, target_columns=list(targets), split="part", **options)


def _cycle(*words):
    return [words[number % len(words)] for number in range(24)]


@pytest.mark.parametrize(
    ("cells", "kind", "columns", "message"),
    [
        ([f"{0.5 + 0.1 * n:g}" for n in range(24)], "binary", 1, "line 2: target 'y' is '0.5', a number"),
        (_cycle("0", "1", "2"), "binary", 1, "line 4: target 'y' is '2', a third value beside 0, 1"),
        (_cycle("a", "b", "c"), "binary", 1, "line 4: target 'y' is 'c', a third value beside a, b"),
        (_cycle("0.5", "1.5"), "multiclass", 2, "line 2: target 'y' is '0.5', a number and not the name of a class"),
        (
            _cycle("1", "2", "3"),
            "multiclass",
            2,
            "[2, 3]: a model of graphs with out_channels=3 (y: 1, y: 2, y: 3) is needed",
        ),
        (_cycle("0", "2"), "multiclass", 3, "[2, 2]: a model of graphs with out_channels=2 (y: 0, y: 2) is needed"),
        (_cycle("x", "y"), "multiclass", 1, "out_channels=2 (y: x, y: y) is needed"),
        (_cycle("yes", "no"), "regression", 1, "line 2: target 'y' is 'yes', not a number, as 24 of 24 cells"),
        (_cycle("True", "False"), "regression", 1, "kind: binary takes words (False, True)"),
        (_cycle("a", "b", "c"), "regression", 1, "kind: multiclass takes words (a, b, c)"),
        (_cycle("1"), "binary", 1, "target 'y' has only '1' in the training part"),
        (["a"] * 12 + ["b"] * 12, "multiclass", 2, "target 'y' has only 'a' in the training part"),
    ],
)
def test_molecules_whose_targets_do_not_fit(cells, kind, columns, message, tmp_path):
    with pytest.raises(ValueError, match=r"target 'y'|out_channels") as error:
        _task(_table(tmp_path / "table.csv", cells), kind).check(TinyModel(out_channels=columns))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        (_cycle("0", "1"), "binary", "kind 'binary' is of one target, and there are y, z; 'multilabel' is of several"),
        (_cycle("0", "1", "2"), "multiclass", "kind 'multiclass' is of one target, and there are y, z"),
        (_cycle("no", "yes"), "regression", "kind: multilabel takes words"),
        (_cycle("0", "1"), "ranking", "kind must be one of regression, binary, multilabel, multiclass, got 'ranking'"),
    ],
)
def test_several_targets_of_a_kind_of_one(cells, kind, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        _task(_table(tmp_path / "table.csv", cells), kind, ("y", "z"))


@pytest.mark.parametrize(
    ("cells", "kind", "columns", "classes", "note"),
    [
        (_cycle("1", "2"), "binary", 1, ["1", "2"], "'1' is label 0, '2' is label 1"),
        (_cycle("-1", "1"), "binary", 1, ["-1", "1"], "'-1' is label 0"),
        (_cycle("no", "yes"), "binary", 1, ["no", "yes"], "'no' is label 0, 'yes' is label 1"),
        (_cycle("0", "1"), "binary", 1, ["0", "1"], None),
        (_cycle("true", "False"), "binary", 1, ["0", "1"], None),
        (_cycle("1", "2", "3"), "multiclass", 3, ["1", "2", "3"], "classes 1, 2, 3"),
        (_cycle("-1", "0", "5"), "multiclass", 3, ["-1", "0", "5"], "classes -1, 0, 5"),
        (_cycle("0", "1", "2"), "multiclass", 3, ["0", "1", "2"], None),
        (_cycle("low", "mid", "high"), "multiclass", 3, ["high", "low", "mid"], "classes high, low, mid"),
    ],
)
def test_names_of_classes_are_welcome(cells, kind, columns, classes, note, tmp_path):
    task = _task(_table(tmp_path / "table.csv", cells), kind)
    task.check(TinyModel(out_channels=columns))
    data, notes = task.labelled, task.notes
    assert data.classes == [classes]
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]
    codes = data.targets("train")[:, 0].tolist()
    words = {"true": "1", "False": "0"}
    assert [classes[int(code)] for code in codes] == [words.get(cell, cell) for cell in cells[:12]]
    measured = measured_columns(data.targets("train"), ["y"], data.classes)["y"]
    assert measured == [words.get(cell, cell) for cell in cells[:12]]
    scores = torch.eye(3, dtype=torch.double)[:, :columns] if kind == "multiclass" else torch.tensor([[0.25], [0.75]])
    found = prediction_columns(scores, kind, ["y"], data.classes)
    if classes == ["0", "1"]:
        assert found == {"predicted_y": ["0.25", "0.75"]}
    else:
        assert found["predicted_y"] == classes
        assert list(found)[1:] == [f"probability_{name}" for name in classes]


def test_several_labels_keep_their_own_names():
    columns = prediction_columns(torch.tensor([[0.25, 0.75]]), "multilabel", ["a", "b"], [["no", "yes"], ["0", "1"]])
    assert columns == {
        "predicted_a": ["no"],
        "probability_a: no": ["0.75"],
        "probability_a: yes": ["0.25"],
        "predicted_b": ["0.75"],
    }


@pytest.mark.parametrize(
    ("cells", "lines"),
    [
        (["inf", "1", "2"] * 8, 8),
        (["nan", "1", "2", "3"] * 6, 6),
        (["x", "1", "2"] * 8, 8),
        (["1e39", "1", "2"] * 8, 8),
    ],
)
def test_cells_that_are_no_numbers_are_left_out_by_line(cells, lines, tmp_path):
    task = _task(_table(tmp_path / "table.csv", cells), "regression")
    data = task.labelled
    assert len(data.bad_rows) == lines == len(task.notes)
    assert task.notes[0] == f"left out, line 2: {data.bad_rows[0].reason}"
    assert data.bad_rows[0] == BadRow(2, data.bad_rows[0].reason)
    assert cells[0] in data.bad_rows[0].reason


@pytest.mark.parametrize(
    ("cells", "dtype"), [(["100000001", "100000002", "100000003"], torch.double), (["1", "2", "3"], torch.float)]
)
def test_numbers_that_float32_cannot_tell_apart_are_float64(cells, dtype, tmp_path):
    task = _task(_table(tmp_path / "table.csv", cells * 8), "regression")
    data = task.labelled
    assert data.targets("train").dtype == dtype
    assert data.targets("train")[:3, 0].tolist() == [float(cell) for cell in cells]
    assert float(task.target.std) == pytest.approx(math.sqrt(2 / 3), rel=1e-9)


@pytest.mark.parametrize(
    ("cells", "selects", "note"),
    [
        (_cycle("0", "1")[:12] + ["1"] * 6 + _cycle("0", "1")[:6], "loss", "the validation part has one class only"),
        (
            _cycle("a", "b")[:12] + ["a"] * 6 + _cycle("a", "b")[:6],
            "loss",
            "epochs are selected by the validation loss",
        ),
        (_cycle("0", "1")[:18] + ["0"] * 6, "auroc", "the test part has one class only, so auroc is not defined there"),
        (_cycle("0", "1")[:18] + [""] * 6, "auroc", "the test part has no measured target"),
    ],
)
def test_a_metric_that_is_not_defined_does_not_select(cells, selects, note, tmp_path):
    path = _table(tmp_path / "table.csv", cells)
    task = _task(path, "binary", allow_missing=True)
    assert task.monitor == {selects: "min" if selects == "loss" else "max"}
    assert any(note in each for each in task.notes)
    target = torch.tensor([[0.0], [1.0]])
    assert selects in task.score(target, y=target)


def test_of_several_labels_one_that_is_defined_is_enough(tmp_path):
    rows = [
        f"{s},{n % 2},{n % 2 if n < 12 else 1},{'train' if n < 12 else 'valid' if n < 18 else 'test'}"
        for n, s in enumerate(_SMILES)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["smiles,y,z,part", *rows]) + "\n")
    task = _task(tmp_path / "table.csv", "multilabel", ("y", "z"))
    assert task.monitor == {"auroc": "max"}
    assert task.notes == []


def test_nothing_to_select_by(tmp_path):
    path = _table(tmp_path / "table.csv", [*_cycle("0", "1")[:12], *[""] * 6, *_cycle("0", "1")[:6]])
    with pytest.raises(ValueError, match="no target is measured in the validation part"):
        _task(path, "binary", allow_missing=True)


def test_classes_that_training_lacks_are_said(tmp_path):
    path = _table(tmp_path / "table.csv", [*_cycle("a", "b")[:18], "a", "b", "c", "c", "a", "b"])
    notes = _task(path, "multiclass").notes
    assert "class 'c' is not in the training part, so it cannot be learnt (2 rows of the test part)" in notes[1]


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([0.0, 1.0, 2.0], "binary", (2, "2, where labels are 0 and 1; kind: multiclass fits")),
        ([0.0, 0.5, nan], "binary", (1, "0.5, where labels are 0 and 1; kind: regression fits")),
        ([0.0, 3.0], "multiclass", (1, "3, where classes are 0 to 2")),
        ([-1.0, 1.0], "multiclass", (0, "-1, where classes are 0 to 2")),
        ([0.0, 1.5], "multiclass", (1, "1.5, where the number of a class was expected; kind: regression fits")),
        ([0.0, inf], "regression", (1, "inf, which is not finite")),
        ([0.0, -inf, nan], "regression", (1, "-inf, which is not finite")),
        ([0.0, nan, 7.5], "regression", None),
        ([0.0, nan, 1.0], "binary", None),
        ([0.0, nan, 2.0], "multiclass", None),
    ],
)
def test_targets_of_any_tensor(values, kind, found):
    """Also where a task of one's own has not looked at all of them: none is taken for a missing one."""
    values = torch.tensor(values).unsqueeze(1)
    result = misfit(values, kind, 3)
    assert (result is None) == (found is None)
    if result is not None:
        assert result[0] == found[0]
        assert found[1] in result[2]
        task = made_task([[0.0]] * len(values), kind, 3 if kind == "multiclass" else 1)
        for graph, value in zip(task.parts["train"], values, strict=True):
            graph.y = value.view(1, 1)
        with pytest.raises(ValueError, match=f"target 0 of row {found[0]} of the train part of alcohols is"):
            replace(task)  # made anew, as a task of one's own is


def _folder(path, cells, task, level="graph"):
    rows = [f"g{number},{cell},{('train', 'train', 'valid', 'test')[number % 4]}" for number, cell in enumerate(cells)]
    path.mkdir()
    (path / "graphs.csv").write_text("\n".join(["graph,y,part", *rows]) + "\n")
    (path / "edges.csv").write_text("graph,source,target\n" + "".join(f"g{n},1,2\n" for n in range(len(cells))))
    (path / "dag.yaml").write_text(f"targets: [y]\nsplit: part\ntask: {task}\nlevel: {level}\n")
    return path


@pytest.mark.parametrize("kind", [DAGFolder, OnDiskDAGFolder])
@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (
            _cycle("0.25", "0.5", "0.75"),
            "classification",
            "graphs.csv, line 2, graph g0: target 'y' is '0.25', a number",
        ),
        (_cycle("1", "2", "3"), "multilabel", "line 4, graph g2: target 'y' is '3', a third value beside 1, 2"),
        (
            _cycle("yes", "no"),
            "regression",
            "target 'y' is 'yes', expected a finite number; task: classification takes",
        ),
        (_cycle("1", "inf", "2"), "regression", "line 3, graph g1: target 'y' is 'inf', expected a finite number"),
        ([f"w{n}" for n in range(24)], "classification", "one of 24 classes in 24 rows"),
    ],
)
def test_folders_whose_targets_do_not_fit(kind, cells, task, message, tmp_path):
    with pytest.raises(DAGFolderError) as error:
        kind(_folder(tmp_path / "dags", cells, task))
    assert message in str(error.value)


@pytest.mark.parametrize("kind", [DAGFolder, OnDiskDAGFolder])
@pytest.mark.parametrize(
    ("cells", "task", "classes", "dtype"),
    [
        (_cycle("yes", "no"), "multilabel", [["no", "yes"]], torch.float),
        (_cycle("1", "2"), "multilabel", [["1", "2"]], torch.float),
        (_cycle("0", "1"), "multilabel", [["0", "1"]], torch.float),
        (_cycle("1.0", "3.0", "2.0"), "classification", [["1", "2", "3"]], torch.float),
        (_cycle("100000001", "100000002"), "regression", [[]], torch.double),
        (_cycle("0.1", "0.2"), "regression", [[]], torch.float),
    ],
)
def test_folders_with_names_and_numbers(kind, cells, task, classes, dtype, tmp_path):
    data = kind(_folder(tmp_path / "dags", cells, task))
    assert data.encoding.classes == classes
    assert data[0].y.dtype == dtype
    if task != "regression":
        assert [classes[0][int(graph.y)] for graph in data] == [cell.removesuffix(".0") for cell in cells]


class _Own:
    """What graphs of one's own give."""

    title, target_names, classes = "mine", ["y"], [[]]

    def __init__(self, **parts):
        self.parts = parts

    def targets(self, split):
        return torch.tensor(self.parts[split]).view(-1, 1)

    exact_targets = targets  # none is a bound

    def place(self, split, row, column):
        return f"{split} {row} {column}"


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_empty_parts_and_places_of_own_data(part):
    good = {"train": [0.0, 1.0], "valid": [0.0, 1.0], "test": [1.0, 0.0]}
    assert check_targets(_Own(**good), "binary", 1).notes == []
    with pytest.raises(ValueError, match=f"mine: the {part}.* part is empty"):
        check_targets(_Own(**good | {part: []}), "binary", 1)
    with pytest.raises(ValueError, match=f"{part} 1 0 is 7, where labels are 0 and 1"):
        check_targets(_Own(**good | {part: [0.0, 7.0]}), "binary", 1)


def test_a_constant_target_is_said():
    parts = {"train": [2.5, 2.5], "valid": [2.5], "test": [1.0]}
    assert check_targets(_Own(**parts), "regression", 1).notes == ["target 'y' is 2.5 in all of the training part"]
