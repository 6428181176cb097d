"""Forests beside the networks of runs on tables and folders of one's own, as a user asks for them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from plstm_graph.cli import main
from tests.made_sets import make_folder
from tests.real_rows import SOLUBILITY, solubility
from tests.tables import rows_of

CONFIGS = Path(__file__).parents[2] / "configs"
_SMALL = (
    *("--training.epochs", "1", "--device", "cpu", "--name", "run", "--baselines", "false"),
    *("--model.hidden_channels", "8", "--model.num_layers", "1"),
)
_BLEND = ("blend", "runs/run", "--trees", "20", "--jobs", "1", "--device", "cpu")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _fit(*arguments, config="chembl.yaml"):
    assert main(["fit", "--config", str(CONFIGS / config), *arguments, *_SMALL]) == 0


def test_folds_of_a_table_with_fingerprints_that_validation_picks(tmp_path, real_data, capsys):
    solubility(real_data, tmp_path / "table.csv", 90)
    _fit("--task.path", "table.csv", *SOLUBILITY, "--folds", "3", "--seeds", "0", "--training.members", "2")
    capsys.readouterr()
    sets = ["--fingerprints", "ecfp", "ecfp,fcfp,maccs,atom_pairs,torsions", "--max_features", "sqrt", "0.2"]
    assert main([*_BLEND, *sets, "--min_samples_leaf", "1"]) == 0
    shown = capsys.readouterr()
    assert "3/3: plstm, fold 2, seed 0, blended: runs/run/plstm/fold_2/seed_0/blend_predictions.csv" in shown.err
    report = json.loads(Path("runs/run/blend.json").read_text())
    assert len(report["candidates"]) == 4 and report["min_samples_leaf"] == 1 and report["metric"] == "rmse"
    trained = json.loads(Path("runs/run/report.json").read_text())["models"]["plstm"]
    seen = set()
    for row, of_run in zip(report["models"]["plstm"]["seeds"], trained["seeds"], strict=True):
        assert row["fold"] == of_run["fold"] and row["forest_of"] in report["candidates"]
        assert row["network"]["test"] == pytest.approx(of_run["tests"]["test"]["rmse"], rel=1e-6)
        assert row["blend"]["valid"] <= min(row["network"]["valid"], row["forest"]["valid"])
        cells = rows_of(f"runs/run/plstm/fold_{row['fold']}/seed_0/blend_predictions.csv")
        assert list(cells[0]) == ["smiles", "Solubility", "predicted_Solubility"]
        errors = [float(each["predicted_Solubility"]) - float(each["Solubility"]) for each in cells]
        assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(row["blend"]["test"], rel=1e-6)
        seen |= {each["smiles"] for each in cells}
    assert len(seen) >= 85  # each row is tested once; some molecules stand in several
    assert "| fold | seed | network | forest | blend |" in Path("runs/run/blend.md").read_text()
    assert "max_features 0.2" in shown.out


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_classes_and_labels_of_a_table(kind, tmp_path, real_data, capsys):
    rows = pd.read_csv(solubility(real_data, tmp_path / "table.csv", 90))
    level = pd.cut(rows["Solubility"], [-20, -4, -2, 9], labels=["low", "middle", "high"])
    rows = rows.assign(
        level=level, polar=[int("O" in each) for each in rows["SMILES"]], soluble=rows["Solubility"] > -3
    )
    rows["soluble"] = rows["soluble"].astype(int).astype(object).where(rows.index % 3 > 0, "")
    rows.to_csv("table.csv", index=False)
    targets = "[level]" if kind == "multiclass" else "[polar, soluble]"
    options = ("--task.smiles_column", "SMILES", "--task.target_columns", targets, "--task.split", "random")
    _fit("--task.path", "table.csv", *options, "--task.kind", kind, "--task.allow_missing", "true", "--seeds", "0-1")
    assert main([*_BLEND, "--fingerprints", "maccs"]) == 0
    report = json.loads(Path("runs/run/blend.json").read_text())
    for row in report["models"]["plstm"]["seeds"]:
        assert row["blend"]["valid"] >= max(row["network"]["valid"], row["forest"]["valid"])
        cells = rows_of(f"runs/run/plstm/seed_{row['seed']}/blend_predictions.csv")
        if kind == "multiclass":
            found = accuracy_score([each["level"] for each in cells], [each["predicted_level"] for each in cells])
            assert found == pytest.approx(row["blend"]["test"])
            assert [name for name in cells[0] if "prob" in name] == [
                f"probability_{word}" for word in ("high", "low", "middle")
            ]
        else:
            assert {"predicted_polar", "predicted_soluble"} <= set(cells[0])
            assert any(each["soluble"] == "" for each in cells)


@pytest.mark.parametrize(
    ("level", "task"), [("graph", "regression"), ("node", "classification"), ("edge", "multilabel")]
)
def test_folders_of_dags(level, task, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, task)
    _fit("--task.path", "dags", "--seeds", "0", "--choose={}", config="dag.yaml")
    assert main(list(_BLEND)) == 0
    report = json.loads(Path("runs/run/blend.json").read_text())
    assert report["features"].startswith("bag of nodes" if level == "graph" else level)
    cells = rows_of("runs/run/plstm/seed_0/blend_predictions.csv")
    whole = rows_of("runs/run/plstm/seed_0/test_predictions.csv")
    assert [each["graph"] for each in cells] == [each["graph"] for each in whole]
    capsys.readouterr()
    assert main([*_BLEND, "--fingerprints", "ecfp"]) == 2
    assert "--fingerprints and --counts are of molecules" in capsys.readouterr().err


def test_what_is_wrong_is_said_first(capsys):
    for options, message in (
        (("--fingerprints", "ecfp,macs"), "no fingerprint 'macs' (did you mean maccs"),
        (("--max_features", "3"), "max_features must be sqrt or a part such as 0.2, got 3.0"),
        (("--trees", "0"), "trees and min_samples_leaf must be at least 1"),
        ((), "holds no finished run"),
    ):
        assert main([*_BLEND, *options]) == 2
        assert message in capsys.readouterr().err
