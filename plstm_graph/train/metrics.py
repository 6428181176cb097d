"""Metrics of predictions with missing targets, the same for models and baselines."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    multiclass_accuracy,
    multiclass_f1_score,
)
from torchmetrics.utilities.data import dim_zero_cat

Task = Literal["regression", "classification", "multiclass", "sequence"]

# Name of the metric that selects the best model, and whether less or more of it is better.
MONITOR: dict[str, tuple[str, Literal["min", "max"]]] = {
    "regression": ("rmse", "min"),
    "classification": ("auroc", "max"),
    "multiclass": ("accuracy", "max"),
    "sequence": ("accuracy", "max"),
}


def _rmse(prediction: Tensor, target: Tensor) -> Tensor:
    return mean_squared_error(prediction, target, squared=False)


def _binary(metric: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda prediction, target: metric(prediction, target.long(), validate_args=False)


_METRICS: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "regression": {"rmse": _rmse, "mae": mean_absolute_error, "r2": r2_score},
    "classification": {"auroc": _binary(binary_auroc), "ap": _binary(binary_average_precision)},
}


def evaluate(prediction: Tensor, target: Tensor, task: Task) -> dict[str, float]:
    """Metrics of each target over its measured rows, averaged over targets.

    Regression gives ``rmse``, ``mae`` and ``r2``, in units of the target; classification ``auroc`` and ``ap``
    (average precision); multiclass ``accuracy`` and ``f1``, the latter averaged over the classes that are measured or
    predicted; sequence ``accuracy`` over all positions. A target whose measured rows cannot define the metrics (fewer
    than two rows, or only one class) is left out of the average, as OGB's evaluator does.

    Args:
        prediction: Predicted values, or probabilities for classification, ``[B, T]``; one column per class for
            ``"multiclass"``, and the number of the class at each position, ``[B, L]``, for ``"sequence"``.
        target: Measured values or 0/1 labels, ``[B, T]``; NaN where none was measured. For ``"multiclass"`` the number
            of the class, ``[B, 1]``, for ``"sequence"`` ``[B, L]``.
        task: ``"regression"``, ``"classification"``, ``"multiclass"`` or ``"sequence"``.

    Returns:
        Value of each metric; NaN if no target defines it.
    """
    if task == "sequence":
        return {"accuracy": float((prediction == target).double().mean())}
    if task == "multiclass":
        return _multiclass(prediction, target[:, 0])
    values: dict[str, list[float]] = {name: [] for name in _METRICS[task]}
    for column in range(target.size(1)):
        measured = target[:, column].isfinite()
        predicted, true = prediction[measured, column].double(), target[measured, column].double()
        if true.numel() < 2 or (task == "classification" and true.min() == true.max()):
            continue
        for name, metric in _METRICS[task].items():
            values[name].append(float(metric(predicted, true)))
    return {name: sum(each) / len(each) if each else float("nan") for name, each in values.items()}


def _multiclass(prediction: Tensor, target: Tensor) -> dict[str, float]:
    measured = target.isfinite()
    predicted, true = prediction[measured].argmax(dim=1), target[measured].long()
    if true.numel() == 0:
        return {"accuracy": float("nan"), "f1": float("nan")}
    classes = prediction.size(1)
    accuracy = multiclass_accuracy(predicted, true, classes, average="micro", validate_args=False)
    f1 = multiclass_f1_score(predicted, true, classes, average="macro", validate_args=False)
    return {"accuracy": float(accuracy), "f1": float(f1)}


class GraphMetrics(Metric):
    """Collects predictions and targets over an epoch, over all processes, and gives :func:`evaluate` of them.

    Args:
        task: As :func:`evaluate` takes it.
    """

    full_state_update = False
    prediction: list[Tensor]
    target: list[Tensor]

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task: Task = task
        self.add_state("prediction", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch, as :func:`evaluate` takes it."""
        self.prediction.append(prediction)
        self.target.append(target)

    def compute(self) -> dict[str, Tensor]:
        """Value of each metric over everything since the last reset."""
        prediction, target = dim_zero_cat(self.prediction), dim_zero_cat(self.target)
        values = evaluate(prediction, target, self.task)
        return {name: torch.tensor(value, device=target.device) for name, value in values.items()}
