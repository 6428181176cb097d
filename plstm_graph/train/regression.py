"""Metrics of numbers. None of them depends on the unit of the target, but for the errors, which have that unit.

Sums of squares are taken relative to the largest value, in float64, so they neither over- nor underflow; no tolerance
decides what counts as equal.
"""

import math

from torch import Tensor


def rmse(prediction: Tensor, target: Tensor) -> float:
    """Root of the mean squared error; NaN without targets.

    Args:
        prediction: ``[n]``
        target: ``[n]``
    """
    return _norm(prediction.double() - target.double()) / math.sqrt(target.numel()) if target.numel() else math.nan


def mae(prediction: Tensor, target: Tensor) -> float:
    """Mean absolute error; NaN without targets. Arguments as of :func:`rmse`."""
    return float((prediction.double() - target.double()).abs().mean())


def r2(prediction: Tensor, target: Tensor) -> float:
    """Coefficient of determination; NaN for equal targets, of which nothing is to be explained.

    Arguments as of :func:`rmse`.
    """
    target = target.double()
    if target.numel() < 2 or bool(target.min() == target.max()):
        return math.nan
    ratio = _norm(prediction.double() - target) / _norm(target - target.mean())
    return 1 - ratio * ratio


def pearson(prediction: Tensor, target: Tensor) -> float:
    """Correlation; NaN if predictions or targets are all equal. Arguments as of :func:`rmse`."""
    parts = []
    for values in (prediction.double(), target.double()):
        if values.numel() < 2 or bool(values.min() == values.max()):
            return math.nan
        deviation = values - values.mean()
        parts.append(deviation / _norm(deviation))
    return min(1.0, max(-1.0, float((parts[0] * parts[1]).sum())))


def _norm(values: Tensor) -> float:
    """Euclidean norm without over- or underflow of squares."""
    largest = float(values.abs().max()) if values.numel() else 0.0
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float((values / largest).square().sum()))
