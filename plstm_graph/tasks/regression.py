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
