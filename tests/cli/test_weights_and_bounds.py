"""Weights of rows, targets and classes, bounds in place of values, and scales of targets, through the command."""

import json
import re

import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.datasets import BadRow
from plstm_graph.tasks.molecules import molecules
from plstm_graph.train.checkpoint import KEY
from tests.cli.real_rows import fit, real_rows, report_of, write_rows
from tests.tables import rows_of


def last_row(run):
    lines = (run / "tiny" / "seed_0" / "epochs.jsonl").read_text().splitlines()
    return json.loads(lines[-1])


def losses_of(folder, table, *options):
    row = last_row(fit(folder, table, *options, epochs=1))
    return row["train/loss"], row["valid/loss"]


CLASS = ("--task.kind", "multiclass", "--task.target_columns", "[class]")
TWO = ("--task.target_columns", "[expt, calc]")


def test_equal_weights_change_nothing_but_rounding(real_data, tmp_path):
    rows = real_rows(real_data, "freesolv", 50)
    table = write_rows(tmp_path / "t.csv", [row | {"w": "250"} for row in rows])
    plain = losses_of(tmp_path / "a", table, *TWO)
    weighted = losses_of(tmp_path / "b", table, *TWO, "--task.weight_column", "w")
    assert weighted == pytest.approx(plain, rel=1e-5)
    assert losses_of(tmp_path / "c", table, *TWO, "--task.target_weights", "[2, 2]") == pytest.approx(plain, rel=1e-5)


def test_weights_of_rows_and_targets_change_what_is_learnt(real_data, tmp_path):
    rows = real_rows(real_data, "freesolv", 50)
    table = write_rows(tmp_path / "t.csv", [row | {"w": str(number % 3)} for number, row in enumerate(rows)])
    plain = losses_of(tmp_path / "a", table, *TWO)
    assert losses_of(tmp_path / "b", table, *TWO, "--task.weight_column", "w") != pytest.approx(plain, rel=1e-3)
    of_one = losses_of(tmp_path / "c", table, *TWO, "--task.target_weights", "{calc: 0}")
    assert of_one != pytest.approx(plain, rel=1e-3)


def test_the_only_other_column_is_the_target_where_one_holds_weights(real_data, tmp_path):
    rows = [{"smiles": row["smiles"], "y": row["expt"], "w": "1"} for row in real_rows(real_data, "freesolv", 40)]
    run = fit(tmp_path, write_rows(tmp_path / "t.csv", rows), "--task.weight_column", "w")
    assert "test/rmse" in report_of(run)["models"]["tiny"]["tests"]


@pytest.mark.parametrize(("cell", "shown"), [("-1", "'-1'"), ("", "empty"), ("much", "'much'"), ("inf", "'inf'")])
def test_a_bad_weight_is_a_bad_row(cell, shown, real_data, tmp_path):
    rows = [row | {"w": "1"} for row in real_rows(real_data, "freesolv", 40)]
    rows[3]["w"] = cell
    table = write_rows(tmp_path / "t.csv", rows)
    task = molecules(str(tmp_path), str(table), target_columns=["expt"], weight_column="w", split="random")
    assert task.labelled.bad_rows == [BadRow(5, f"weight 'w' is {shown}, not a number from 0")]


def test_rows_without_any_weight_are_refused(real_data, tmp_path):
    rows = [row | {"w": "0"} for row in real_rows(real_data, "freesolv", 40)]
    table = write_rows(tmp_path / "t.csv", rows)
    with pytest.raises(ValueError, match="the weights of all rows of the training part are 0"):
        molecules(str(tmp_path), str(table), target_columns=["expt"], weight_column="w", split="random")


@pytest.mark.parametrize(
    "options",
    [
        ("--task.class_weights", "balanced"),
        ("--task.class_weights", "[1, 2, 0.5]"),
        ("--task.class_weights", '{"(C) high": 3}'),
        ("--task.balanced_batches", "true"),
    ],
)
def test_classes_of_solubility(options, real_data, tmp_path):
    table = write_rows(tmp_path / "t.csv", real_rows(real_data, "solubility", 80))
    plain = losses_of(tmp_path / "a", table, *CLASS)
    assert losses_of(tmp_path / "b", table, *CLASS, *options) != pytest.approx(plain, rel=1e-4)


