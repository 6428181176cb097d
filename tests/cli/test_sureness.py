"""How sure predictions are, from `fit` to `predict`, on real molecules and DAGs."""

import csv
import io
import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.train.checkpoint import KEY
from tests.made_sets import make_folder

_MODEL = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1, "heads": 1}}
_CONFIG = {
    "seeds": 0,
    "threads": 1,
    "device": "cpu",
    "models": {"plstm": _MODEL},
    "training": {"epochs": 2, "batch_size": 32, "lr": 3e-3},
}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _fit(name, task, *options):
    Path("config.yaml").write_text(json.dumps(_CONFIG | {"name": name, "task": task}))
    assert main(["fit", "--config", "config.yaml", "--baselines", "false", *options]) == 0
    (trial,) = Path("runs", name, "plstm").glob("**/seed_0")
    tests = json.loads((trial / "tests.json").read_text())["test"]
    with (trial / "test_predictions.csv").open() as file:
        return f"runs/{name}/best.ckpt", tests, list(csv.DictReader(file))


def _predict(capsys, checkpoint, *arguments):
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", checkpoint, *arguments]) == 0
    shown = capsys.readouterr()
    return list(csv.DictReader(io.StringIO(shown.out))), shown.err


def _coverage(rows, target):
    rows = [row for row in rows if row[target]]
    inside = [float(row[f"lower_{target}"]) <= float(row[target]) <= float(row[f"upper_{target}"]) for row in rows]
    return sum(inside) / len(rows)


@pytest.mark.slow
def test_intervals_and_spread_of_the_molecules_in_rdkit(tmp_path, capsys):
    task = {"name": "molecules", "path": None, "split": "random"}
    checkpoint, tests, rows = _fit("chembl", task, "--training.members", "2")
    assert tests["coverage90"] == pytest.approx(_coverage(rows, "activity")) and 0.75 < tests["coverage90"] <= 1
    widths = [float(row["upper_activity"]) - float(row["lower_activity"]) for row in rows]
    assert tests["width90"] == pytest.approx(sum(widths) / len(rows))
    assert all(float(row["std_activity"]) > 0 for row in rows)
    assert "| test/coverage90 | test/width90 |" in capsys.readouterr().out

    known = {row["smiles"]: row for row in rows[:5]}
    assert all(
        Path("runs/chembl", name).read_bytes().startswith(b"\x89PNG") for name in ("calibration.png", "curves.png")
    )
    found, _ = _predict(capsys, checkpoint, *known, "no SMILES")
    intervals = ("lower_activity", "upper_activity")
    of_all = ["source", "smiles", "predicted_activity", "std_activity", "similarity", "warning", "error"]
    assert list(found[0]) == [*of_all[:4], *intervals, *of_all[4:]]
    for row in found[:-1]:
        assert row["similarity"] == known[row["smiles"]]["similarity"]
        for name in ("predicted", "std", "lower", "upper"):
            of_test = float(known[row["smiles"]][f"{name}_activity"])
            assert float(row[f"{name}_activity"]) == pytest.approx(of_test, rel=1e-3, abs=1e-4)
    assert found[-1]["error"] and not found[-1]["lower_activity"]
    narrow, _ = _predict(capsys, checkpoint, *known, "--coverage", "0.5")
    for inner, outer in zip(narrow, found, strict=False):
        assert inner["predicted_activity"] == outer["predicted_activity"]
        assert float(outer["lower_activity"]) < float(inner["lower_activity"]) < float(inner["upper_activity"])
    # 102 molecules validate: one interval less than certain.
    without, said = _predict(capsys, checkpoint, *known, "--coverage", "0.999")
    assert list(without[0]) == of_all
    assert "no interval for activity: the validation part has 102 measured values of it" in said
    assert main(["predict", "--ckpt_path", checkpoint, "CCO", "--coverage", "90"]) == 2
    assert "coverage must be between 0 and 1, such as 0.9 for intervals of 90%, got 90" in capsys.readouterr().err

    assert main(["test", "--ckpt_path", checkpoint, "--output", "metrics.json"]) == 0
    assert json.loads(Path("metrics.json").read_text())["coverage90"] == pytest.approx(tests["coverage90"])
    (salt, known_one), _ = _predict(capsys, checkpoint, "[Na+].[Cl-]", next(iter(known)))
    assert float(salt["similarity"]) < 0.1 and "unlike the training molecules: 95 of 100 of" in salt["warning"]
    assert float(known_one["similarity"]) > 0.4
    _old_and_damaged(checkpoint, capsys)


