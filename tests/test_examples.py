"""Examples that train on what comes with the repository run as they stand."""

import re
import runpy
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_training_on_a_folder_of_dags(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "dags"
    shutil.copytree(ROOT / "datasets" / "nas_bench_graph_proteins", folder, ignore=shutil.ignore_patterns("processed"))
    monkeypatch.setattr(sys, "argv", ["own_dags.py", str(folder), "--epochs", "1"])
    runpy.run_path(str(ROOT / "examples" / "own_dags.py"), run_name="__main__")
    found = re.search(r"test RMSE (\S+), of the mean predictor (\S+)", capsys.readouterr().out)
    # How good one epoch is depends on the processor.
    assert all(0 < float(number) < 1 for number in found.groups())
