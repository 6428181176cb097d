"""Timing of circuits through the command that compares models: tests of whole circuits, scales, what is left out."""

import json

import pytest
import yaml

from plstm_graph.cli import main
from tests.made_circuits import circuit_folder

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:(?s).*JsonargparseDeprecation:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:(?s).*instantiate_classes.* was deprecated:DeprecationWarning"),
]
MODEL = {"hidden_channels": 8, "num_layers": 1, "modes": "M", "direction": "forward", "norm": "none"}


@pytest.fixture
def data(tmp_path):
    source = circuit_folder(tmp_path / "source")
    more = {"root": str(tmp_path / "root"), "source": str(source)}
    return {"name": "timing", "samples": 24, "nodes": 20, "delays": "driven", **more}


def test_a_run_reports_what_a_designer_asks(data, tmp_path, capsys):
    models = {"plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": MODEL}}
    models["bag"] = {
        "class_path": "plstm_graph.nn.baselines.BagOfNodes",
        "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
        "skip_tests": ["test_hyp"],
    }
    config = {"name": "timing", "task": data, "models": models, "training": {"epochs": 2, "batch_size": 8}}
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(config | {"choose": {"training.lr": [0.003], "task.target_scale": ["raw", "log"]}})
    )
    folder = tmp_path / "run"
    arguments = ["fit", "--config", str(tmp_path / "config.yaml"), "--output", str(folder), "--seeds", "0"]
    assert main([*arguments, "--threads", "1", "--device", "cpu"]) == 0
    report = json.loads((folder / "report.json").read_text())["models"]
    for circuit in ("multiplier", "sqrt", "dec", "mem_ctrl", "voter"):
        for metric in ("r2", "relative", "rmse", "mae", "slack", "path"):
            assert report["plstm"]["tests"][f"test_{circuit}/{metric}"] is not None
            assert report["bag"]["tests"][f"test_{circuit}/{metric}"] is not None
        assert 0 < report["plstm"]["tests"][f"test_{circuit}/path"]["mean"] <= 1
    assert "test_hyp/r2" in report["plstm"]["tests"] and "test_hyp/r2" not in report["bag"]["tests"]
    assert {row["choice"]["task.target_scale"] for row in report["plstm"]["tried"]} == {"raw", "log"}
