"""Metrics of predictions with missing targets, the same for models and baselines."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities.data import dim_zero_cat

Task = Literal["regression", "classification"]

# Name of the metric that selects the best model, and whether less or more of it is better.
MONITOR: dict[str, tuple[str, Literal["min", "max"]]] = {
    "regression": ("rmse", "min"),
    "classification": ("auroc", "max"),
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
    (average precision). A target whose measured rows cannot define the metrics (fewer than two rows, or only one
    class) is left out of the average, as OGB's evaluator does.

    Args:
        prediction: Predicted values, or probabilities for classification, ``[B, T]``.
        target: Measured values or 0/1 labels, ``[B, T]``; NaN where none was measured.
        task: ``"regression"`` or ``"classification"``.

    Returns:
        Value of each metric; NaN if no target defines it.
    """
    values: dict[str, list[float]] = {name: [] for name in _METRICS[task]}
    for column in range(target.size(1)):
        measured = target[:, column].isfinite()
        predicted, true = prediction[measured, column].double(), target[measured, column].double()
        if true.numel() < 2 or (task == "classification" and true.min() == true.max()):
            continue
        for name, metric in _METRICS[task].items():
            values[name].append(float(metric(predicted, true)))
    return {name: sum(each) / len(each) if each else float("nan") for name, each in values.items()}


class GraphMetrics(Metric):
    """Collects predictions and targets over an epoch, over all processes, and gives :func:`evaluate` of them.

    Args:
        task: ``"regression"`` or ``"classification"``.
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
        """Add a batch, ``[B, T]`` each."""
        self.prediction.append(prediction)
        self.target.append(target)

    def compute(self) -> dict[str, Tensor]:
        """Value of each metric over everything since the last reset."""
        prediction, target = dim_zero_cat(self.prediction), dim_zero_cat(self.target)
        values = evaluate(prediction, target, self.task)
        return {name: torch.tensor(value, device=target.device) for name, value in values.items()}
