"""A folder of DAGs from `check` to `fit` and `test`, as a user runs them."""

import csv
import json
from pathlib import Path

import pytest

from plstm_graph.cli import main
from tests.train.test_dag_data import make_folder

CONFIG = str(Path(__file__).parents[2] / "configs" / "dag.yaml")
_SMALL = (
    *("--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--data.batch_size", "4"),
    *("--model.model.init_args.hidden_channels", "8", "--model.model.init_args.num_layers", "1"),
)
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:(?s).*JsonargparseDeprecation:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:(?s).*instantiate_classes.* was deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.train.baselines._TREES", 5)


def test_check_describes_a_good_folder_and_lists_what_is_wrong_with_a_bad_one(tmp_path, capsys):
    folder = make_folder(tmp_path / "dags")
    assert main(["check", "dags", "--output", "dags.json"]) == 0
    shown = capsys.readouterr().out
    for text in ("dags: no problems", "24 graphs, 120 nodes", "longest path", "3 categories: add, mul, neg", "degree"):
        assert text in shown
    assert json.loads((tmp_path / "dags.json").read_text())["counts"]["edges"] == 120
    with (folder / "edges.csv").open("a") as file:
        file.write("g3,2,1,0,0\n")
    lines = (folder / "nodes.csv").read_text().splitlines()
    (folder / "nodes.csv").write_text("\n".join([*lines, lines[-1]]) + "\n")
    assert main(["check", "dags"]) == 1
    shown = capsys.readouterr().out
    assert "edges.csv, line 122, graph g3: 3 fields" not in shown
    assert "dags: 1 problem" in shown
    (folder / "edges.csv").write_text((folder / "edges.csv").read_text().replace("g3,2,1,0,0\n", "g3,2,1\n"))
    assert main(["check", "dags"]) == 1
    shown = capsys.readouterr().out
    assert "edges.csv, line 122, graph g3: a cycle of 2 nodes: 1 -> 2 -> 1" in shown
    assert "nodes.csv, line 122, graph g23: node 5 stands twice, first in line 121" in shown
    assert "dags: 2 problems" in shown
    assert main(["check", "none"]) == 2
    assert "no folder none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "task", "names"),
    [
        ("graph", "classification", ["graph"]),
        ("node", "regression", ["graph", "node"]),
        ("edge", "multilabel", ["graph", "source", "target"]),
    ],
)
def test_fit_and_test(level, task, names, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, task)
    assert main(["fit", "--config", CONFIG, "--data.root", "dags", "--name", "run", *_SMALL]) == 0
    shown = capsys.readouterr().out
    assert "dags, 24 graphs" in shown
    assert "part: 12 train, 6 valid, 6 test" in shown
    results = json.loads((tmp_path / "runs" / "run" / "results.json").read_text())
    assert len(results["test"]) == 4
    with (tmp_path / "runs" / "run" / "test_predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[: len(names)] == names
    assert main(["test", "--ckpt_path", "runs/run/checkpoints/best.ckpt", "--output", "metrics.json"]) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["graphs"] == 6
    for name, value in results["test"]["PLSTM"].items():
        assert found[name] == pytest.approx(value)
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", "runs/run/checkpoints/best.ckpt", "CCO"]) == 2
    assert "was not trained on molecules but by plstm_graph.train.DAGDataModule" in capsys.readouterr().err


@pytest.mark.slow
def test_a_broken_folder_stops_fit_before_anything_is_written(tmp_path, capsys):
    folder = make_folder(tmp_path / "dags")
    with (folder / "edges.csv").open("a") as file:
        file.write("g3,2,1\n")
    assert main(["fit", "--config", CONFIG, "--data.root", "dags", *_SMALL]) == 2
    assert "dags: edges.csv, line 122, graph g3: a cycle of 2 nodes: 1 -> 2 -> 1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert not any((folder / "processed").glob("*"))
