"""What is said of graphs with names, and what a trial on them leaves: its test predictions as CSV, and a picture."""

import json
from pathlib import Path

from torch import Tensor

from plstm_graph.report.metrics import draw_run, write_test_predictions
from plstm_graph.report.predictions import measured_columns, prediction_columns
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.metrics import evaluate, to_prediction
from plstm_graph.tasks.rows import Row

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
