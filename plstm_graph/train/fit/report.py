"""The report of a run: a table of test metrics beside the baselines, and a picture."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from plstm_graph.console import Console
from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.storage.files import replace_file, replace_json, replace_text
from plstm_graph.tasks.metrics import MONITOR, Task
from plstm_graph.text import markdown_row, markdown_text
from plstm_graph.viz.curves import draw_label_scores, draw_learning_curve, draw_predictions, new_figure


def print_metrics(console: Console, rows: dict[str, dict[str, float]], task: Task, title: str) -> None:
    """Print metrics as a table, best model first.

    Args:
        console: Where to print.
        rows: Metrics by model, then by name.
        task: Decides which metric orders the rows.
        title: Title of the table.
    """
    console.say(title)
    table = Table()
    table.add_column("model")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    ordered = _ordered(rows, task)
    cells = rows_of_columns([list(metrics.values()) for metrics in ordered.values()])
    for model, texts in zip(ordered, cells, strict=True):
        table.add_row(model, *texts)
    console.print(table)


def write_results(folder: Path, results: dict[str, Any], task: Task, title: str) -> None:
    """Write ``results.json`` with everything and ``results.md`` with the table of test metrics.

    Args:
        folder: The folder of the run.
        results: Plain values; ``results["test"]`` holds metrics by model.
        task: Decides which metric orders the rows.
        title: Title of the table.
    """
    rows = _ordered(results["test"], task)
    names = list(next(iter(rows.values())))
    lines = [f"# {markdown_text(title)}", "", markdown_row(["model", *names]), f"| --- |{' ---: |' * len(names)}"]
    cells = rows_of_columns([list(row.values()) for row in rows.values()])
    lines += [markdown_row([model, *texts]) for model, texts in zip(rows, cells, strict=True)]
    replace_text(folder / "results.md", "\n".join(lines) + "\n")
    replace_json(folder / "results.json", plain_json(results))


def write_test_predictions(
    path: Path, names: dict[str, list[str]], measured: dict[str, list[str]], predicted: dict[str, list[str]]
) -> None:
    """Write names, measured and predicted values of the test split as CSV, with all their digits.

    Args:
        path: The file.
        names: Columns that name each row, such as its SMILES.
        measured: By :func:`~plstm_graph.train.predict.table.measured_columns`; rows without any are left out.
        predicted: By :func:`~plstm_graph.train.predict.table.prediction_columns`.
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
    task: Task,
) -> None:
    """Draw the learning curve and the test predictions into one PNG.

    Args:
        path: The file.
        history: Metrics of each epoch.
        best_epoch: Number of the epoch that was kept, from 1.
        predicted: Test predictions, ``[n, T]``; ``[n, C]`` for classes.
        measured: Test targets, ``[n, T]``.
        target_names: Names of the columns of predictions.
        task: Decides how predictions are drawn.
    """
    figure, (left, right) = new_figure(2)
    nan = float("nan")
    curves: dict[str, Sequence[float]] = {
        name: [row.get(f"{name}/loss", nan) for row in history] for name in ("train", "valid")
    }
    draw_learning_curve(left, [row["epoch"] + 1 for row in history], curves, best_epoch)
    if task == "multiclass":
        classes = torch.arange(predicted.size(1), device=measured.device)
        known = measured.isfinite().all(dim=1)
        draw_label_scores(right, predicted[known], (measured[known] == classes).float(), "test split, all classes")
    elif task == "classification":
        draw_label_scores(right, predicted, measured, "test split")
    else:
        draw_predictions(right, predicted, measured, target_names, "test split")
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format="png"))


def _ordered(rows: dict[str, dict[str, float]], task: Task) -> dict[str, dict[str, float]]:
    metric, mode = MONITOR[task]
    sign = 1 if mode == "min" else -1
    # Models without a value come last.
    return dict(sorted(rows.items(), key=lambda row: (math.isnan(row[1][metric]), sign * row[1][metric])))


def plain_json(value: Any) -> Any:
    """JSON has no NaN; null says the same."""
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
