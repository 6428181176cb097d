"""Rows of several molecules, such as solute and solvent, as a user has them."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.tasks.registry import task_of
from tests.tables import rows_of

CONFIGS = Path(__file__).parents[2] / "configs"
_SOLVENTS = ["O", "CCO", "CC#N", "ClC(Cl)Cl"]
_FIT = (
    *("fit", "--config", str(CONFIGS / "chembl.yaml"), "--task.path", "pairs.csv"),
    *("--task.smiles_column", "[solute, solvent]", "--task.target_columns", "value", "--task.split", "random"),
    *("--training.epochs", "1", "--device", "cpu", "--seeds", "0", "--name", "run"),
    *("--task.descriptors", "null", "--model.hidden_channels", "8", "--model.num_layers", "1"),
)
_MORE = [("CCO", "", "1"), ("CCO", "C1CC", "1"), ("CCC", "O", "1"), ("C(C)C", "O", "2")]
_BEST = ("--ckpt_path", "runs/run/best.ckpt")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pairs(real_data, path, count, skip=0, more=()):
    """Real molecules in real solvents, with the solubility in water."""
    with gzip.open(real_data / "aqsoldb" / "curated-solubility-dataset.csv.gz", "rt", encoding="utf-8") as file:
        found = [row for row, _ in zip(csv.DictReader(file), range(skip + count), strict=False)][skip:]
    rows = [(row["SMILES"], _SOLVENTS[n % len(_SOLVENTS)], row["Solubility"]) for n, row in enumerate(found)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("solute", "solvent", "value"), *rows, *more])
    return rows


def test_two_columns(real_data, capsys):
    rows = pairs(real_data, "pairs.csv", 80, more=_MORE)
    assert main([*_FIT, "--baselines", "true"]) == 0
    shown = capsys.readouterr()
    assert "line 82: invalid SMILES '': it has no atoms (column 'solvent')" in shown.err
    assert "line 83: invalid SMILES 'C1CC': it cannot be parsed (column 'solvent')" in shown.err
    assert "stands in several rows" in shown.err and "Morgan + ridge" in shown.out

    predictor = load_predictor("runs/run/best.ckpt")
    labelled = task_of(predictor.recipe["task"]).labelled
    data = labelled.dataset[0]
    atoms = [data.component.tolist().count(number) for number in (0, 1)]
    assert atoms[1] == 1 and sum(atoms) == data.num_nodes and data.smiles == rows[0][0]
    assert predictor.recipe["model"]["init_args"]["model"]["init_args"]["components"] == 2

    pairs(real_data, "new.csv", 8, 200, more=[("CCO", "", "1")])
    assert main(["predict", *_BEST, "new.csv", "--output", "first.csv"]) == 0
    first = rows_of("first.csv")
    assert "(column 'solvent')" in first[-1]["error"] and "solvent" in first[0]
    solute, solvent = first[0]["smiles"], first[0]["solvent"]
    capsys.readouterr()
    assert main(["predict", *_BEST, f"{solute} {solvent}", f"{solvent} {solute}", "CCO"]) == 0
    shown = capsys.readouterr()
    own, swapped, alone = csv.DictReader(shown.out.splitlines())
    assert float(own["predicted_value"]) == pytest.approx(float(first[0]["predicted_value"]), rel=1e-5)
    assert float(own["predicted_value"]) != pytest.approx(float(swapped["predicted_value"]), rel=1e-5)
    assert "the model reads 2 molecules (solute, solvent), and 'CCO' has 1" in alone["error"]
    assert main(["test", *_BEST, "--split", "all"]) == 0
    assert main(["explain", *_BEST, "CCO O", "--output", "picture.png"]) == 0
    assert Path("picture.png").stat().st_size > 1000
    assert main(["embed", *_BEST, "CCO O", "--output", "vectors.csv"]) == 0
    Path("other.csv").write_text("solute,solvnt\nCCO,O\n")
    assert main(["predict", *_BEST, "other.csv"]) == 2
    assert "other.csv has no column 'solvent'" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["PLSTM", "baselines.GIN", "baselines.DirectedGCN"])
def test_order_does_not_matter_where_components_are_pooled(real_data, capsys, model):
    pairs(real_data, "pairs.csv", 60)
    Path("own.yaml").write_text("task: {name: molecules}\ntraining: {batch_size: 32}\n")
    options = ("--task.components", "pooled", "--task.descriptors", "morgan:32", "--baselines", "false")
    of_class = ("--model.class_path", f"plstm_graph.nn.{model}")
    assert main(["fit", "--config", "own.yaml", *of_class, *_FIT[3:], *options]) == 0
    predictor = load_predictor("runs/run/best.ckpt").double()
    labelled = task_of(predictor.recipe["task"]).labelled
    assert predictor.recipe["model"]["init_args"]["component_readout"] == "pooled"
    swapped = []
    for data in labelled.subset("test"):
        other = data.clone()
        other.component = 1 - data.component
        swapped.append(other)
    own = predictor.predict(labelled.subset("test"))
    assert torch.equal(own, predictor.predict(swapped))
    assert np.isfinite(own.numpy()).all()


def test_mistakes(real_data, capsys):
    pairs(real_data, "pairs.csv", 40)
    assert main([*_FIT, "--task.smiles_column", "[solute, solvnt]"]) == 2
    assert "Did you mean 'solvent'?" in capsys.readouterr().err
    assert main([*_FIT, "--task.smiles_column", "[solute, solute]"]) == 2
    assert "column 'solute' is named more than once as of SMILES" in capsys.readouterr().err
    assert main([*_FIT, "--task.components", "summed"]) == 2
    assert "summed" in capsys.readouterr().err
    subdivide = "{class_path: plstm_graph.transforms.SubdivideEdges}"
    assert main([*_FIT, "--task.pre_transform", subdivide]) == 2
    assert "rows of several molecules" in capsys.readouterr().err
