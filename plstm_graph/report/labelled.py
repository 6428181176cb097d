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
from plstm_graph.tasks.confusion import class_names, confusion
from plstm_graph.tasks.domain import similarity_column
from plstm_graph.tasks.labelled import exact
from plstm_graph.tasks.metric_names import WITH_UNIT
from plstm_graph.tasks.scores import OF
from plstm_graph.tasks.spread import Assessed
from plstm_graph.tasks.task import Row, Task
from plstm_graph.text import plot_label
from plstm_graph.viz.curves import draw_label_scores, draw_learning_curve, draw_predictions, loss_scale, new_figure
from plstm_graph.viz.errors import draw_confusion, draw_residuals, draw_target_curves

_MOST_CURVES = 16  # targets whose metric is drawn by epoch
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
    history = _history(folder)
    _draw(folder / "curves.png", task, history, epoch, predicted.cpu(), exact(target, censor).cpu())


def draw_study(path: Path, folders: Mapping[str, Sequence[Path]], repeated: str) -> None:
    """Draw the learning curves of all trainings of a study as one PNG, a panel for each model.

    Args:
        path: Of the picture.
        folders: Of the trainings of each model, with ``epochs.jsonl``.
        repeated: What these differ in, such as ``"folds"``.
    """
    figure, panels = new_figure(len(folders))
    for axes, (model, of_model) in zip(panels, folders.items(), strict=True):
        histories, drawn = [_history(folder) for folder in of_model], []
        for name, colour in (("train", "C0"), ("valid", "C1")):
            curves = [[row.get(f"{name}/loss") or math.nan for row in history] for history in histories]
            drawn += curves
            for curve in curves:
                axes.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=0.7, alpha=0.5)
            mean = np.mean([curve[: min(map(len, curves))] for curve in curves], axis=0)  # while all of them train
            axes.plot(range(1, len(mean) + 1), mean, color=colour, linewidth=2.5, label=f"{name}, mean")
        title = f"{model}: {len(of_model)} trainings ({repeated})"
        axes.set(xlabel="epoch", ylabel="loss", yscale=loss_scale(drawn), title=plot_label(title))
        axes.legend(frameon=False, title="thin: each training")
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format="png"))


def _history(folder: Path) -> list[Row]:
    lines = (folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _draw(path: Path, task: Task, history: list[Row], best: int, predicted: Tensor, measured: Tensor) -> None:
    """The learning curve, the test predictions, what they miss, and the metric of each of several targets."""
    labelled, kind = task.labelled, task.kind
    assert labelled is not None
    by_target, label = _curves_of_targets(task, history)
    figure, panels = new_figure(3 + bool(by_target) - (kind == "multilabel"))
    epochs = [row["epoch"] + 1 for row in history]
    curves: dict[str, Sequence[float]] = {
        name: [row.get(f"{name}/loss", math.nan) for row in history] for name in ("train", "valid")
    }
    draw_learning_curve(panels[0], epochs, curves, best)
    if kind == "regression":
        shown, title = _same_unit(task), "test split"
        names = labelled.target_names
        if shown is not None:
            predicted, measured = (values / shown for values in (predicted, measured))
            title += ", in standard deviations of training"
        draw_predictions(panels[1], predicted, measured, names, title)
        draw_residuals(panels[2], predicted, measured, names, "residuals, test split")
    elif kind == "multiclass":
        codes = torch.arange(predicted.size(1), device=measured.device)
        known = measured.isfinite().all(dim=1)
        labels = (measured[known] == codes).float()
        draw_label_scores(panels[1], predicted[known], labels, "test split, all classes")
    else:
        draw_label_scores(panels[1], predicted, measured, "test split")
    if kind in ("binary", "multiclass"):
        (counts,) = confusion(predicted, measured, kind)
        names = class_names(labelled.classes[0] if labelled.classes else [], len(counts), kind)
        draw_confusion(panels[2], counts, names, "classes, test split")
    if by_target:
        draw_target_curves(panels[-1], epochs, by_target, best, label)
    replace_file(path, lambda unfinished: figure.savefig(unfinished, dpi=150, format="png"))


def _same_unit(task: Task) -> Tensor | None:
    """What several targets of numbers are divided by, to stand in one picture; None for one target."""
    spread = None if task.scores is None else task.scores.spread
    return None if spread is None or len(spread) < 2 else torch.tensor(spread, dtype=torch.double)


def _curves_of_targets(task: Task, history: list[Row]) -> tuple[dict[str, list[float]], str]:
    """The metric that selects, of each of several targets by epoch; and its name."""
    scores = task.scores
    if scores is None or not 1 < len(scores.target_names) <= _MOST_CURVES:
        return {}, ""
    metric, unit = scores.names[0], _same_unit(task) if scores.names[0] in WITH_UNIT else None
    curves = {}
    for number, name in enumerate(scores.target_names):
        values = [row.get(f"valid/{metric}{OF}{name}", math.nan) for row in history]
        curves[name] = values if unit is None else [value / float(unit[number]) for value in values]
    return curves, metric if unit is None else f"{metric} / standard deviation"
