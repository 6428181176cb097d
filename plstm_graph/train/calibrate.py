"""Calibration of a trained model on the validation part, and its use on tests."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.spread import Assessed, assess
from plstm_graph.tasks.sureness import sureness
from plstm_graph.tasks.task import Row, Task

#: Where a recipe has it.
CALIBRATION = "calibration"


def calibrate(task: Task, outputs: Callable[[str], tuple[Tensor, dict[str, Tensor]]]) -> dict[str, Any]:
    """What a checkpoint says of how sure its predictions are, plain values by their names.

    Args:
        task: What was learnt; only graphs with names, of which predictions are written, are calibrated.
        outputs: What each member gives for a part, ``[M, n, O]``, and the columns of the part.
    """
    if task.labelled is None:
        return {}
    members, columns = outputs("valid")
    calibration = Calibration.fit(members.cpu(), exact_targets(columns), task.kind, scale_of(task))
    return {CALIBRATION: calibration.to_plain()}


def calibration_of(recipe: dict[str, Any], task: Task) -> Calibration | None:
    """The calibration of a trained model, by the recipe in its checkpoint; None for what has none.

    Raises:
        ValueError: If it is damaged.
    """
    if task.labelled is None or recipe.get(CALIBRATION) is None:
        return None
    return Calibration.of_plain(recipe[CALIBRATION], task.kind, len(task.labelled.target_names))


def calibrated_scores(task: Task, calibration: Calibration | None, members: Tensor, columns: dict[str, Tensor]) -> Row:
    """Metrics of how sure predictions for a part are, see :func:`~plstm_graph.tasks.sureness.sureness`."""
    if calibration is None or task.labelled is None:
        return {}
    names = task.labelled.target_names
    return sureness(members.cpu(), exact_targets(columns), task.kind, scale_of(task), calibration, names)


def assessed_outputs(task: Task, calibration: Calibration | None, members: Tensor) -> Assessed:
    """Predictions from what each member gives, and how sure they are."""
    return assess(members.cpu(), task.kind, scale_of(task), calibration)


def scale_of(task: Task) -> TargetScale | None:
    """The scale on which numbers are learnt."""
    return task.target if isinstance(task, GraphTask) else None


def exact_targets(columns: dict[str, Tensor]) -> Tensor:
    """Targets ``[n, T]``, on the CPU; NaN also for those that are known as bounds alone, which have no error."""
    targets = columns["y"].cpu()
    bounds = columns.get("censor")
    return targets if bounds is None else torch.where(bounds.cpu() == 0, targets.double(), torch.nan)