def _old_and_damaged(path, capsys):
    """A checkpoint of an earlier version predicts as it did; one that says something else is refused."""
    state = torch.load(path, weights_only=True)
    calibration, domain = (state[KEY].pop(name) for name in ("calibration", "domain"))
    fingerprints = state.pop("fingerprints")
    assert fingerprints.dtype == torch.uint8 and fingerprints.shape == (813, 256)
    torch.save(state, "old.ckpt")
    (row,), _ = _predict(capsys, "old.ckpt", "CCO")
    assert list(row) == ["source", "smiles", "predicted_activity", "std_activity", "error"]
    (interval,) = calibration["intervals"]
    for wrong in ({"scores": interval["scores"][:-1]}, {"scores": ["1"]}, {"rows": -3}, {"offset": -1.0}):
        state[KEY]["calibration"] = calibration | {"intervals": [interval | wrong]}
        torch.save(state, "damaged.ckpt")
        assert main(["predict", "--ckpt_path", "damaged.ckpt", "CCO"]) == 2
        assert "the calibration of damaged.ckpt is damaged" in capsys.readouterr().err
    state[KEY] |= {"calibration": calibration, "domain": domain | {"similarity": 3.0}}
    torch.save(state, "damaged.ckpt")
    assert main(["predict", "--ckpt_path", "damaged.ckpt", "CCO"]) == 2
    assert "what damaged.ckpt says of its training set is damaged: the least similarity is 3" in capsys.readouterr().err
    state[KEY]["domain"] = domain
    for wrong, said in ((fingerprints[:, :9].clone(), "[813, 9], not [n, 256]"), (fingerprints.float(), "no bytes")):
        torch.save(state | {"fingerprints": wrong}, "damaged.ckpt")
        assert main(["predict", "--ckpt_path", "damaged.ckpt", "CCO"]) == 2
        assert (
            f"damaged.ckpt is damaged: the fingerprints of its training molecules are {said}" in capsys.readouterr().err
        )


@pytest.mark.slow
def test_targets_of_a_table_have_intervals_of_their_own(real_data, capsys):
    with (real_data / "pypi_embedded" / "freesolv.csv").open() as file:
        lines = list(csv.reader(file))[:200]
    for number, line in enumerate(lines[1:]):
        line[3] = line[3] if number % 20 == 0 else ""  # of `calc` hardly a value is there
    with open("table.csv", "w") as file:
        csv.writer(file).writerows(lines)
    task = {"name": "molecules", "path": "table.csv", "split": "random", "allow_missing": True}
    task |= {"target_columns": ["expt", "calc"], "fractions": [0.5, 0.25, 0.25]}
    checkpoint, tests, rows = _fit("freesolv", task)
    report = Path("runs/freesolv/report.md").read_text()
    assert "- expt: intervals by the errors of 50 validation rows, equally wide" in report
    assert "- no interval for calc: the validation part has" in report
    assert tests["coverage90 of expt"] == tests["coverage90"] == pytest.approx(_coverage(rows, "expt"))
    assert tests["width90 of expt"] > 0 and "coverage90 of calc" not in tests
    found, said = _predict(capsys, checkpoint, "CCO")
    assert list(found[0])[2:-1] == [
        *("predicted_expt", "predicted_calc"),
        *("lower_expt", "upper_expt", "lower_calc", "upper_calc"),
        *("similarity", "warning"),
    ]
    assert not found[0]["lower_calc"] and float(found[0]["lower_expt"]) < float(found[0]["predicted_expt"])
    assert "no interval for calc: the validation part has" in said


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "target"), [("multiclass", "class"), ("binary", "solves")])
def test_probabilities_have_a_temperature(kind, target, real_data, capsys):
    with (real_data / "pypi_embedded" / "huuskonen_solubility_train.csv").open() as file:
        rows = list(csv.DictReader(file))[:240]
    with open("table.csv", "w") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "class", "solves"])
        writer.writerows([row["smiles"], row["class"], "yes" if float(row["logS"]) > -2 else "no"] for row in rows)
    task = {"name": "molecules", "path": "table.csv", "split": "random", "kind": kind, "target_columns": [target]}
    checkpoint, tests, of_test = _fit("classes", task | {"fractions": [0.5, 0.25, 0.25]}, "--training.members", "2")
    for name in ("nll", "ece"):
        assert tests[f"{name}_calibrated"] > 0 and tests[f"{name}_uncalibrated"] > 0
    report = Path("runs/classes/report.md").read_text()
    assert "| model | test/nll_uncalibrated | test/ece_uncalibrated | test/nll_calibrated |" in report
    assert f"- {target}: logits are divided by " in report and "predict warns of molecules with a simil" in report
    found, _ = _predict(capsys, checkpoint, *[row["smiles"] for row in of_test])
    names = [name for name in found[0] if name.startswith("probability_")]
    assert names and set(found[0]) - set(names) == {
        *("source", "smiles", f"predicted_{target}", f"std_{target}", "similarity", "warning", "error")
    }
    likelihood = 0.0
    for row, other in zip(found, of_test, strict=True):
        assert sum(float(row[name]) for name in names) == pytest.approx(1)
        assert row[f"predicted_{target}"] == max(names, key=lambda name: float(row[name])).removeprefix("probability_")
        assert float(row[f"std_{target}"]) == pytest.approx(float(other[f"std_{target}"]), rel=1e-3, abs=1e-5)
        likelihood -= math.log(float(row[f"probability_{other[target]}"])) / len(found)
    assert likelihood == pytest.approx(tests["nll_calibrated"], rel=1e-3)
    _other_temperature(checkpoint, found, names, capsys)