def test_balanced_weights_make_rare_classes_count_as_much(real_data, tmp_path):
    rows = real_rows(real_data, "solubility", 300)
    table = write_rows(tmp_path / "t.csv", rows)
    given = {"kind": "multiclass", "target_columns": ["class"], "split": "random"}
    task = molecules(str(tmp_path), str(table), **given, class_weights="balanced")
    y = task.labelled.targets("train")
    weight = task.weighing.of(y, None)
    sums = [float(weight[y == code].sum()) for code in range(3)]
    assert sums == pytest.approx([len(y) / 3] * 3, rel=1e-4)
    assert len({int((y == code).sum()) for code in range(3)}) == 3


def test_labels_of_tox21_with_missing_ones(real_data, tmp_path):
    table = write_rows(tmp_path / "t.csv", real_rows(real_data, "tox21", 300))
    labels = ("--task.kind", "multilabel", "--task.allow_missing", "true", "--task.target_columns", "[NR-AhR, SR-MMP]")
    plain = losses_of(tmp_path / "a", table, *labels)
    found = [
        losses_of(tmp_path / name, table, *labels, *options)
        for name, options in {
            "b": ("--task.class_weights", "balanced"),
            "c": ("--task.pos_weight", "9"),
            "d": ("--task.pos_weight", "{SR-MMP: 9}"),
        }.items()
    ]
    assert len({plain, *found}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task.class_weights", "balanced"], r"class_weights is of classes, and the targets are numbers"),
        ([*CLASS, "--task.class_weights", "balance"], r"got 'balance' \(did you mean balanced\?\)"),
        ([*CLASS, "--task.class_weights", "[1, 2]"], r"needs a weight for each of 3 classes \(.*low.*\), got 2"),
        ([*CLASS, "--task.class_weights", "{high: 1}"], r"names no 'high'.*: the classes are \(A\) low"),
        ([*CLASS, "--task.class_weights", "[1, 2, -1]"], r"class_weights must be numbers from 0, got -1"),
        ([*CLASS, "--task.pos_weight", "2"], r"pos_weight is of labels 0 and 1; class_weights takes"),
        (["--task.target_weights", "[1, 2]"], r"target_weights needs a weight for each of 1 targets \(logS\), got 2"),
        (["--task.target_weights", "[1]"], r"target_weights is of several targets"),
        (["--task.weight_column", "wieght"], r"no column 'wieght'"),
        ([*CLASS, "--task.censored", "true"], r"censored is of numbers"),
        (["--task.target_scale", "log10"], r"t.csv, line \d+: target 'logS' is -"),
        (["--task.target_scale", "{logs: log10}"], r"names no target 'logs' \(did you mean logS\?\): there are logS"),
        (["--task.target_scale", "lg10"], r"'log10', got 'lg10' \(did you mean log10\?\)"),
    ],
)
def test_what_does_not_fit_is_said(options, message, real_data, tmp_path, capsys):
    table = write_rows(tmp_path / "t.csv", real_rows(real_data, "solubility", 60))
    small = ["--models", '{"tiny": {"class_path": "tests.train.tiny_model.TinyModel"}}', "--allow", "tests"]
    task = ["--task.name", "molecules", "--task.path", str(table), "--task.root", str(tmp_path)]
    columns = [] if "--task.target_columns" in options else ["--task.target_columns", "[logS]"]
    assert main(["fit", *small, *task, *columns, *options, "--output", str(tmp_path / "run")]) == 2
    assert re.search(message, capsys.readouterr().err)


def censored(rows):
    """Rows of melting points, as a laboratory has them whose oven ends at 450 K."""
    for row in rows:
        value = float(row["melting_point_K"])
        row["melting_point_K"] = ">450" if value > 450 else "<300" if value < 300 else f"{value:g}"
    return rows


MELTING = ("--task.target_columns", "[melting_point_K]")


