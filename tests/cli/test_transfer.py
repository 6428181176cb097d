"""From one table of molecules to another, as a user asks for it."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from plstm_graph.cli import main
from tests.real_rows import SOLUBILITY, solubility

CONFIG = str(Path(__file__).parents[2] / "configs" / "chembl.yaml")
_SMALL = (
    "--task.descriptors",
    "null",
    "--device",
    "cpu",
    "--baselines",
    "false",
    "--model.hidden_channels",
    "8",
    "--training.epochs",
    "2",
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_training_begins_with_the_weights_of_another(tmp_path, real_data, capsys):
    solubility(real_data, tmp_path / "table.csv", 60)
    first = ["fit", "--config", CONFIG, "--task.path", "table.csv", *SOLUBILITY, *_SMALL, "--name", "first"]
    assert main([*first, "--training.members", "1"]) == 0
    shutil.copy(real_data / "pypi_embedded" / "freesolv.csv", "other.csv")
    rows = Path("other.csv").read_text().splitlines()[:61]
    Path("other.csv").write_text("\n".join(rows) + "\n")
    second = ["fit", "--config", CONFIG, "--task.path", "other.csv", "--task.target_columns", "[expt]", *_SMALL]
    second += ["--task.split", "random", "--training.members", "2", "--name", "second", "--training.freeze", "encoder"]
    assert main(second) == 2
    assert "are of weights that --init_from brings" in capsys.readouterr().err
    second += ["--init_from", "runs/first/best.ckpt"]
    capsys.readouterr()
    assert main([*second, "--seeds", "0,1"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("tensors of runs/first/best.ckpt; each of the 2 members begins with the same weights") == 1
    assert "new: head.3 (other targets)" in shown and "numbers are frozen" in shown
    old = torch.load("runs/first/best.ckpt", weights_only=True)["state_dict"]
    for seed in (0, 1):
        new = torch.load(f"runs/second/plstm/seed_{seed}/best.ckpt", weights_only=True)["state_dict"]
        for name, value in old.items():
            for member in (0, 1):
                is_same = torch.equal(new[f"members.{member}.{name}"], value)
                assert is_same == (not name.startswith("head"))
    report = json.loads(Path("runs/second/report.json").read_text())
    assert report["config"]["init_from"]["path"] == "runs/first/best.ckpt"
    assert "trainings begin from runs/first/best.ckpt (SHA-256 " in Path("runs/second/report.md").read_text()
    assert main(["predict", "--ckpt_path", "runs/second/best.ckpt", "CCO"]) == 0
    # The checkpoint may move, and no other one may take its place.
    shutil.move("runs/first/best.ckpt", "moved.ckpt")
    capsys.readouterr()
    assert main([*second[:-1], "moved.ckpt", "--seeds", "0,1"]) == 0
    assert main(second) == 2
    assert "--init_from: no checkpoint at runs/first/best.ckpt" in capsys.readouterr().err
    shutil.copy("runs/second/best.ckpt", "runs/first/best.ckpt")
    assert main(second) == 2
    assert "runs/second holds a run of another configuration (init_from.digest is" in capsys.readouterr().err
    assert main(second[:-4]) == 2
    assert "init_from.digest is None, was" in capsys.readouterr().err
    assert main([*second, "--name", "third", "--model.num_layers", "1", "--model.hidden_channels", "16"]) == 2
    assert "do not fit PLSTM: hidden_channels is 16 here and 8 there" in capsys.readouterr().err
    assert not Path("runs/third").exists()
