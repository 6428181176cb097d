"""Makespans of workflows as a task, on workflows made by hand."""

import json

import pytest
import torch
import yaml
from torch_geometric.data import Data

from plstm_graph.cli import main
from plstm_graph.datasets.workflows import workflows
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.workflows import fit_bounds
from plstm_graph.train.study import trained_models
from tests.made_workflows import ForksAndJoins

SIZE = {"num_graphs": 8, "smallest": 5, "largest": 20}
OPTIONS = {
    "applications": ["bwa", "cycles"],
    "train": SIZE,
    "valid": [SIZE, {"num_graphs": 2, "smallest": 40, "largest": 50}],
    "tests": {
        "large": {"num_graphs": 2, "smallest": 100, "largest": 120},
        "others": {"applications": ["blast"], **SIZE},
    },
}


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)


def test_parts(tmp_path):
    task = load_task("workflows", root=tmp_path, **OPTIONS)
    assert {name: len(graphs) for name, graphs in task.parts.items()} == {
        "train": 16,
        "valid": 20,
        "test_large": 4,
        "test_others": 8,
    }
    assert task.target_level == "graph" and task.in_channels == [3, *[0] * 9] and task.monitor == {"mape": "min"}
    # Training knows two kinds of tasks, and the third is unknown to it wherever it is.
    assert {float(value) for graph in task.parts["train"] for value in graph.x[:, 0]} == {1, 2}
    assert {float(graph.x[-1, 0]) for graph in task.parts["test_others"]} == {0}
    assert min(graph.num_nodes for graph in task.parts["valid"][16:]) >= 40


def test_tasks_of_unknown_categories_begin_as_planned(tmp_path):
    task = load_task("workflows", root=tmp_path, **OPTIONS)
    spec = {"class_path": "plstm_graph.nn.MakespanPLSTM", "init_args": {"times": [4, 5, 6], "features": [0]}}
    model = task.make_model(spec)
    for graph in task.parts["test_others"]:
        unknown = graph.x[:, 0] == 0
        durations = model.durations(graph.x)[:, 0]
        torch.testing.assert_close(durations[unknown], graph.x[unknown, 4:7].sum(dim=1))
        assert not torch.allclose(durations[~unknown], graph.x[~unknown, 4:7].sum(dim=1), rtol=1e-4)


def test_metrics_are_percent(tmp_path):
    task = load_task("workflows", root=tmp_path, **OPTIONS)
    columns = {name: torch.cat([graph[name] for graph in task.parts["valid"]]) for name in task.columns}
    for factor in (1.0, 1.1, 0.5):
        row = task.metrics(factor * columns["y"].double(), **columns)
        assert row["mape"] == pytest.approx(100 * abs(factor - 1), abs=1e-4)
    # Who knows the formula is closer than the plan, which is closer than a line through two bounds on average.
    assert row["informed"] < row["planned"] and row["bounds"] > 0


def test_metrics_by_hand(tmp_path):
    def column(*values):
        return torch.tensor(values, dtype=torch.double).view(-1, 1)

    task = load_task("workflows", root=tmp_path, **OPTIONS)
    columns = {"y": column(2, 4), "planned": column(3, 3), "informed": column(2, 5), "bounds": column(1, 1)}
    row = task.metrics(column(1, 4), **columns)
    # Halves and quarters are exact, but for the root.
    assert row.pop("rmse") == pytest.approx(0.5**0.5, rel=1e-12)
    assert row == {"mape": 25.0, "bounds": 62.5, "planned": 37.5, "informed": 12.5}
    task = load_task("workflows", root=tmp_path, target="critical_path", **OPTIONS)
    columns = {"y": column(1, 2, 4), "planned": column(9, 3, 3), "informed": column(9, 2, 5)}
    row = task.metrics(column(1, 1, 6), is_last=torch.tensor([False, True, True]), **columns)
    assert row.pop("rmse") == pytest.approx((5 / 3) ** 0.5, rel=1e-12)  # over all tasks; the others of the last ones
    assert row == {"mape": 50.0, "planned": 37.5, "informed": 12.5}
    nan = task.metrics(column(1, float("nan"), 6), is_last=torch.tensor([False, True, True]), **columns)
    assert nan["mape"] == pytest.approx(float("nan"), nan_ok=True) and nan["planned"] == 37.5


