"""Metrics, weights and scales of targets of a folder of DAGs, through the command."""

import json
from pathlib import Path

import pytest

from plstm_graph.cli import main
from tests.made_sets import make_folder

CONFIG = str(Path(__file__).parents[2] / "configs" / "dag.yaml")
SMALL = (
    *("--training.epochs", "1", "--device", "cpu", "--seeds", "0", "--threads", "1", "--baselines", "false"),
    *("--model.hidden_channels", "8", "--model.num_layers", "1"),
)


@pytest.mark.parametrize(
    ("level", "task", "options", "metric"),
    [
        ("graph", "classification", ("--metric", "mcc", "--task.balanced_batches", "true"), "mcc"),
        ("node", "regression", ("--metric", "spearman", "--task.metrics", "[mae]"), "spearman"),
        ("edge", "multilabel", ("--metric", "nll", "--task.class_weights", "balanced"), "nll"),
    ],
)
def test_options_of_targets(level, task, options, metric, tmp_path):
    make_folder(tmp_path / "dags", level, task)
    run = tmp_path / "run"
    given = ["--config", CONFIG, "--task.path", str(tmp_path / "dags"), "--output", str(run), *SMALL]
    assert main(["fit", *given, *options]) == 0
    report = json.loads((run / "report.json").read_text())
    assert list(report["monitor"]) in ([metric], ["loss"])
    assert any(name.startswith(f"test/{metric}") for name in report["models"]["plstm"]["tests"])


def test_balanced_batches_are_of_graphs(tmp_path, capsys):
    make_folder(tmp_path / "dags", "node", "classification")
    given = ["--config", CONFIG, "--task.path", str(tmp_path / "dags"), "--output", str(tmp_path / "run"), *SMALL]
    assert main(["fit", *given, "--task.balanced_batches", "true"]) == 2
    assert "balanced_batches is of graphs with one class, and here nodes have classes" in capsys.readouterr().err
