"""Splits of tables of molecules, by `fit`: what divides them, the file that keeps it, repeats, files, duplicates."""

import csv
import json
from pathlib import Path

import pytest

from plstm_graph.cli import main
from plstm_graph.datasets.molecules.splits import bemis_murcko_scaffold
from tests.tables import rows_of

pytestmark = pytest.mark.slow
_FIT = (
    "fit",
    "--task.name",
    "molecules",
    "--seeds",
    "0",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--training.epochs",
    "1",
)
_FIT += ("--models", "{tiny: {class_path: tests.train.tiny_model.TinyModel}}", "--baselines", "false")
_FIT += ("--allow", "tests", "--task.root", "processed")
_TABLE = ("--task.path", "t.csv", "--task.target_columns", "logS")


@pytest.fixture(scope="module")
def rows(real_data):
    """Molecules of a published split by solubility, with a year each."""
    found = rows_of(real_data / "pypi_embedded" / "huuskonen_solubility_train.csv")[:90]
    return [[row["smiles"], row["logS"], row["class"], str(1990 + number % 17)] for number, row in enumerate(found)]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch, rows):
    monkeypatch.chdir(tmp_path)
    _write("t.csv", rows)


def _write(name, rows, header=("smiles", "logS", "class", "year")):
    with open(name, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _split(name):
    return [(row["line"], row["smiles"], row["part"]) for row in rows_of(name)]


def _fit(capsys, name, *options, table=_TABLE, status=0):
    assert main([*_FIT, *table, "--name", name, *options]) == status
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ("scaffold",),
        ("scaffold_balanced", "--task.seed", "3"),
        ("random",),
        ("stratified",),
        ("group", "--task.group_column", "year"),
        ("time", "--task.time_column", "year"),
        ("kennard_stone",),
        ("butina", "--task.cutoff", "0.5"),
    ],
)
def test_every_split_is_kept_and_read_again(capsys, rows, options):
    """The same parts come of the file that a run leaves, whatever made them."""
    fractions = ("--task.fractions", "[0.6, 0.2, 0.2]")
    message = _fit(capsys, "one", "--task.split", *options, *fractions)
    assert f"\n{options[0]}: " in message
    first = _split("runs/one/split.csv")
    if options[0] == "time":  # what a split asks for is no target by default
        _write("t.csv", [[row[0], row[1], row[3]] for row in rows], ("smiles", "logS", "year"))
        assert "regression: logS" in _fit(capsys, "default", "--task.split", *options, table=_TABLE[:2])
        _write("t.csv", rows)
    assert [int(line) for line, _, _ in first] == list(range(2, 92))
    assert [smiles for _, smiles, _ in first] == [row[0] for row in rows]
    if options[0] == "time":
        year = {
            part: [row[3] for row, each in zip(rows, first, strict=True) if each[2] == part]
            for part in ("train", "valid", "test")
        }
        assert max(year["train"]) < min(year["valid"]) <= max(year["valid"]) < min(year["test"])
    _fit(capsys, "two", "--task.split_file", "runs/one/split.csv")
    assert _split("runs/two/split.csv") == first
    assert rows_of("runs/one/tiny/seed_0/test_predictions.csv") == rows_of("runs/two/tiny/seed_0/test_predictions.csv")


def test_several_labels_are_stratified(capsys, rows):
    """Every part has its share of each; folds too."""
    labels = [[row[0], int(float(row[1]) > -2), int(number % 9 == 0)] for number, row in enumerate(rows)]
    _write("t.csv", labels, ("smiles", "soluble", "rare"))
    options = ("--task.kind", "multilabel", "--task.target_columns", "soluble,rare", "--task.split", "stratified")
    _fit(capsys, "labels", *options, "--folds", "5", table=_TABLE[:2])
    for fold in range(5):
        tested = [
            row
            for row, (_, _, part) in zip(labels, _split(f"runs/labels/split_fold_{fold}.csv"), strict=True)
            if part == "test"
        ]
        assert len(tested) == 18
        assert sum(row[2] for row in tested) == 2
        assert abs(sum(row[1] for row in tested) - sum(row[1] for row in labels) / 5) <= 1