def test_finish_times(tmp_path):
    task = load_task("workflows", root=tmp_path, target="critical_path", **OPTIONS)
    assert task.target_level == "node"
    columns = {name: torch.cat([graph[name] for graph in task.parts["test_large"]]) for name in task.columns}
    assert int(columns["is_last"].sum()) == len(task.parts["test_large"])
    assert task.metrics(1.2 * columns["y"], **columns)["mape"] == pytest.approx(20, rel=1e-5)
    exact = load_task("workflows", root=tmp_path, target="critical_path", bias=0, noise=0, **OPTIONS)
    columns = {name: torch.cat([graph[name] for graph in exact.parts["test_large"]]) for name in exact.columns}
    assert exact.metrics(columns["y"], **columns)["informed"] == pytest.approx(0, abs=1e-4)  # y is float32


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.3, 0.9), (2.0, 0.0)])
def test_the_best_line_through_both_bounds(weights):
    critical = torch.linspace(0.1, 3, 7, dtype=torch.double)
    graphs = [
        Data(y=(weights[0] + weights[1] * each).float().view(1, 1), critical=each.view(1, 1)) for each in critical
    ]
    torch.testing.assert_close(fit_bounds(graphs), torch.tensor(weights, dtype=torch.double), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"applications": ["bwa", "word"]}, "application must be one of .*got 'word'"),
        ({"train": {"num_graphs": 1, "smallest": 9, "largest": 8}}, "smallest=9, largest=8"),
        ({"train": {"num_graphs": 1, "size": 9}}, "options .* do not fit the task workflows: .*size"),
        ({"target": "cost"}, "target must be 'makespan' or 'critical_path', got 'cost'"),
        ({"noise": -1}, "noise"),
    ],
)
def test_options_that_are_none(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load_task("workflows", root=tmp_path, **OPTIONS | changes)


@pytest.mark.parametrize(("target", "scales"), [("makespan", ["--task.target_scale", "log"]), ("critical_path", [])])
def test_command(tmp_path, capsys, target, scales):
    """What is trained is found again where it lies, and is as good as the report says."""
    config = tmp_path / "config.yaml"
    modes = {"hidden_channels": 8, "num_layers": 1, "heads": 2, "modes": "PM", "size_readout": "PM", "degree": False}
    spec = {
        "name": "workflows",
        "task": {"name": "workflows", "root": str(tmp_path / "data"), "target": target, **OPTIONS},
        "models": {"plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": modes}},
        "training": {"epochs": 2, "batch_size": 8},
    }
    config.write_text(yaml.safe_dump(spec))
    command = ["fit", "--config", str(config), "--threads", "1", "--device", "cpu", "--seeds", "0"]
    assert main([*command, "--training.lr", "0.01", *scales, "--output", str(tmp_path / "run")]) == 0
    assert "epoch 2/2" in capsys.readouterr().err
    study = json.loads((tmp_path / "run" / "report.json").read_text())
    tests = study["models"]["plstm"]["tests"]
    assert {"test_large/mape", "test_others/planned", "test_others/informed"} <= set(tests)
    (trained,) = trained_models(tmp_path / "run", load_task(**study["config"]["task"]))
    row = trained.score(trained.task.parts["test_large"], 4)
    assert row["mape"] == pytest.approx(tests["test_large/mape"]["mean"], rel=1e-5)  # batches are others


def test_the_command_names_what_is_missing(tmp_path, capsys, monkeypatch):
    import sys

    from plstm_graph.datasets.workflows import recipes as workflow_recipes

    monkeypatch.setattr(workflows, "Recipe", workflow_recipes.Recipe)
    for name in ("wfcommons", "wfcommons.wfchef", "wfcommons.wfchef.recipes"):
        monkeypatch.setitem(sys.modules, name, None)
    config = tmp_path / "config.yaml"
    spec = {"name": "w", "task": {"name": "workflows", "root": str(tmp_path / "data"), **OPTIONS}, "models": {"a": {}}}
    config.write_text(yaml.safe_dump(spec))
    assert main(["fit", "--config", str(config), "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "pip install 'plstm_graph[workflows]'" in error and "Traceback" not in error
