"""A line within an epoch where there is no terminal."""

import re
import shutil
from pathlib import Path

import pytest

from plstm_graph.cli import main

CONFIG = str(Path(__file__).parents[2] / "configs" / "dag.yaml")
_REAL = str(Path(__file__).parents[2] / "datasets" / "nas_bench_graph_proteins")


@pytest.mark.parametrize(("seconds", "silent"), [(0.0, False), (60.0, False), (0.0, True)])
def test_long_epochs_say_how_far_they_are(seconds, silent, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(_REAL, "dags", ignore=shutil.ignore_patterns("processed"))
    monkeypatch.setattr("plstm_graph.train.long_epochs._SECONDS", seconds)
    given = [
        "--task.path",
        "dags",
        "--training.epochs",
        "1",
        "--training.batch_size",
        "512",
        "--baselines",
        "false",
        "--choose={}",
    ]
    small = ["--model.hidden_channels", "8", "--model.num_layers", "1", "--name", "run", "--device", "cpu"]
    quiet = ["--trainer.enable_progress_bar", "false"] if silent else []
    assert main(["fit", "--config", CONFIG, *given, *small, *quiet]) == 0
    lines = re.findall(r"seed_0, epoch 1: batch (\d) of 3, \d+ s", capsys.readouterr().err)
    assert lines == ([] if silent or seconds else ["1", "2", "3"])