def test_repeats_are_reported_as_one(capsys):
    """Each is drawn with the next seed, and has a file of its own."""
    message = _fit(capsys, "again", "--task.split", "random", "--repeats", "2")
    assert "random, repeat 0 of 2" in message
    report = json.loads(Path("runs/again/report.json").read_text())
    assert [row["fold"] for row in report["models"]["tiny"]["seeds"]] == [0, 1]
    splits = [_split(f"runs/again/split_fold_{fold}.csv") for fold in range(2)]
    assert splits[0] != splits[1]
    _fit(capsys, "seed", "--task.split", "random", "--task.seed", "1")
    assert _split("runs/seed/split.csv") == splits[1]
    assert "a split that differs by its seed" in _fit(capsys, "no", "--repeats", "2", status=2)
    assert "do not go together" in _fit(capsys, "no", "--repeats", "2", "--folds", "3", status=2)


def test_folds_of_a_file(capsys):
    splits = [{"train": f"0-{end}", "valid": f"{end + 1}-{end + 9}", "test": f"{end + 10}-89"} for end in (59, 69)]
    with open("s.json", "w") as file:
        json.dump(splits, file)
    _fit(capsys, "file", "--task.split_file", "s.json", "--folds", "2")
    found = [[part for _, _, part in _split(f"runs/file/split_fold_{fold}.csv")] for fold in range(2)]
    assert [parts.count("train") for parts in found] == [60, 70]
    message = _fit(capsys, "bad", "--task.split_file", "s.json", "--folds", "3", status=2)
    assert "s.json has 2 splits, and num_folds says 3" in message
    assert "t.json: No such file" in _fit(capsys, "bad", "--task.split_file", "t.json", status=2)


def test_files_of_their_own(capsys, rows):
    """Columns in another order, another name for SMILES; with tests alone, a part of the first validates."""
    _write("t.csv", rows[:60])
    _write(
        "test.csv", [[row[1], "x", row[0]] for row in rows[60:]] + [["much", "y", "CCO"]], ("logS", "note", "SMILES")
    )
    _write("valid.csv", rows[50:60])
    message = _fit(capsys, "both", "--task.valid_path", "valid.csv", "--task.test_path", "test.csv")
    assert "valid of valid.csv, test of test.csv: 60 train, 10 valid, 30 test" in message
    assert "10 of them in several parts: lines 52 (train) and 2 of valid.csv (valid)" in message
    assert "left out, line 32: of test.csv: target 'logS' is 'much', not a number" in message
    tested = rows_of("runs/both/tiny/seed_0/test_predictions.csv")
    assert [row["smiles"] for row in tested] == [row[0] for row in rows[60:]]
    message = _fit(capsys, "one", "--task.test_path", "test.csv", "--task.split", "random")
    assert "random, test of test.csv: 53 train, 7 valid, 30 test" in message
    assert {row["file"] for row in rows_of("runs/one/split.csv")} == {"t.csv", "test.csv"}
    assert main(["test", "--ckpt_path", "runs/one/best.ckpt", "--output", "m.json", "--allow", "tests"]) == 0
    message = _fit(capsys, "no", "--task.test_path", "tset.csv", status=2)
    assert "tset.csv: No such file or directory (did you mean test.csv?)" in message
    _write("other.csv", rows[60:], ("smiles", "logP", "class", "year"))
    assert "other.csv has no column 'logS'" in _fit(capsys, "no", "--task.test_path", "other.csv", status=2)


@pytest.mark.parametrize("what", ["keep", "drop", "mean", "group"])
def test_duplicates(capsys, rows, what):
    """The first ten molecules stand in the table once more, with other values."""
    again = [[row[0], f"{float(row[1]) + 1:.4f}", *row[2:]] for row in rows[:10]]
    _write("t.csv", [*rows[:50], *again])
    message = _fit(capsys, "twice", "--task.split", "random", "--task.duplicates", what)
    if what in ("drop", "mean"):
        assert "50 molecules, no bad rows" in message
        assert "10 rows" in message and "lines 52, 53, 54" in message
        assert "in several rows" not in message
    else:
        part_of = {}
        for line, _, part in _split("runs/twice/split.csv"):
            part_of.setdefault(rows[(int(line) - 2) % 50][0], set()).add(part)
        assert (max(map(len, part_of.values())) == 1) == (what == "group")
        assert "10 molecules stand in several rows (20 rows), " in message
    values = {row["smiles"]: row for row in rows_of("runs/twice/tiny/seed_0/test_predictions.csv")}
    for row in rows[:10]:
        if what == "mean" and row[0] in values:
            assert float(values[row[0]]["logS"]) == pytest.approx(float(row[1]) + 0.5, abs=1e-3)
    assert "must be 'keep' or" in _fit(capsys, "no", "--task.duplicates", "twice", status=2)


