"""Water over terrain as a task: its parts, its metrics, and the one command that draws a map."""

import json
import math
import re

import pytest
import torch
import yaml
from matplotlib.image import imread

from plstm_graph.cli import main
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.terrain import discharge_metrics

SMALL = {"name": "terrain", "train": 6, "valid": 3, "test_tiles": 2, "side": 12, "size": 60}


@pytest.fixture(scope="module")
def task():
    return load_task(**SMALL)


def test_parts_do_not_overlap(task):
    """What is seen, what validates and what tests stand in different columns of the map."""
    assert {part: len(graphs) for part, graphs in task.parts.items()} == {
        "train": 6, "valid": 3, "test_tiles": 2, "test_half": 1, "test_whole": 1,
    }  # fmt: skip
    # Soil tells where a cell is: no two cells of the map have the same.
    cells = {part: {soil for graph in graphs for soil in graph.x[:, 3].tolist()} for part, graphs in task.parts.items()}
    assert not cells["train"] & cells["valid"] and not cells["train"] & cells["test_half"]
    assert not cells["valid"] & cells["test_half"] and cells["test_tiles"] < cells["test_half"] < cells["test_whole"]
    assert len(cells["valid"]) == 3 * 12 * 12  # from top to bottom of the strip
    rains = [graph.x[:, 5].mean().item() for graphs in task.parts.values() for graph in graphs]
    assert len(set(rains)) == len(rains)


def test_metrics_of_the_truth_and_beside_it(task):
    graphs = task.parts["train"]
    y, outlet_of = torch.cat([graph.y for graph in graphs]), torch.cat([graph.outlet_of for graph in graphs])
    assert discharge_metrics(y, y, outlet_of) == {"rmse": 0.0, "nse": 1.0, "balance": 0.0}  # the same numbers
    more = discharge_metrics(1.01 * y, y, outlet_of)
    assert more["balance"] == pytest.approx(0.01, rel=1e-5) and 0 < more["rmse"] <= math.log(1.01)
    mean = y.double().log1p().mean().expm1().expand_as(y)
    assert discharge_metrics(mean, y, outlet_of)["nse"] == pytest.approx(0, abs=1e-12)
    assert discharge_metrics(-y, y, outlet_of) == discharge_metrics(torch.zeros_like(y), y, outlet_of)


def test_balance_is_taken_graph_by_graph():
    y = torch.tensor([[1.0], [4], [100], [6], [10]])
    output = torch.tensor([[1.0], [5], [0], [6], [5]])
    outlet_of = torch.tensor([0, 0, -1, 1, 1])
    row = discharge_metrics(output, y, outlet_of)
    assert row["balance"] == pytest.approx((1 / 5 + 5 / 16) / 2, rel=1e-12)
    dry = discharge_metrics(output, y * torch.tensor([[0.0], [0], [1], [1], [1]]), outlet_of)
    assert dry["balance"] == pytest.approx(5 / 16, rel=1e-12)  # where nothing leaves there is no part of it


def test_models_learn_the_logarithm(task):
    y = task.parts["train"][0].y
    learnt = task.target.apply(y)
    assert task.loss_of(learnt.float(), y)[0] < 1e-9 * y.numel() < task.loss_of(torch.zeros_like(y), y)[0]
    torch.testing.assert_close(task.restored(learnt), y.double())
    outlet_of = task.parts["train"][0].outlet_of
    for kind in ("raw", "standard"):
        scaled = task.scaled(kind)
        assert scaled.score(scaled.target.apply(y).double(), y=y, outlet_of=outlet_of)["nse"] > 0.999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0}, "must be at least 1"),
        ({"valid": -1}, "must be at least 1"),
        ({"side": 2}, "side at least 3"),
        ({"size": 47, "side": 12}, "a map of 47 x 47 cells has no room for tiles of 12 x 12"),
        ({"side": 101}, "no room for tiles of 101 x 101"),
        ({"large": -1}, "large and seed must be at least 0 and large_side at least 3, got -1, 0 and 120"),
        ({"seed": -1}, "large and seed must be at least 0 and large_side at least 3, got 0, -1 and 120"),
        ({"large": 1, "large_side": 2}, "large_side at least 3, got 1, 0 and 2"),
        ({"large": 1, "large_side": 162}, "the training part of 344 x 161 cells has no room for tiles of 162 x 162"),
        ({"hills": 1}, "do not fit the task terrain"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        load_task(**{"name": "terrain"} | options)


def test_a_stranger_gets_a_map(request, tmp_path, capsys):
    """The command of the documentation, made small: a table, and a picture of the unseen half."""
    config = request.config.rootpath / "configs" / "dags" / "terrain.yaml"
    small = [f"--task.{key}={value}" for key, value in SMALL.items()]
    more = ["--training.epochs=2", "--threads=1", "--output", str(tmp_path / "run")]
    arguments = ["fit", "--config", str(config), "--only", "plstm", "--seeds", "0", *small, *more]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "| model | test_tiles/rmse | test_tiles/nse | test_tiles/balance | test_half/rmse |" in said.out
    picture = tmp_path / "run" / "terrain.png"
    assert re.search(f"a picture of the tests of plstm, .*seed 0: {re.escape(str(picture))}", said.err)
    height, width, _ = imread(picture).shape
    assert height > 400 and width > 400
    (place,) = (tmp_path / "run" / "plstm").rglob("seed_0")
    tests = json.loads((place / "tests.json").read_text())
    assert set(tests) == {"test_tiles", "test_half", "test_whole"} and (place / "terrain.png").is_file()
    # The same command again trains nothing, and brings back a picture that was removed.
    picture.unlink()
    assert main(arguments) == 0
    assert "epoch" not in capsys.readouterr().err and picture.is_file()


def test_models_that_cannot_hold_the_half_draw_nothing(request, tmp_path):
    config = yaml.safe_load((request.config.rootpath / "configs" / "dags" / "terrain.yaml").read_text())
    config |= {"task": SMALL, "choose": {}, "training": {"epochs": 1, "batch_size": 3}}
    config["models"] = {"transformer": config["models"]["transformer"]}
    assert config["models"]["transformer"]["skip_tests"] == ["test_half", "test_whole"]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", str(tmp_path / "c.yaml"), "--seeds=0", "--output", str(tmp_path / "run")]) == 0
    assert not list(tmp_path.rglob("*.png"))
    (tests,) = tmp_path.rglob("tests.json")
    assert set(json.loads(tests.read_text())) == {"test_tiles"}


def test_larger_tiles_are_for_training_alone():
    size = {"name": "terrain", "train": 3, "valid": 2, "test_tiles": 2, "side": 8, "size": 60}
    plain, both = load_task(**size), load_task(**size, large=2, large_side=20)
    assert [graph.num_nodes for graph in both.parts["train"]] == [64] * 3 + [400] * 2
    for name in ("valid", "test_tiles"):
        assert [torch.equal(a.y, b.y) for a, b in zip(plain.parts[name], both.parts[name], strict=True)] == [True] * 2
    assert all(torch.equal(a.y, b.y) for a, b in zip(plain.parts["train"], both.parts["train"], strict=False))
