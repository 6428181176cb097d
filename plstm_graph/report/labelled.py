"""What is said of graphs with names, and what a trial on them leaves: its test predictions as CSV, and a picture."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from plstm_graph.console import Console
from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.report.predictions import measured_columns, prediction_columns, sureness_columns, write_csv
from plstm_graph.tasks.domain import similarity_column
from plstm_graph.tasks.labelled import exact
from plstm_graph.tasks.metrics import LABELS, Kind
from plstm_graph.tasks.spread import Assessed
from plstm_graph.tasks.task import Row, Task
from plstm_graph.text import plot_label
from plstm_graph.viz.curves import draw_label_scores, draw_learning_curve, draw_predictions, new_figure

_SHOWN = 8  # names of targets, and notes


def introduction(task: Task) -> list[str]:
    """Lines on the data: how many, their split, their targets, and the first of what a user should know."""
    labelled = task.labelled
    if labelled is None:
        return []
    sizes = ", ".join(f"{len(samples):,} {part}" for part, samples in task.parts.items())
    parts, names = f"{labelled.split_name}: {sizes}", labelled.target_names
    return [labelled.summary, parts, f"{task.kind}: {', '.join(first_of(names))}", *first_of(list(task.notes))]


def first_of(texts: list[str]) -> list[str]:
    """The first of some texts, and how many there are more."""
    return texts[:_SHOWN] + ([f"and {len(texts) - _SHOWN:,} more"] if len(texts) > _SHOWN else [])


def print_metrics(console: Console, model: str, metrics: Row, title: str) -> None:
    """Print the metrics of a model as a table with a title."""
    console.say(title)
    table = Table()
    table.add_column("model")
    for name in metrics:
        table.add_column(name, justify="right")
    table.add_row(model, *rows_of_columns([list(metrics.values())])[0])
    console.print(table)


def report_trial(folder: Path, task: Task, assessed: Assessed, epoch: int, similarity: Tensor | None = None) -> None:
    """Write ``test_predictions.csv`` and ``curves.png``, where graphs have names.

    Args:
        folder: Of the trial, with ``epochs.jsonl``.
        task: The task.
        assessed: Predictions for the test part.
        epoch: The epoch that was kept, from 1.
        similarity: Of test molecules to the nearest training molecule, ``[n]``.
    """
    labelled, kind = task.labelled, task.kind
    if labelled is None:
        return
    predicted, target = assessed.values, labelled.targets("test")
    names = labelled.row_names("test")
    censor = labelled.column("test", "censor")
    measured = measured_columns(target, labelled.target_names, labelled.classes, censor)
    columns = prediction_columns(predicted, kind, labelled.target_names, labelled.classes)
    columns |= sureness_columns(assessed, labelled.target_names)
    if similarity is not None:
        columns["similarity"] = similarity_column(similarity)
    header = [*names, *measured, *columns]
    groups = (zip(*group.values(), strict=True) for group in (names, measured, columns))
    rows = [[*name, *true, *guess] for name, true, guess in zip(*groups, strict=True) if any(true)]
    write_csv(header, rows, str(folder / "test_predictions.csv"))
    _draw(
        folder / "curves.png",
        _history(folder),
        epoch,
        predicted.cpu(),
        exact(target, censor),
        labelled.output_names,
        kind,
    )


def draw_study(path: Path, folders: Mapping[str, Sequence[Path]], repeated: str) -> None:
    """Draw the learning curves of all trainings of a study as one PNG, a panel for each model.

    Args:
        path: Of the picture.
        folders: Of the trainings of each model, with ``epochs.jsonl``.
        repeated: What these differ in, such as ``"folds"``.
    """
    figure, panels = new_figure(len(folders))
    for axes, (model, of_model) in zip(panels, folders.items(), strict=True):
        histories = [_history(folder) for folder in of_model]
        for name, colour in (("train", "C0"), ("valid", "C1")):
            curves = [[row.get(f"{name}/loss") or math.nan for row in history] for history in histories]
            for curve in curves:
                axes.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=0.7, alpha=0.5)
            mean = np.mean([curve[: min(map(len, curves))] for curve in curves], axis=0)  # while all of them train
            axes.plot(range(1, len(mean) + 1), mean, color=colour, linewidth=2.5, label=f"{name}, mean")
        title = f"{model}: {len(of_model)} trainings ({repeated})"
        axes.set(xlabel="epoch", ylabel="loss", yscale="log", title=plot_label(title))
        axes.legend(frameon=False, title="thin: each training")
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format="png"))


def _history(folder: Path) -> list[Row]:
    lines = (folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _draw(
    path: Path, history: list[Row], best: int, predicted: Tensor, measured: Tensor, names: list[str], kind: Kind
) -> None:
    """The learning curve and the test predictions as one PNG."""
    figure, (left, right) = new_figure(2)
    curves: dict[str, Sequence[float]] = {
        name: [row.get(f"{name}/loss", math.nan) for row in history] for name in ("train", "valid")
    }
    draw_learning_curve(left, [row["epoch"] + 1 for row in history], curves, best)
    if kind == "multiclass":
        classes = torch.arange(predicted.size(1), device=measured.device)
        known = measured.isfinite().all(dim=1)
        draw_label_scores(right, predicted[known], (measured[known] == classes).float(), "test split, all classes")
    elif kind in LABELS:
        draw_label_scores(right, predicted, measured, "test split")
    else:
        draw_predictions(right, predicted, measured, names, "test split")
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format="png"))