@pytest.mark.parametrize("by", ["files", "split_file", "column"])
def test_a_mean_takes_no_value_of_another_part(capsys, rows, by):
    """The first molecule stands twice in training, and once in the test part, with a value far away."""
    given = [*([*row, "train"] for row in rows[:50]), [rows[0][0], "5", *rows[0][2:], "train"]]
    given += [[*row, "valid"] for row in rows[50:70]]
    given += [*([*row, "test"] for row in rows[70:]), [rows[0][0], "1000", *rows[0][2:], "test"]]
    header = ("smiles", "logS", "class", "year", "part")
    _write("t.csv", given, header)
    options = ("--task.split", "part")
    if by == "split_file":
        _write("s.csv", [[row[4]] for row in given], ("part",))
        options = ("--task.split_file", "s.csv")
    if by == "files":
        for name in ("train", "valid", "test"):
            file = "t.csv" if name == "train" else f"{name}.csv"
            _write(file, [row for row in given if row[4] == name], header)
        options = ("--task.valid_path", "valid.csv", "--task.test_path", "test.csv")
    message = _fit(capsys, "given", *options, "--task.duplicates", "mean")
    assert "50 train, 20 valid, 21 test" in message
    assert rows_of("runs/given/tiny/seed_0/test_predictions.csv")[-1]["logS"] == "1000"
    assert "1 molecule stands in several rows (2 rows), 1 of them in several parts" in message


def test_parts_far_from_their_size_are_said(capsys, real_data):
    """Most of these molecules have no ring, and so one scaffold: of three folds one is that."""
    found = rows_of(real_data / "pypi_embedded" / "huuskonen_solubility_train.csv")
    chains = [row for row in found if not bemis_murcko_scaffold(row["smiles"])][:50]
    rings = [row for row in found if bemis_murcko_scaffold(row["smiles"])][:30]
    _write("t.csv", [[row["smiles"], row["logS"], "", ""] for row in chains + rings])
    message = _fit(capsys, "far", "--task.split", "scaffold", "--folds", "3")
    assert "parts are far from their sizes: train has 12% in place of 33%, test has 62% in place of 33%; " in message
    assert "50 of 80 molecules have no ring, and all share the empty scaffold: split: butina divides them" in message
    assert "far from" not in _fit(capsys, "near", "--task.split", "butina", "--folds", "3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task.split", "scafold"), "split 'scafold' is none of scaffold, scaffold_balanced, random"),
        (("--task.split", "scafold"), "(did you mean scaffold?)"),
        (("--task.split", "tiem", "--task.time_column", "year"), "(did you mean time?)"),
        (("--task.split", "time", "--task.time_column", "yaer"), "t.csv has no column 'yaer'"),
        (
            ("--task.split", "time", "--task.time_column", "class"),
            "t.csv, line 2: column 'class' is '(A) low', neither a",
        ),
        (("--task.split", "time"), "split: time and time_column"),
        (("--task.split", "time", "--task.time_column", "year", "--folds", "3"), "split 'time' has no folds"),
        (("--task.split", "butina", "--task.cutoff", "2"), "cutoff is a Tanimoto distance between 0 and 1"),
        (("--task.duplicates", "mean", "--task.weight_column", "year"), "takes no mean where rows have weights"),
        (
            ("--task.duplicates", "mean", "--task.split", "time", "--task.time_column", "year"),
            "takes no mean where later values would be learnt from",
        ),
        (("--task.splt_file", "s.csv"), "there is no option 'splt_file' (did you mean split_file?)"),
    ],
)
def test_what_does_not_fit(capsys, options, message):
    assert message in _fit(capsys, "no", *options, status=2)
