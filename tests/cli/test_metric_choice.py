"""Which metrics are reported, which one selects, and those of each target, through the command on real molecules."""

import json
import math
import re

import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.train.checkpoint import KEY
from tests.cli.real_rows import fit, real_rows, report_of, write_rows


def history(run):
    return [json.loads(line) for line in (run / "tiny" / "seed_0" / "epochs.jsonl").read_text().splitlines()]


def test_targets_of_different_units_count_alike(real_data, tmp_path, capsys):
    rows = real_rows(real_data, "freesolv", 60)
    for row in rows:
        row["joules"] = str(4184 * float(row["calc"]))
    run = fit(tmp_path, write_rows(tmp_path / "t.csv", rows), "--task.target_columns", "[expt, joules]")
    report, epochs = report_of(run), history(run)
    assert report["monitor"] == {"standardised_rmse": "min"}
    tests = {name: found["mean"] for name, found in report["models"]["tiny"]["tests"].items()}
    assert {"test/standardised_rmse", "test/standardised_mae", "test/r2"} < set(tests)
    assert "test/rmse" not in tests
    recipe = torch.load(run / "best.ckpt", weights_only=True)[KEY]
    spread = recipe["scores"]["spread"]
    errors = [tests["test/rmse of expt"] / spread[0], tests["test/rmse of joules"] / spread[1]]
    assert tests["test/standardised_rmse"] == pytest.approx(sum(errors) / 2)
    assert 1000 < spread[1] / spread[0] < 10_000
    assert all({"valid/rmse of expt", "valid/rmse of joules"} < set(row) for row in epochs)
    text = (run / "report.md").read_text()
    assert "| tiny | expt |" in text and "| tiny | joules |" in text
    capsys.readouterr()
    assert (
        main(["test", "--ckpt_path", str(run / "best.ckpt"), "--allow", "tests", "--output", str(tmp_path / "m.json")])
        == 0
    )
    again = json.loads((tmp_path / "m.json").read_text())
    assert again["standardised_rmse"] == pytest.approx(tests["test/standardised_rmse"])
    assert again["rmse of joules"] == pytest.approx(tests["test/rmse of joules"])


@pytest.mark.parametrize("metric", ["mae", "spearman", "max_error"])
def test_the_metric_that_selects_is_ones_own(metric, real_data, tmp_path):
    table = write_rows(tmp_path / "t.csv", real_rows(real_data, "freesolv", 60))
    run = fit(tmp_path, table, "--task.target_columns", "[expt]", "--metric", metric, epochs=4)
    report, epochs = report_of(run), history(run)
    better = {"mae": "min", "max_error": "min", "spearman": "max"}[metric]
    assert report["monitor"] == {metric: better}
    values = [row[f"valid/{metric}"] for row in epochs]
    best = (min if better == "min" else max)(value for value in values if math.isfinite(value))
    assert report["models"]["tiny"]["seeds"][0]["epoch"] == values.index(best) + 1
    shown = [name for name in report["models"]["tiny"]["tests"] if not name.endswith(("/loss", "/seconds"))]
    assert shown == [f"test/{name}" for name in dict.fromkeys([metric, "rmse", "mae", "r2"])]


def test_labels_with_missing_ones(real_data, tmp_path):
    rows = real_rows(real_data, "tox21", 300)
    names = ["NR-AhR", "SR-MMP", "SR-p53"]
    metrics = ["mcc", "balanced_accuracy", "f1", "accuracy", "brier", "nll", "auroc", "ap"]
    run = fit(
        tmp_path,
        write_rows(tmp_path / "t.csv", rows),
        *(
            "--task.kind",
            "multilabel",
            "--task.allow_missing",
            "true",
            "--task.target_columns",
            f"[{', '.join(names)}]",
        ),
        *("--task.metrics", f"[{', '.join(metrics)}]", "--metric", "nll", "--baselines", "true"),
    )
    report = report_of(run)
    assert report["monitor"] == {"nll": "min"}
    tests = report["models"]["tiny"]["tests"]
    assert {f"test/{metric} of {name}" for metric in metrics for name in names} < set(tests)
    assert {f"test/{metric}" for metric in metrics} < set(report["beside"]["mean predictor"])
    assert {f"test/{metric} of {name}" for metric in metrics for name in names} < set(
        report["beside"]["mean predictor"]
    )
    assert "| mean predictor | NR-AhR |" in (run / "report.md").read_text()


def test_classes(real_data, tmp_path):
    rows = real_rows(real_data, "solubility", 90)
    metrics = ["accuracy", "balanced_accuracy", "f1", "mcc", "kappa", "auroc_ovr", "nll"]
    run = fit(
        tmp_path,
        write_rows(tmp_path / "t.csv", rows),
        *("--task.kind", "multiclass", "--task.target_columns", "[class]", "--task.metrics", f"[{', '.join(metrics)}]"),
        *("--metric", "mcc"),
    )
    report = report_of(run)
    assert report["monitor"] == {"mcc": "max"}
    found = {name: each["mean"] for name, each in report["models"]["tiny"]["tests"].items()}
    assert {f"test/{metric}" for metric in metrics} < set(found)
    assert 0 <= found["test/auroc_ovr"] <= 1 and found["test/nll"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "rsme"], r"there is no metric 'rsme' of regression \(did you mean rmse\?\)"),
        (["--metric", "auroc"], "there is no metric 'auroc' of regression; it is one of binary and multilabel"),
        (["--task.metrics", "[mae, pearsn]"], r"no metric 'pearsn' of regression \(did you mean pearson\?\)"),
        (["--task.kind", "binary", "--metric", "acuracy"], r"'acuracy' of binary \(did you mean accuracy\?\)"),
    ],
)
def test_a_misspelt_metric_is_refused_before_data_are_read(options, message, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("smiles,y\nCCO,1\n")
    task = ["--task.name", "molecules", "--task.path", str(tmp_path / "t.csv")]
    models = ["--models", '{"tiny": {"class_path": "plstm_graph.nn.PLSTM"}}']
    assert main(["fit", *task, *models, *options]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_task_with_a_metric_of_its_own_takes_no_other(capsys):
    assert main(["fit", "--task.name", "enas", "--model", "plstm_graph.nn.PLSTM", "--metric", "mae"]) == 2
    assert "--metric is for the tasks molecules and dag_folder" in capsys.readouterr().err


def test_a_metric_that_validation_does_not_define_falls_back_to_the_loss(real_data, tmp_path):
    rows = real_rows(real_data, "freesolv", 60)
    for number, row in enumerate(rows):
        row["part"] = "valid" if number % 6 == 0 else "test" if number % 6 == 1 else "train"
        row["expt"] = "1.5" if row["part"] == "valid" else row["expt"]
    table = write_rows(tmp_path / "t.csv", rows)
    run = fit(tmp_path, table, "--task.target_columns", "[expt]", "--metric", "r2", "--task.split", "part")
    report = report_of(run)
    assert report["monitor"] == {"loss": "min"}
    assert any(
        "has one value only, so r2 is not defined there: epochs are selected by" in text for text in report["data"]
    )