def _other_temperature(path, found, names, capsys):
    """Whatever the temperature, the order of classes stays."""
    state = torch.load(path, weights_only=True)
    (before,) = state[KEY]["calibration"]["temperatures"]
    assert 0.1 <= before <= 10
    state[KEY]["calibration"]["temperatures"] = [10.0]
    torch.save(state, "hot.ckpt")
    hot, _ = _predict(capsys, "hot.ckpt", *[row["smiles"] for row in found])
    for row, other in zip(hot, found, strict=True):
        assert sorted(names, key=lambda name: float(row[name])) == sorted(names, key=lambda name: float(other[name]))
    assert sum(float(row[names[0]]) for row in hot) != sum(float(row[names[0]]) for row in found)
    state[KEY]["calibration"]["temperatures"] = [0.0]
    torch.save(state, "damaged.ckpt")
    assert main(["predict", "--ckpt_path", "damaged.ckpt", "CCO"]) == 2
    assert "the calibration of damaged.ckpt is damaged: its temperatures are [0.0]" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_intervals_of_a_folder_of_dags(level, tmp_path, capsys):
    make_folder(tmp_path / "dags", level, "regression", graphs=60)
    checkpoint, tests, rows = _fit("dags", {"name": "dag_folder", "path": "dags"}, "--training.members", "2")
    target = next(name for name in rows[0] if f"lower_{name}" in rows[0])
    covered = [name for name in tests if name.startswith("coverage90")]
    assert covered and tests[covered[-1]] > 0.5
    shutil.copytree("dags", "new", ignore=shutil.ignore_patterns("processed"))
    found, _ = _predict(capsys, checkpoint, "new")
    for row in found:
        low, value, high = (float(row[f"{name}_{target}"]) for name in ("lower", "predicted", "upper"))
        assert low < value < high and float(row[f"std_{target}"]) > 0 and not row["warning"]
    lines = Path("new/nodes.csv").read_text().splitlines()
    name, _, cells = lines[-1].split(",", 2)
    Path("new/nodes.csv").write_text("\n".join([*lines, *(f"{name},{number},{cells}" for number in range(50, 70))]))
    found, _ = _predict(capsys, checkpoint, "new")
    assert {row["graph"] for row in found if row["warning"]} == {name}
    assert "nodes, where training graphs have 4 to 6" in found[-1]["warning"]
