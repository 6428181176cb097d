"""Metrics of predictions with missing targets, the same for models and baselines."""

import math
from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torchmetrics.functional.classification import multiclass_f1_score

from plstm_graph.tasks.scale import as_double


def rmse(prediction: Tensor, target: Tensor) -> float:
    """Root of the mean squared error; NaN without targets.

    Args:
        prediction: ``[n]``
        target: ``[n]``
    """
    if target.numel() == 0:
        return math.nan
    # Divided by a root before it is multiplied by the unit, so that it overflows only if the result does.
    unit, error = _error(prediction, target)
    return _norm(error) / math.sqrt(target.numel()) * unit


def mae(prediction: Tensor, target: Tensor) -> float:
    """Mean absolute error; NaN without targets. Arguments as of :func:`rmse`."""
    unit, error = _error(prediction, target)
    return float(error.abs().mean()) * unit


def r2(prediction: Tensor, target: Tensor) -> float:
    """Coefficient of determination; NaN for equal targets, of which nothing is to be explained.

    Arguments as of :func:`rmse`.
    """
    target = target.double()
    if target.numel() < 2 or bool(target.min() == target.max()):
        return math.nan
    prediction = prediction.double()
    unit = max(_unit(prediction), _unit(target))
    ratio = _norm(prediction / unit - target / unit) / _norm(_deviation(target / unit))
    return 1 - ratio * ratio


def pearson(prediction: Tensor, target: Tensor) -> float:
    """Correlation; NaN if predictions or targets are all equal. Arguments as of :func:`rmse`."""
    parts = []
    for values in (prediction.double(), target.double()):
        if values.numel() < 2 or bool(values.min() == values.max()):
            return math.nan
        deviation = _deviation(values / _unit(values))
        parts.append(deviation / _norm(deviation))
    return min(1.0, max(-1.0, float((parts[0] * parts[1]).sum())))


def _unit(values: Tensor) -> float:
    """A power of two near the largest value, so that dividing by it is exact; 1 if there is none."""
    largest = float(values.abs().max()) if values.numel() else 0.0
    if largest == 0 or not math.isfinite(largest):
        return 1.0
    return math.ldexp(0.5, math.frexp(largest)[1])


def _error(prediction: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """A unit in which nothing overflows, and the errors in it, ``[n]``."""
    prediction, target = prediction.double(), target.double()
    unit = max(_unit(prediction), _unit(target))
    return unit, prediction / unit - target / unit


def _deviation(values: Tensor) -> Tensor:
    """What values of size 1 deviate from their mean, ``[n]``, however small beside the mean."""
    # Neighbouring numbers differ exactly, so the sum of differences has no share of the offset.
    shifted = values - values[0]
    return shifted - shifted.mean()


def _norm(values: Tensor) -> float:
    """Euclidean norm without over- or underflow of squares."""
    largest = float(values.abs().max()) if values.numel() else 0.0
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float((values / largest).square().sum()))


Kind = Literal["regression", "binary", "multilabel", "multiclass", "sequence"]

#: Kinds of which a target is 0 or 1.
LABELS = ("binary", "multilabel")
# Name of the metric that selects the best model, and whether less or more of it is better.
MONITOR: dict[str, tuple[str, Literal["min", "max"]]] = {
    "regression": ("rmse", "min"),
    "binary": ("auroc", "max"),
    "multilabel": ("auroc", "max"),
    "multiclass": ("accuracy", "max"),
    "sequence": ("accuracy", "max"),
}


def _of_ranks(name: str) -> Callable[[Tensor, Tensor], float]:
    """A metric of scikit-learn, of labels 0 and 1, by the order of scores alone; NaN unless there are both labels."""

    def of_both_labels(prediction: Tensor, target: Tensor) -> float:
        if target.numel() == 0 or bool(target.min() == target.max()):
            return math.nan
        from sklearn import metrics  # takes over a second, which a process without labels need not pay

        ranks = prediction.unique(return_inverse=True)[1]
        return float(getattr(metrics, name)(target.numpy(force=True), ranks.numpy(force=True)))

    return of_both_labels


_OF_LABELS = {"auroc": _of_ranks("roc_auc_score"), "ap": _of_ranks("average_precision_score")}
_METRICS: dict[str, dict[str, Callable[[Tensor, Tensor], float]]] = {
    "regression": {"rmse": rmse, "mae": mae, "r2": r2},
    "binary": _OF_LABELS,
    "multilabel": _OF_LABELS,
}


