"""Metrics of predictions with missing targets, the same for models and baselines."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from plstm_graph.tasks.metric_names import DEFAULT, WITH_UNIT
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


Metric = Callable[[Tensor, Tensor], float]


def _ranks(values: Tensor) -> Tensor:
    """Ranks of values, ``[n]``; equal ones have the mean of theirs."""
    from scipy.stats import rankdata

    return torch.as_tensor(rankdata(values.double().numpy(force=True)))


def spearman(prediction: Tensor, target: Tensor) -> float:
    """Correlation of ranks; NaN if predictions or targets are all equal. Arguments as of :func:`rmse`."""
    return pearson(_ranks(prediction), _ranks(target)) if target.numel() else math.nan


def max_error(prediction: Tensor, target: Tensor) -> float:
    """Largest absolute error; NaN without targets. Arguments as of :func:`rmse`."""
    if target.numel() == 0:
        return math.nan
    unit, error = _error(prediction, target)
    return float(error.abs().max()) * unit


def mape(prediction: Tensor, target: Tensor) -> float:
    """Mean of absolute errors as parts of their targets; NaN if one of these is 0. Arguments as of :func:`rmse`."""
    if target.numel() == 0 or bool((target == 0).any()):
        return math.nan
    unit, error = _error(prediction, target)
    return float((error / (target.double() / unit)).abs().mean())


def _of_ranks(name: str) -> Metric:
    """A metric of scikit-learn, of labels 0 and 1, by the order of scores alone; NaN unless there are both labels."""

    def of_both_labels(prediction: Tensor, target: Tensor) -> float:
        if target.numel() == 0 or bool(target.min() == target.max()):
            return math.nan
        from sklearn import metrics  # takes over a second, which a process without labels need not pay

        ranks = prediction.unique(return_inverse=True)[1]
        return float(getattr(metrics, name)(target.numpy(force=True), ranks.numpy(force=True)))

    return of_both_labels


def _of_codes(name: str, least: int = 1, **options: Any) -> Metric:
    """A metric of scikit-learn, of predicted and measured classes.

    Args:
        name: Of its function.
        least: Classes that must be measured; it is NaN with fewer.
        **options: Of the function.
    """

    def of_codes(predicted: Tensor, target: Tensor) -> float:
        if target.unique().numel() < least:
            return math.nan
        from sklearn import metrics

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that are predicted and not measured, which is no mistake
            return float(getattr(metrics, name)(target.numpy(force=True), predicted.numpy(force=True), **options))

    return of_codes


def _brier(prediction: Tensor, target: Tensor) -> float:
    return float((prediction - target).square().mean()) if target.numel() else math.nan


def _nll(prediction: Tensor, target: Tensor) -> float:
    """Mean of minus the logarithms of the probabilities of what was measured, which are float64's least at least.

    Args:
        prediction: Probabilities of label 1, ``[n]``, or of classes, ``[n, C]``.
        target: ``[n]``
    """
    if target.numel() == 0:
        return math.nan
    both = torch.stack([1 - prediction, prediction], dim=1) if prediction.dim() == 1 else prediction
    least = torch.finfo(torch.double).eps  # as scikit-learn has it
    return -float(both.double().gather(1, target.long().unsqueeze(1)).clamp(min=least).log().mean())


#: Metrics of labels that need the order of scores alone, and so take logits, which tie less often than probabilities.
RANKED = ("auroc", "ap")
_THRESHOLDED: dict[str, Metric] = {
    "accuracy": _of_codes("accuracy_score"),
    "balanced_accuracy": _of_codes("balanced_accuracy_score", least=2),
    "f1": _of_codes("f1_score", zero_division=math.nan),
    "mcc": _of_codes("matthews_corrcoef", least=2),
}


def _of_probability(metric: Metric) -> Metric:
    return lambda prediction, target: metric((prediction > 0.5).long(), target.long())


_OF_LABELS: dict[str, Metric] = {
    "auroc": _of_ranks("roc_auc_score"),
    "ap": _of_ranks("average_precision_score"),
    **{name: _of_probability(metric) for name, metric in _THRESHOLDED.items()},
    "brier": _brier,
    "nll": _nll,
}
_METRICS: dict[str, dict[str, Metric]] = {
    "regression": {
        "rmse": rmse,
        "mae": mae,
        "r2": r2,
        "pearson": pearson,
        "spearman": spearman,
        "max_error": max_error,
        "mape": mape,
    },
    "binary": _OF_LABELS,
    "multilabel": _OF_LABELS,
}


def evaluate(
    prediction: Tensor, target: Tensor, kind: Kind, names: Sequence[str] | None = None, unit: Tensor | None = None
) -> dict[str, float]:
    """Metrics of each target over its measured rows, averaged over targets.

    Regression has ``rmse``, ``mae``, ``max_error`` in units of the target, ``r2``, ``pearson``, ``spearman`` (the
    correlation of ranks) and ``mape`` (the mean of errors as parts of their targets); labels (binary, multilabel)
    ``auroc``, ``ap`` (average precision), and with labels predicted where their probability is above a half
    ``accuracy``, ``balanced_accuracy``, ``f1`` of label 1, ``mcc`` (Matthews' correlation), and of the probabilities
    ``brier`` (mean squared error) and ``nll`` (mean of minus their logarithms); multiclass ``accuracy``,
    ``balanced_accuracy``, ``f1``, averaged over the classes that are measured or predicted, ``mcc``, ``kappa``
    (Cohen's), ``auroc_ovr``, the mean over measured classes of one against all others, and ``nll``; sequence
    ``accuracy`` over all measured positions. A target whose rows cannot define a metric (no row; for ``r2``,
    ``pearson`` and ``spearman`` fewer than two different values, for ``mape`` a target of 0, for ``auroc``, ``ap``,
    ``balanced_accuracy`` and ``mcc`` only one class, for ``f1`` no label 1) is left out of its average, as OGB's
    evaluator does. Metrics without a unit do not depend on the unit of anything; all sums are taken in float64. No
    metric is weighted: weights say what training should care for, and metrics of differently weighted trainings must
    be comparable.

    Args:
        prediction: Predicted values, or probabilities of labels (``auroc`` and ``ap`` take logits too), ``[B, T]``; one
            column per class for ``"multiclass"``, and the number of the class at each position, ``[B, L]``, for
            ``"sequence"``.
        target: Measured values or 0/1 labels, ``[B, T]``; NaN where none was measured. For ``"multiclass"`` the number
            of the class, ``[B, 1]``, for ``"sequence"`` ``[B, L]``.
        kind: Of the targets: ``"regression"``, ``"binary"``, ``"multilabel"``, ``"multiclass"`` or ``"sequence"``.
        names: Of the metrics. (default: rmse, mae, r2; auroc, ap; accuracy, f1; accuracy)
        unit: Of each target, ``[T]``: errors in the unit of their target are divided by it before they are averaged.

    Returns:
        Value of each metric; NaN if no target defines it, or if a prediction of a measured target is NaN.

    Raises:
        ValueError: If shapes do not fit each other.
    """
    names = DEFAULT[kind] if names is None else names
    same = prediction.shape == target.shape
    if target.dim() != 2 or not (prediction.shape[:1] == target.shape[:1] if kind == "multiclass" else same):
        raise ValueError(f"predictions {list(prediction.shape)} do not fit targets {list(target.shape)} of {kind}")
    if kind == "sequence":
        known = target.isfinite()
        predicted, true = prediction[known], target[known]
        wrong = bool(predicted.isnan().any()) if predicted.is_floating_point() else False
        return {"accuracy": math.nan if wrong else float((predicted == true).double().mean())}
    if kind == "multiclass":
        return _multiclass(prediction, target[:, 0], names)
    values: dict[str, list[float]] = {name: [] for name in names}
    for column in range(target.size(1)):
        measured = target[:, column].isfinite()
        predicted, true = as_double(prediction[measured, column]), as_double(target[measured, column])
        if bool(predicted.isnan().any()):
            return dict.fromkeys(values, math.nan)  # it has no rank, and must not count as if it had one
        for name in names:
            value = _METRICS[kind][name](predicted, true)
            if unit is not None and name in WITH_UNIT:
                value /= float(unit[column])
            values[name] += [] if math.isnan(value) else [value]
    return {name: sum(each) / len(each) if each else math.nan for name, each in values.items()}


def is_defined(values: Tensor, kind: Kind, name: str) -> bool:
    """Whether one of some targets, ``[n, T]``, has what a metric needs of them."""
    for column in values.unbind(dim=1):
        known = column[column.isfinite()]
        several = known.unique().numel() > 1
        if name in ("auroc", "ap", "balanced_accuracy", "mcc", "r2", "pearson", "spearman", "kappa", "auroc_ovr"):
            good = several
        elif name == "f1" and kind in LABELS:
            good = bool((known == 1).any())
        elif name == "mape":
            good = bool(known.numel()) and not bool((known == 0).any())
        else:
            good = bool(known.numel())
        if good:
            return True
    return False


def to_prediction(output: Tensor, kind: Kind) -> Tensor:
    """Predictions from what a model gives: values stay, logits become probabilities, scores of a sequence classes."""
    if kind == "regression":
        return output
    if kind == "sequence":
        return output.argmax(dim=-1)
    # In float32, probabilities of sure predictions would tie.
    return as_double(output).softmax(dim=-1) if kind == "multiclass" else as_double(output).sigmoid()


def _multiclass_f1(predicted: Tensor, true: Tensor, classes: int) -> Tensor:
    from torchmetrics.functional.classification import multiclass_f1_score  # `predict` need not wait for it

    return multiclass_f1_score(predicted, true, classes, average="macro", validate_args=False)


def _multiclass(prediction: Tensor, target: Tensor, names: Sequence[str]) -> dict[str, float]:
    measured = target.isfinite()
    scores, true = prediction[measured], target[measured].long()
    if true.numel() == 0 or bool(scores.isnan().any()):
        return dict.fromkeys(names, math.nan)
    predicted, classes = scores.argmax(dim=1), prediction.size(1)
    metrics: dict[str, Callable[[], float | Tensor]] = {
        "accuracy": lambda: (predicted == true).double().mean(),
        "f1": lambda: _multiclass_f1(predicted, true, classes),
        "balanced_accuracy": lambda: _of_codes("balanced_accuracy_score")(predicted, true),
        "mcc": lambda: _of_codes("matthews_corrcoef", least=2)(predicted, true),
        "kappa": lambda: _of_codes("cohen_kappa_score", least=2)(predicted, true),
        "auroc_ovr": lambda: _one_against_all(scores, true),
        "nll": lambda: _nll(scores, true),
    }
    return {name: float(metrics[name]()) for name in names}


def _one_against_all(scores: Tensor, true: Tensor) -> float:
    """Mean over the measured classes of the area under the curve of each against all others."""
    found = [_OF_LABELS["auroc"](scores[:, code], (true == code).double()) for code in true.unique().tolist()]
    return sum(found) / len(found)


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