def test_bounds_of_melting_points(real_data, tmp_path):
    rows = censored(real_rows(real_data, "melting", 90))
    table = write_rows(tmp_path / "t.csv", rows)
    run = fit(tmp_path, table, *MELTING, "--task.censored", "true", "--baselines", "true")
    report = report_of(run)
    assert sum(report["samples"].values()) == 90
    tested = rows_of(run / "tiny" / "seed_0" / "test_predictions.csv")
    cells = [row["melting_point_K"] for row in tested]
    assert any(cell.startswith(">450") for cell in cells) and any(cell.startswith("<300") for cell in cells)
    pairs = [(float(row["predicted_melting_point_K"]), row["melting_point_K"]) for row in tested]
    errors = [(guess - float(cell)) ** 2 for guess, cell in pairs if cell[0] not in "<>"]
    found = report["models"]["tiny"]["tests"]["test/rmse"]["mean"]
    assert found == pytest.approx((sum(errors) / len(errors)) ** 0.5)
    options = ["--ckpt_path", str(run / "best.ckpt"), "--allow", "tests", "--output", str(tmp_path / "m.json")]
    assert main(["test", *options]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["rmse"] == pytest.approx(found)
    assert main(["test", "--data", str(table), *options]) == 0
    assert torch.load(run / "best.ckpt", weights_only=True)[KEY]["given"]["censored"] is True


def test_bounds_are_bad_rows_without_the_option(real_data, tmp_path):
    rows = real_rows(real_data, "melting", 60)
    rows[4]["melting_point_K"] = ">450"
    table = write_rows(tmp_path / "t.csv", rows)
    task = molecules(str(tmp_path), str(table), target_columns=["melting_point_K"], split="random")
    reason = "target 'melting_point_K' is '>450', not a number; with censored: true it is a bound"
    assert task.labelled.bad_rows == [BadRow(6, reason)]
    for row in rows:
        row["melting_point_K"] = f">{row['melting_point_K']}"
    with pytest.raises(ValueError, match="with censored: true it is a bound"):
        molecules(str(tmp_path), str(write_rows(table, rows)), target_columns=["melting_point_K"], split="random")


def test_ways_to_write_bounds(tmp_path):
    cells = [">10", ">= 10", "≥10", "<0.5", "<=0.5", "≤ 0.5", "=3", "~3", "3", "> -2", "<1e-3", "4"]
    rows = [{"smiles": "C" * (number + 1) + "O", "y": cell} for number, cell in enumerate(cells)]
    table = write_rows(tmp_path / "t.csv", rows)
    task = molecules(str(tmp_path), str(table), censored=True, split="random")
    assert not task.labelled.bad_rows
    graphs = list(task.labelled.dataset)
    assert [graph.censor.item() for graph in graphs] == [1, 1, 1, -1, -1, -1, 0, 0, 0, 1, -1, 0]
    assert [round(graph.y.item(), 6) for graph in graphs] == [10, 10, 10, 0.5, 0.5, 0.5, 3, 3, 3, -2, 0.001, 4]


def test_scales_of_targets_are_undone_in_predictions(real_data, tmp_path):
    rows = real_rows(real_data, "freesolv", 60)
    for row in rows:
        row["ic50"] = f"{10 ** (-float(row['calc'])):.6g}"
    table = write_rows(tmp_path / "t.csv", rows)
    columns = ("--task.target_columns", "[expt, ic50]", "--task.target_scale", "{ic50: log10}")
    run = fit(tmp_path, table, *columns, epochs=3)
    recipe = torch.load(run / "best.ckpt", weights_only=True)[KEY]
    assert recipe["scale"]["kind"] == ["standard", "log10"]
    out = tmp_path / "p.csv"
    assert (
        main(["predict", "--ckpt_path", str(run / "best.ckpt"), "--allow", "tests", "CCO", "--output", str(out)]) == 0
    )
    (row,) = rows_of(out)
    assert float(row["predicted_ic50"]) > 0
    mean = recipe["scale"]["mean"][1]
    assert 10 ** (mean - 3) < float(row["predicted_ic50"]) < 10 ** (mean + 3)
