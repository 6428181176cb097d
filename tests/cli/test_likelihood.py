"""A variance of each number, from `fit` to `predict` and `explain`, on real molecules and on DAGs."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.train.checkpoint import KEY
from tests.made_sets import make_folder

_MODEL = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1, "heads": 1}}
_TRAINING = {"epochs": 2, "batch_size": 32, "lr": 3e-3}
_CONFIG = {"seeds": 0, "threads": 1, "device": "cpu", "models": {"plstm": _MODEL}, "training": _TRAINING}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _fit(task, *options):
    Path("config.yaml").write_text(json.dumps(_CONFIG | {"name": "run", "task": task}))
    assert main(["fit", "--config", "config.yaml", "--baselines", "false", *options]) == 0
    (trial,) = Path("runs", "run", "plstm").glob("**/seed_0")
    with (trial / "test_predictions.csv").open() as file:
        return json.loads((trial / "tests.json").read_text())["test"], list(csv.DictReader(file))


def _predict(capsys, checkpoint, *arguments):
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", checkpoint, *arguments]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


@pytest.mark.slow
@pytest.mark.parametrize("members", ["1", "2"])
def test_two_targets_of_real_molecules(members, real_data, capsys):
    with (real_data / "pypi_embedded" / "freesolv.csv").open() as file:
        lines = list(csv.reader(file))[:161]
    for number, line in enumerate(lines[1:]):
        line[3] = line[3] if number % 4 else ""
    with open("table.csv", "w") as file:
        csv.writer(file).writerows(lines)
    task = {"name": "molecules", "path": "table.csv", "split": "random", "allow_missing": True}
    task |= {"target_columns": ["expt", "calc"], "fractions": [0.5, 0.25, 0.25], "likelihood": "gaussian"}
    tests, rows = _fit(task, "--training.members", members)
    assert tests["coverage90 of expt"] > 0.5 and tests["coverage90 of calc"] > 0.5
    found = _predict(capsys, "runs/run/best.ckpt", *[row["smiles"] for row in rows])
    for row, other in zip(found, rows, strict=True):
        for target in ("expt", "calc"):
            assert float(row[f"std_{target}"]) > 0
            for name in ("predicted", "std", "lower", "upper"):
                of_test = float(other[f"{name}_{target}"])
                assert float(row[f"{name}_{target}"]) == pytest.approx(of_test, rel=1e-3, abs=1e-3)
    assert main(["test", "--ckpt_path", "runs/run/best.ckpt", "--output", "metrics.json"]) == 0
    metrics = json.loads(Path("metrics.json").read_text())
    for name in ("standardised_rmse", "coverage90", "width90 of calc"):
        assert metrics[name] == pytest.approx(tests[name], rel=1e-4)
    assert main(["explain", "--ckpt_path", "runs/run/best.ckpt", "CCO", "--target", "calc"]) == 0
    explained = capsys.readouterr().out
    (row,) = _predict(capsys, "runs/run/best.ckpt", "CCO")
    assert f"calc = {float(row['predicted_calc']):.4g}" in explained
    _refuses_others(capsys)


def _refuses_others(capsys):
    state = torch.load("runs/run/best.ckpt", weights_only=True)
    assert state[KEY]["likelihood"] == "gaussian"
    for wrong in ("laplace", 3, ["gaussian"]):
        state[KEY]["likelihood"] = wrong
        torch.save(state, "other.ckpt")
        assert main(["predict", "--ckpt_path", "other.ckpt", "CCO"]) == 2
        assert "another likelihood than gaussian" in capsys.readouterr().err
    del state[KEY]["likelihood"]  # four columns for two targets
    torch.save(state, "other.ckpt")
    assert main(["predict", "--ckpt_path", "other.ckpt", "CCO"]) == 2
    assert "the calibration is of 2 targets, the model gives 4" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("level", "scale"), [("graph", "standard"), ("node", "log"), ("edge", "standard")])
def test_dags(level, scale, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, "regression", graphs=60)
    task = {"name": "dag_folder", "path": "dags", "likelihood": "gaussian", "target_scale": scale}
    tests, _ = _fit(task)
    assert tests["coverage90"] > 0.5
    for row in _predict(capsys, "runs/run/best.ckpt", "dags"):
        low, value, high = (float(row[f"{name}_a"]) for name in ("lower", "predicted", "upper"))
        assert low < value < high and float(row["std_a"]) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task.likelihood", "gauss"), "likelihood must be 'gaussian', or null for squared errors, got 'gauss'"),
        (("--task.likelihood", "gaussian", "--task.kind", "binary"), "likelihood 'gaussian' is of numbers"),
        (("--task.likelihod", "gaussian"), "there is no option 'likelihod' (did you mean likelihood?)"),
    ],
)
def test_likelihoods_that_are_none(options, message, capsys):
    Path("table.csv").write_text("smiles,y\nCCO,1\nCCN,0\n")
    Path("config.yaml").write_text(json.dumps(_CONFIG | {"task": {"name": "molecules", "path": "table.csv"}}))
    assert main(["fit", "--config", "config.yaml", *options]) == 2
    assert message in capsys.readouterr().err
