"""Rows of real tables, and a small model that the command trains on them in a moment."""

import csv
import gzip
import json
from pathlib import Path

from plstm_graph.cli import main

_FILES = {
    "freesolv": "pypi_embedded/freesolv.csv",
    "solubility": "pypi_embedded/huuskonen_solubility_train.csv",
    "melting": "pypi_embedded/open_melting_points.csv.gz",
    "tox21": "ogb/ogbg_moltox21/mapping/mol.csv.gz",
}


def real_rows(real_data: Path, name: str, count: int) -> list[dict[str, str]]:
    """Some rows of a real table, from all over it."""
    path = real_data / _FILES[name]
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [rows[number * len(rows) // count] for number in range(count)]


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write a table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def fit(folder: Path, table: Path, *options: str, epochs: int = 2) -> Path:
    """Train a small model on a table, in a random split and with one seed; the folder of the run."""
    run = folder / "run"
    small = ["--models", '{"tiny": {"class_path": "tests.train.tiny_model.TinyModel"}}', "--allow", "tests"]
    task = ["--task.name", "molecules", "--task.path", str(table), "--task.root", str(folder), "--task.split", "random"]
    rest = ["--training.epochs", str(epochs), "--seeds", "0", "--threads", "1", "--device", "cpu"]
    if not {"--baselines", "--tests"} & set(options):
        rest += ["--baselines", "false"]
    assert main(["fit", *small, *task, *rest, "--output", str(run), *options]) == 0
    return run


def report_of(run: Path) -> dict:
    """The report of a run as plain values."""
    return json.loads((run / "report.json").read_text())
