"""Breeding values as a task: its parts, its metrics, and the command."""

import json

import pytest
import torch
import yaml

from plstm_graph.cli import main
from plstm_graph.train.dag_tasks.tasks import load_dag_task

_SIZE = {"num_graphs": 5, "generations": 2, "size": 10}
SMALL = {"name": "pedigrees", "train": _SIZE, "valid": _SIZE, "tests": {"more": _SIZE | {"generations": 4}}}


@pytest.fixture(scope="module")
def task():
    return load_dag_task(**SMALL)


def _columns(task, part):
    return {name: torch.cat([graph[name] for graph in task.parts[part]]) for name in task.columns}


@pytest.mark.parametrize("part", ["valid", "test_more"])
def test_the_optimum_is_one(task, part):
    columns = _columns(task, part)
    row = task.score(columns["blup"], **columns)
    # Correlations of a variable with itself, of sums that are rounded.
    assert row["of_blup"] == pytest.approx(1, rel=1e-12) and row["with_blup"] == pytest.approx(1, rel=1e-12)
    assert row["accuracy"] == row["blup"] < 1
    assert task.score(columns["y"], **columns)["accuracy"] == pytest.approx(1, rel=1e-12)


def test_animals_are_compared_within_their_pedigree(task):
    """What is added to a whole pedigree, and what is said of animals with records, changes no correlation."""
    columns = _columns(task, "valid")
    row = task.score(columns["blup"], **columns)
    shifted = columns["blup"] + 100.0 * columns["pedigree"].view(-1, 1)
    shifted[columns["has_record"]] = 7.0
    other = task.score(shifted, **columns)
    assert other["accuracy"] == pytest.approx(row["accuracy"], rel=1e-9)  # of numbers of 400, 16 digits each
    assert other["rmse"] > row["rmse"]


def test_parts_differ(task):
    values = [graph.y.sum().item() for graphs in task.parts.values() for graph in graphs]
    assert len(set(values)) == len(values)


@pytest.mark.slow
def test_command(tmp_path):
    model = {"hidden_channels": 8, "num_layers": 1, "heads": 2, "modes": "P", "normalization": "row"}
    config = {
        "name": "run",
        "data": SMALL,
        "models": {"plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": model}},
        "training": {"epochs": 1, "batch_size": 5},
        "device": "cpu",
        "threads": 1,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    threads = torch.get_num_threads()
    try:
        assert main(["dags", "--config", str(path), "--seeds", "0", "--output", str(tmp_path / "run")]) == 0
    finally:
        torch.set_num_threads(threads)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    tests = report["models"]["plstm"]["tests"]
    assert {"test_more/accuracy", "test_more/of_blup", "test_more/blup"} < set(tests)
