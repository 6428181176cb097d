"""A few molecules, a configuration for them, and the command as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import environment

_SMILES = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
_CONFIG = """
name: small
seeds: 0
threads: 1
device: cpu
task:
  name: molecules
  path: table.csv
  target_columns: [activity]
  split: random
models:
  tiny:
    class_path: tests.train.tiny_model.TinyModel
training:
  epochs: 3
  batch_size: 6
  lr: 3.0e-3
"""
#: Weights of the finished training, and the folder of the only trial of it, in the workspace.
BEST = "runs/small/best.ckpt"
TRIAL = "runs/small/tiny/seed_0"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    """A folder with `table.csv` (32 molecules and two bad rows: lines 3 and 36) and `config.yaml`."""
    folder = tmp_path_factory.mktemp("workspace")
    rows = [f"m{i},{smiles},{len(smiles) / 3:.2f}" for i, smiles in enumerate(_SMILES)]
    rows.insert(1, "bad1,C1CC,1.0")
    rows.append("bad2,CCO,much")
    (folder / "table.csv").write_text("\n".join(["name,smiles,activity", *rows]) + "\n")
    (folder / "config.yaml").write_text(_CONFIG)
    return folder


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch):
    """How good baselines are is not asked here; those of ``fitted`` are whole."""
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 10)


def command(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `plstm-graph` as a user does, in a process of its own, in ``folder``, with one thread."""
    called = [sys.executable, "-m", "plstm_graph.cli", *arguments, "--allow", "tests"]
    done = subprocess.run(
        called, cwd=folder, env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def fitted(workspace) -> subprocess.CompletedProcess[str]:
    """A finished training; its results are in `runs/small`."""
    return command(workspace, "fit", "--config", "config.yaml")
