"""Vectors of molecules and DAGs, as a user asks for them."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from plstm_graph.cli import main
from tests.made_sets import make_folder
from tests.real_rows import SOLUBILITY, solubility
from tests.tables import rows_of

CONFIGS = Path(__file__).parents[2] / "configs"
_SMALL = (
    *("--training.epochs", "1", "--device", "cpu", "--seeds", "0", "--name", "run", "--baselines", "false"),
    *("--model.hidden_channels", "8", "--model.num_layers", "1"),
)
_BEST = ("--ckpt_path", "runs/run/best.ckpt")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _numbers(row):
    return [float(cell) for name, cell in row.items() if name.startswith("embedding_")]


def test_molecules(tmp_path, real_data, capsys):
    solubility(real_data, tmp_path / "table.csv", 60)
    fit = [
        "fit",
        "--config",
        str(CONFIGS / "chembl.yaml"),
        "--task.path",
        "table.csv",
        *SOLUBILITY,
        *_SMALL,
        "--task.descriptors",
        "null",
    ]
    assert main([*fit, "--training.members", "2"]) == 0
    others = solubility(real_data, tmp_path / "others.csv", 20, skip=100)
    with others.open("a") as file:
        file.write("bad,C1CC,0\n")
    capsys.readouterr()
    assert main(["embed", *_BEST, "CCO", "others.csv", "--output", "vectors.csv"]) == 0
    shown = capsys.readouterr().err
    assert "others.csv:22: invalid SMILES 'C1CC'" in shown and "1 of 22 molecules have no embedding" in shown
    assert "wrote vectors.csv: 21 graphs, 32 numbers each" in shown
    rows = rows_of("vectors.csv")
    names = [f"embedding_{number}" for number in range(32)]  # two pools of eight channels, of two members
    assert list(rows[0]) == ["source", "smiles", "Name", "Solubility", *names, "error"]
    assert rows[-1]["error"].startswith("invalid SMILES") and rows[-1]["embedding_0"] == ""

    assert main(["embed", *_BEST, "CCO", "others.csv", "--output", "vectors.npz"]) == 0
    with np.load("vectors.npz", allow_pickle=False) as found:
        arrays = dict(found)
    assert sorted(arrays) == ["embedding", "error", "smiles", "source"]
    assert arrays["embedding"].shape == (22, 32) and arrays["embedding"].dtype == np.float32
    assert arrays["smiles"].tolist() == [row["smiles"] for row in rows]
    np.testing.assert_array_equal(arrays["embedding"][:-1], np.float32([_numbers(row) for row in rows[:-1]]))
    assert np.isnan(arrays["embedding"][-1]).all() and arrays["source"][-1] == "others.csv:22"

    assert main(["embed", *_BEST, "others.csv", "CCO", "--of", "nodes", "--output", "atoms.npz"]) == 0
    with np.load("atoms.npz", allow_pickle=False) as found:
        atoms = dict(found)
    assert atoms["atom"][-4:].tolist() == [-1, 0, 1, 2] and atoms["embedding"].shape == (len(atoms["atom"]), 16)
    assert np.isnan(atoms["embedding"][-4]).all() and np.isfinite(atoms["embedding"][-3:]).all()
    # The last columns of a graph's vector are the largest of its atoms, of the second member.
    np.testing.assert_allclose(
        atoms["embedding"][-3:, 8:].max(axis=0), arrays["embedding"][0, 24:], rtol=1e-4, atol=1e-5
    )
    assert main(["embed", *_BEST, "CCO", "--of", "nodes", "--layer", "head"]) == 2
    assert "has no hidden layer of nodes" in capsys.readouterr().err
    assert main(["embed", *_BEST, "CCO", "--layer", "head"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert len(_numbers(row)) == 16


def test_what_is_wrong_is_said_before_anything_is_read(capsys):
    assert main(["embed", "--ckpt_path", "none.ckpt", "CCO", "--output", "vectors.npy"]) == 2
    assert "--output must end in .csv or .npz, got vectors.npy" in capsys.readouterr().err
    assert main(["embed", "--ckpt_path", "none.ckpt", "CCO"]) == 2
    assert "no checkpoint at none.ckpt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("level", "task"), [("graph", "classification"), ("node", "regression"), ("edge", "regression")]
)
def test_dags(level, task, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, task)
    assert main(["fit", "--config", str(CONFIGS / "dag.yaml"), "--task.path", "dags", *_SMALL, "--choose={}"]) == 0
    capsys.readouterr()
    assert main(["embed", *_BEST, "dags"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    names = ["graph"] if level == "graph" else ["graph", "node"]
    assert list(rows[0])[: len(names) + 1] == [*names, "embedding_0"]
    assert len(rows) == (24 if level == "graph" else 120)
    assert main(["embed", *_BEST, "dags", "--of", "nodes", "--output", "nodes.npz"]) == 0
    with np.load("nodes.npz", allow_pickle=False) as found:
        assert found["embedding"].shape == (120, 8) and sorted(found) == ["embedding", "graph", "node"]
        assert found["graph"][:5].tolist() == ["g0"] * 4 + ["g1"] and found["node"][:5].tolist() == list("01230")
        if level != "graph":
            np.testing.assert_array_equal(found["embedding"], np.float32([_numbers(row) for row in rows]))
    assert main(["embed", *_BEST, "dags", "--of", "graphs", "--output", "graphs.csv"]) == 0
    assert len(rows_of("graphs.csv")) == 24
    assert main(["embed", *_BEST, "dags", "more"]) == 2
    assert "it takes one such folder and no SMILES" in capsys.readouterr().err
    (tmp_path / "dags" / "nodes.csv").write_text((tmp_path / "dags" / "nodes.csv").read_text().replace("add", "div"))
    assert main(["embed", *_BEST, "dags", "--output", "unknown.csv"]) == 2
    assert "which the model was not trained on" in capsys.readouterr().err and not Path("unknown.csv").exists()
    assert main(["embed", *_BEST, "dags", "--allow_unknown", "--output", "unknown.csv"]) == 0
