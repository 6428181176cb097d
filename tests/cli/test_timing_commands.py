"""Timing of circuits through the commands: a run with its report, and its pieces as a folder, to the critical path."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.train.dag_tasks.folder import write_task
from plstm_graph.train.dag_tasks.tasks import load_dag_task
from tests.made_circuits import circuit_folder

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:(?s).*JsonargparseDeprecation:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:(?s).*instantiate_classes.* was deprecated:DeprecationWarning"),
]
CONFIG = str(Path(__file__).parents[2] / "configs" / "dag.yaml")
MODEL = {"hidden_channels": 8, "num_layers": 1, "modes": "M", "direction": "forward", "norm": "none"}


@pytest.fixture
def data(tmp_path):
    source = circuit_folder(tmp_path / "source")
    more = {"root": str(tmp_path / "root"), "source": str(source)}
    return {"name": "timing", "samples": 24, "nodes": 20, "delays": "driven", **more}


def test_a_run_reports_what_a_designer_asks(data, tmp_path, capsys):
    models = {"plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": MODEL}}
    models["bag"] = {
        "class_path": "plstm_graph.nn.dag_baselines.BagOfNodes",
        "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
        "skip_tests": ["test_hyp"],
    }
    config = {"name": "timing", "data": data, "models": models, "training": {"epochs": 2, "batch_size": 8}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"lr": 0.003, "target": ["raw", "log"]}))
    folder = tmp_path / "run"
    arguments = ["dags", "--config", str(tmp_path / "config.yaml"), "--output", str(folder), "--seeds", "0"]
    assert main([*arguments, "--threads", "1", "--device", "cpu"]) == 0
    report = json.loads((folder / "report.json").read_text())["models"]
    for circuit in ("multiplier", "sqrt", "dec", "mem_ctrl", "voter"):
        for metric in ("r2", "relative", "rmse", "mae", "slack", "path"):
            assert report["plstm"]["tests"][f"test_{circuit}/{metric}"] is not None
            assert report["bag"]["tests"][f"test_{circuit}/{metric}"] is not None
        assert 0 < report["plstm"]["tests"][f"test_{circuit}/path"]["mean"] <= 1
    assert "test_hyp/r2" in report["plstm"]["tests"] and "test_hyp/r2" not in report["bag"]["tests"]
    assert {row["target"] for row in report["plstm"]["tried"]} == {"raw", "log"}


@pytest.mark.slow
@pytest.mark.parametrize("modes", ["M", "PM"])
def test_pieces_as_a_folder_from_check_to_the_critical_path(data, modes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.train.baselines._TREES", 5)
    task = load_dag_task(**data)
    write_task(task, "pieces")
    assert main(["check", "pieces"]) == 0
    assert "arrival" in capsys.readouterr().out
    small = ["--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--data.batch_size=8", "--name=run"]
    model = [f"--model.model.init_args.{name}={value}" for name, value in (MODEL | {"modes": modes}).items()]
    assert main(["fit", "--config", CONFIG, "--data.root=pieces", *small, *model]) == 0
    checkpoint = ("--ckpt_path", "runs/run/checkpoints/best.ckpt", "pieces")
    assert main(["predict", *checkpoint, "--output", "new.csv"]) == 0
    with open("new.csv", newline="") as file:
        assert "predicted_arrival" in next(csv.DictReader(file))
    for graph, piece in (("train_0", task.parts["train"][0]), ("train_7", task.parts["train"][7])):
        gate = int(piece.y.nan_to_num().argmax())
        capsys.readouterr()
        assert main(["explain", *checkpoint, "--graph", graph, "--item", str(gate), "--output", f"{graph}.png"]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("critical path, ")]
        # A path of the piece, into the gate.
        nodes = [int(node) for node in line.partition(": ")[2].split(" -> ") if node != "..."]
        edges = set(map(tuple, piece.edge_index.t().tolist()))
        assert nodes[-1] == gate and (nodes[-2], nodes[-1]) in edges
        assert (tmp_path / f"{graph}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_without_maxima_explain_shows_no_path(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.train.baselines._TREES", 5)
    write_task(load_dag_task(**data), "pieces")
    small = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--data.batch_size=8", "--name=run"]
    model = [f"--model.model.init_args.{name}={value}" for name, value in (MODEL | {"modes": "P"}).items()]
    assert main(["fit", "--config", CONFIG, "--data.root=pieces", *small, *model]) == 0
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", "runs/run/checkpoints/best.ckpt", "pieces", "--item", "10"]) == 0
    assert "critical path" not in capsys.readouterr().out
