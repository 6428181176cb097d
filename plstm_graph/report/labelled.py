"""What is said of graphs with names, and what a trial on them leaves: its test predictions as CSV, and a picture."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from plstm_graph.console import Console
from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.storage.files import replace_file, replace_text
from plstm_graph.report.predictions import measured_columns, prediction_columns
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.metrics import MONITOR, Kind, evaluate, to_prediction
from plstm_graph.tasks.task import Row
from plstm_graph.viz.curves import draw_label_scores, draw_learning_curve, draw_predictions, new_figure


def print_metrics(console: Console, rows: dict[str, dict[str, float]], kind: Kind, title: str) -> None:
    """Print metrics as a table, best model first.

    Args:
        console: Where to print.
        rows: Metrics by model, then by name.
        kind: Of the targets; decides which metric orders the rows.
        title: Title of the table.
    """
    console.say(title)
    table = Table()
    table.add_column("model")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    ordered = _ordered(rows, kind)
    cells = rows_of_columns([list(metrics.values()) for metrics in ordered.values()])
    for model, texts in zip(ordered, cells, strict=True):
        table.add_row(model, *texts)
    console.print(table)


def write_test_predictions(
    path: Path, names: dict[str, list[str]], measured: dict[str, list[str]], predicted: dict[str, list[str]]
) -> None:
    """Write names, measured and predicted values of the test split as CSV, with all their digits.

    Args:
        path: The file.
        names: Columns that name each row, such as its SMILES.
        measured: By :func:`~plstm_graph.report.predictions.measured_columns`; rows without any are left out.
        predicted: By :func:`~plstm_graph.report.predictions.prediction_columns`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *measured, *predicted])
    columns = (zip(*part.values(), strict=True) for part in (names, measured, predicted))
    writer.writerows([*name, *true, *guess] for name, true, guess in zip(*columns, strict=True) if any(true))
    replace_text(path, text.getvalue())


def draw_run(
    path: Path,
    history: list[dict[str, float]],
    best_epoch: int,
    predicted: Tensor,
    measured: Tensor,
    target_names: list[str],
    kind: Kind,
) -> None:
    """Draw the learning curve and the test predictions into one PNG.

    Args:
        path: The file.
        history: Metrics of each epoch.
        best_epoch: Number of the epoch that was kept, from 1.
        predicted: Test predictions, ``[n, T]``; ``[n, C]`` for classes.
        measured: Test targets, ``[n, T]``.
        target_names: Names of the columns of predictions.
        kind: Of the targets; decides how predictions are drawn.
    """
    figure, (left, right) = new_figure(2)
    nan = float("nan")
    curves: dict[str, Sequence[float]] = {
        name: [row.get(f"{name}/loss", nan) for row in history] for name in ("train", "valid")
    }
    draw_learning_curve(left, [row["epoch"] + 1 for row in history], curves, best_epoch)
    if kind == "multiclass":
        classes = torch.arange(predicted.size(1), device=measured.device)
        known = measured.isfinite().all(dim=1)
        draw_label_scores(right, predicted[known], (measured[known] == classes).float(), "test split, all classes")
    elif kind in ("binary", "multilabel"):
        draw_label_scores(right, predicted, measured, "test split")
    else:
        draw_predictions(right, predicted, measured, target_names, "test split")
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format="png"))


def _ordered(rows: dict[str, dict[str, float]], kind: Kind) -> dict[str, dict[str, float]]:
    metric, mode = MONITOR[kind]
    sign = 1 if mode == "min" else -1
    # Models without a value come last.
    return dict(sorted(rows.items(), key=lambda row: (math.isnan(row[1][metric]), sign * row[1][metric])))


def plain_json(value: Any) -> Any:
    """JSON has no NaN; null says the same."""
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


_SHOWN = 8  # names of targets, and notes


def introduction(task: GraphTask, labelled: LabelledGraphs) -> list[str]:
    """Lines on the data: how many, their split, their targets, and the first of what a user should know.

    Args:
        task: The task.
        labelled: Its graphs.
    """
    sizes = ", ".join(f"{len(samples):,} {part}" for part, samples in task.parts.items())
    names, notes = labelled.target_names, list(task.notes)
    lines = [labelled.summary, f"{labelled.split_name}: {sizes}", f"{task.kind}: {', '.join(_first(names))}"]
    return [*lines, *_first(notes)]


def _first(texts: list[str]) -> list[str]:
    return texts[:_SHOWN] + ([f"and {len(texts) - _SHOWN:,} more"] if len(texts) > _SHOWN else [])


def report_trial(folder: Path, task: GraphTask, labelled: LabelledGraphs, output: Tensor, epoch: int) -> None:
    """Write ``test_predictions.csv`` and ``curves.png``.

    Args:
        folder: Of the trial, with ``epochs.jsonl``.
        task: The task.
        labelled: Its graphs.
        output: What the model gives for the test part, in the unit of the targets, ``[n, T]``.
        epoch: The epoch that was kept, from 1.
    """
    kind = task.kind
    predicted, target = to_prediction(output, kind), labelled.targets("test")
    measured = measured_columns(target, labelled.target_names, labelled.classes)
    columns = prediction_columns(predicted, kind, labelled.target_names, labelled.classes)
    write_test_predictions(folder / "test_predictions.csv", labelled.row_names("test"), measured, columns)
    lines = (folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    draw_run(folder / "curves.png", history, epoch, predicted.cpu(), target, labelled.output_names, kind)


def baseline_rows(task: GraphTask, labelled: LabelledGraphs) -> dict[str, Row]:
    """Test metrics of simple models, by their names."""
    target = labelled.targets("test")
    return {name: evaluate(predicted, target, task.kind) for name, predicted in labelled.baselines(task.kind).items()}
