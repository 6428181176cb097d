"""Descriptors beside the graphs of molecules, from the table and computed, as a user asks for them."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.predict.inputs import MoleculeInputs
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.tasks.registry import task_of
from tests.tables import rows_of

CONFIGS = Path(__file__).parents[2] / "configs"
_FIT = (
    *("fit", "--config", str(CONFIGS / "chembl.yaml"), "--task.path", "table.csv", "--task.smiles_column", "SMILES"),
    *("--task.target_columns", "Solubility", "--task.split", "random", "--seeds", "0", "--device", "cpu"),
    *("--training.epochs", "1", "--name", "run", "--model.hidden_channels", "8", "--model.num_layers", "1"),
)
_NN = "plstm_graph.nn.baselines"
_BEST = ("--ckpt_path", "runs/run/best.ckpt")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(real_data, path, count, skip=0, change=lambda rows: None):
    """Rows of AqSolDB with two of its own descriptors."""
    with gzip.open(real_data / "aqsoldb" / "curated-solubility-dataset.csv.gz", "rt", encoding="utf-8") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(skip + count), strict=False)][skip:]
    names = ["SMILES", "Solubility", "MolLogP", "MolWt"]
    rows = [{name: row[name] for name in names} for row in rows]
    change(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_columns_of_the_table(real_data, capsys):
    def damage(rows):
        rows[3]["MolLogP"], rows[5]["MolLogP"] = "", "high"

    table(real_data, "table.csv", 80, change=damage)
    assert main([*_FIT, "--task.descriptor_columns", "[MolLogP, MolWt]", "--baselines", "true"]) == 0
    shown = capsys.readouterr()
    assert "line 5: descriptor 'MolLogP' is empty (allow_missing takes the mean in its place)" in shown.err
    assert "line 7: descriptor 'MolLogP' is 'high', not a number" in shown.err
    assert "Morgan and descriptors + ridge" in shown.out

    recipe = load_predictor("runs/run/best.ckpt").recipe
    scaling = recipe["reading"]["descriptors"]["scaling"]
    labelled = task_of(recipe["task"]).labelled
    train = labelled.subset("train")
    weights = np.array([float(cell) for cell in train.table.column("MolWt")])
    assert scaling["mean"][1] == pytest.approx(weights.mean())
    expected = np.clip((weights - weights.mean()) / weights.std(), -5, 5)
    np.testing.assert_allclose(torch.cat([data.descriptors for data in train])[:, 1], expected, rtol=1e-5, atol=1e-6)

    # A table gives what training and `test` give; what the columns say matters; a missing cell is an error of its row.
    rows = table(real_data, "new.csv", 10, 100)
    assert main(["predict", *_BEST, "new.csv", "--output", "first.csv"]) == 0
    table(real_data, "new.csv", 10, 100, lambda rows: rows[0].update(MolLogP="9") or rows[1].update(MolLogP=""))
    assert main(["predict", *_BEST, "new.csv", "--output", "second.csv"]) == 0
    first, second = rows_of("first.csv"), rows_of("second.csv")
    assert first[0]["predicted_Solubility"] != second[0]["predicted_Solubility"]
    assert second[1]["error"].startswith("descriptor 'MolLogP' is empty")
    # One row less in a batch changes the order of float32 sums.
    others = [float(row["predicted_Solubility"]) for row in first[2:]]
    assert [float(row["predicted_Solubility"]) for row in second[2:]] == pytest.approx(others, rel=1e-5)
    table(real_data, "new.csv", 10, 100)
    assert main(["test", *_BEST, "--data", "new.csv", "--output", "metrics.json"]) == 0
    true = np.array([float(row["Solubility"]) for row in rows])
    errors = np.array([float(row["predicted_Solubility"]) for row in first]) - true
    assert json.loads(Path("metrics.json").read_text())["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))

    capsys.readouterr()
    assert main(["predict", *_BEST, "CCO"]) == 1
    assert "the model reads MolLogP, MolWt beside the SMILES: give a table (CSV)" in capsys.readouterr().err
    assert main(["explain", *_BEST, "CCO", "--output", "picture.png"]) == 2
    assert "beside the SMILES: give a table" in capsys.readouterr().err
    Path("other.csv").write_text("SMILES,MolWt\nCCO,46\n")
    assert main(["predict", *_BEST, "other.csv"]) == 2
    assert "other.csv has no column 'MolLogP'" in capsys.readouterr().err


def test_missing_cells_where_they_may_be_are_the_mean(real_data, capsys):
    table(real_data, "table.csv", 60, change=lambda rows: rows[3].update(MolLogP="NA"))
    options = ("--task.descriptor_columns", "MolLogP", "--task.allow_missing", "true", "--baselines", "false")
    assert main([*_FIT, *options]) == 0
    assert "60 molecules, no bad rows" in capsys.readouterr().err
    Path("new.csv").write_text("SMILES,MolLogP\nCCO,\nCCO,NA\n")
    assert main(["predict", *_BEST, "new.csv", "--output", "new_predicted.csv"]) == 0
    first, second = rows_of("new_predicted.csv")
    assert first["predicted_Solubility"] == second["predicted_Solubility"] != ""


def test_rdkit_set_and_counts(real_data, capsys, monkeypatch):
    table(real_data, "table.csv", 60)
    options = ("--task.descriptors", "[rdkit2d, 'morgan:64']", "--training.members", "2", "--baselines", "false")
    assert main([*_FIT, *options]) == 0
    predictor = load_predictor("runs/run/best.ckpt")
    names = predictor.recipe["reading"]["descriptors"]["rdkit"]
    member = predictor.recipe["model"]["init_args"]["model"]
    assert len(names) > 200 and member["init_args"]["descriptors"] == len(names) + 64

    labelled = task_of(predictor.recipe["task"]).labelled
    data = labelled.subset("test")[0]
    taken = MoleculeInputs.of_recipe(predictor.recipe)
    (again,) = taken.graphs([([data.smiles], {})], labelled.pre_transform)
    assert torch.equal(again.descriptors, data.descriptors)
    assert again.descriptors.abs().max() <= 5 and again.descriptors.isfinite().all()
    place = names.index("MolWt")
    weight = float(labelled.subset("test").table.column("MolWt")[0]) - taken.scaling.mean[place]
    assert again.descriptors[0, place] == pytest.approx(weight * taken.scaling.factor[place], rel=1e-2)

    assert main(["predict", *_BEST, "CCO", "C1CC"]) == 0
    assert "C1CC" in capsys.readouterr().err
    assert main(["explain", *_BEST, "CCO", "--output", "picture.png"]) == 0
    assert Path("picture.png").stat().st_size > 1000
    assert main(["embed", *_BEST, "CCO", "--output", "vectors.csv"]) == 0

    known = dict(taken.descriptors.to_plain())
    damaged = predictor.recipe["reading"]["descriptors"] = known | {"scaling": {"mean": [1.0], "factor": [1.0]}}
    with pytest.raises(ValueError, match="does not say which descriptors its model reads: the scale"):
        MoleculeInputs.of_recipe(predictor.recipe)
    damaged |= {"rdkit": [*known["rdkit"], "__class__"]}
    with pytest.raises(ValueError, match="lacks 1 descriptors, such as '__class__'"):
        MoleculeInputs.of_recipe(predictor.recipe)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task.descriptors", "rdkit_2d"], "descriptors must be rdkit2d, morgan or morgan:SIZE, got 'rdkit_2d'"),
        (["--task.descriptors", "morgan:3"], "got 'morgan:3'"),
        (["--task.descriptors", "[morgan, 'morgan:64']"], "descriptors name 'morgan' more than once"),
        (["--task.descriptor_columns", "MolLogp"], "Did you mean 'MolLogP'?"),
        (["--task.descriptor_columns", "Solubility"], "column 'Solubility' is a descriptor and a target"),
        (
            [
                "--task.descriptors",
                "morgan",
                "--training.members",
                "1",
                "--config",
                str(CONFIGS / "ogb" / "models" / "gin.yaml"),
            ],
            "the task has descriptors of molecules, and it has no argument 'descriptors'",
        ),
    ],
)
def test_mistakes(real_data, capsys, options, message):
    table(real_data, "table.csv", 40)
    assert main([*_FIT, *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