def evaluate(prediction: Tensor, target: Tensor, kind: Kind) -> dict[str, float]:
    """Metrics of each target over its measured rows, averaged over targets.

    Regression gives ``rmse``, ``mae`` and ``r2``, in units of the target; labels (binary, multilabel) ``auroc`` and
    ``ap`` (average precision); multiclass ``accuracy`` and ``f1``, the latter averaged over the classes that are
    measured or predicted; sequence ``accuracy`` over all measured positions. A target whose rows cannot define a
    metric (no row; for ``r2`` fewer than two different values, for ``auroc`` and ``ap`` only one class) is left out of
    its average, as OGB's evaluator does. ``r2``, ``auroc`` and ``ap`` do not depend on the unit of anything; all sums
    are taken in float64.

    Args:
        prediction: Predicted values, or probabilities or logits of labels, ``[B, T]``; one column per class for
            ``"multiclass"``, and the number of the class at each position, ``[B, L]``, for ``"sequence"``.
        target: Measured values or 0/1 labels, ``[B, T]``; NaN where none was measured. For ``"multiclass"`` the number
            of the class, ``[B, 1]``, for ``"sequence"`` ``[B, L]``.
        kind: Of the targets: ``"regression"``, ``"binary"``, ``"multilabel"``, ``"multiclass"`` or ``"sequence"``.

    Returns:
        Value of each metric; NaN if no target defines it, or if a prediction of a measured target is NaN.

    Raises:
        ValueError: If shapes do not fit each other.
    """
    same = prediction.shape == target.shape
    if target.dim() != 2 or not (prediction.shape[:1] == target.shape[:1] if kind == "multiclass" else same):
        raise ValueError(f"predictions {list(prediction.shape)} do not fit targets {list(target.shape)} of {kind}")
    if kind == "sequence":
        known = target.isfinite()
        predicted, true = prediction[known], target[known]
        wrong = bool(predicted.isnan().any()) if predicted.is_floating_point() else False
        return {"accuracy": math.nan if wrong else float((predicted == true).double().mean())}
    if kind == "multiclass":
        return _multiclass(prediction, target[:, 0])
    values: dict[str, list[float]] = {name: [] for name in _METRICS[kind]}
    for column in range(target.size(1)):
        measured = target[:, column].isfinite()
        predicted, true = as_double(prediction[measured, column]), as_double(target[measured, column])
        if bool(predicted.isnan().any()):
            return dict.fromkeys(values, math.nan)  # it has no rank, and must not count as if it had one
        for name, metric in _METRICS[kind].items():
            value = metric(predicted, true)
            values[name] += [] if math.isnan(value) else [value]
    return {name: sum(each) / len(each) if each else math.nan for name, each in values.items()}


def to_prediction(output: Tensor, kind: Kind) -> Tensor:
    """Predictions from what a model gives: values stay, logits become probabilities, scores of a sequence classes."""
    if kind == "regression":
        return output
    if kind == "sequence":
        return output.argmax(dim=-1)
    # In float32, probabilities of sure predictions would tie.
    return as_double(output).softmax(dim=-1) if kind == "multiclass" else as_double(output).sigmoid()


def _multiclass(prediction: Tensor, target: Tensor) -> dict[str, float]:
    measured = target.isfinite()
    scores, true = prediction[measured], target[measured].long()
    if true.numel() == 0 or bool(scores.isnan().any()):
        return {"accuracy": math.nan, "f1": math.nan}
    predicted, classes = scores.argmax(dim=1), prediction.size(1)
    accuracy = (predicted == true).double().mean()
    f1 = multiclass_f1_score(predicted, true, classes, average="macro", validate_args=False)
    return {"accuracy": float(accuracy), "f1": float(f1)}


def misfit(values: Tensor, kind: Kind, num_classes: int) -> tuple[int, int, str] | None:
    """The first target that is not of its kind.

    Args:
        values: Targets, ``[n, T]``; NaN where none was measured.
        kind: Of the targets.
        num_classes: Number of classes, for classes.

    Returns:
        Its row and column, and what is wrong with it; None if all fit.
    """
    if kind == "regression":
        wrong = values.isinf()
    elif kind in LABELS:
        wrong = (values != 0) & (values != 1) & ~values.isnan()
    else:
        wrong = ((values < 0) | (values >= num_classes) | (values != values.round())) & ~values.isnan()
    if not bool(wrong.any()):
        return None
    row, column = wrong.nonzero()[0].tolist()
    value, known = float(values[row, column]), values[:, column][values[:, column].isfinite()]
    whole = bool((known == known.round()).all())
    if kind == "regression":
        reason = "which is not finite"
    elif kind in LABELS:
        reason = f"where labels are 0 and 1; kind: {'multiclass' if whole else 'regression'} fits"
    elif not whole or value != round(value):
        reason = "where the number of a class was expected; kind: regression fits"
    else:
        reason = (
            f"where classes are 0 to {num_classes - 1} for a model with {num_classes} columns; number them from 0, and "
            "give the model a column for each"
        )
    return row, column, f"{value:g}, {reason}"
