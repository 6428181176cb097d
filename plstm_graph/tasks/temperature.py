"""Temperatures of classes and labels: probabilities that are as sure as they are right, in the order they had."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.scale import as_double

#: A temperature is between its inverse and this.
HOTTEST = 10.0
# float64 still tells probabilities of such logits from 1, so that no two of them become equal.
_LARGEST = 30.0
_FEWEST = 10  # rows


def fit_temperatures(logits: Tensor, targets: Tensor, kind: Kind) -> list[float]:
    r"""What logits are divided by, so that their probabilities fit the validation part.

    It is that of "On Calibration of Modern Neural Networks" (Guo et al. 2017, section 4.2). The temperature
    :math:`t` minimises the negative logarithm of the likelihood, summed over the rows, plus :math:`\tfrac12 \log^2 t`:
    a few rows that all are right do not make a model sure without end.

    Args:
        logits: Of the validation part, ``[n, T]``, or one column for each class.
        targets: Labels 0 and 1, ``[n, T]``, or the number of the class, ``[n, 1]``; NaN where none was measured.
        kind: ``"binary"``, ``"multilabel"`` or ``"multiclass"``.

    Returns:
        One for each target; 1 for those with fewer than ten rows, or one class only.
    """
    columns = [logits] if kind == "multiclass" else [logits[:, [number]] for number in range(logits.size(1))]
    return [_fit(as_double(each).cpu(), targets[:, number].cpu()) for number, each in enumerate(columns)]


def with_temperatures(logits: Tensor, temperatures: list[float], kind: Kind) -> Tensor:
    """Logits ``[..., O]`` over their temperatures, in float64."""
    values = as_double(logits)
    divisors = temperatures[:1] if kind == "multiclass" else temperatures
    return values / torch.tensor(divisors, dtype=torch.double, device=values.device)


def negative_log_likelihood(logits: Tensor, target: Tensor) -> Tensor:
    """Of each row of one target, ``[n]``, in nats.

    Args:
        logits: ``[n, 1]`` of label 1, or ``[n, C]`` of classes.
        target: Label or number of the class, ``[n]``.
    """
    if logits.size(1) == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype), reduction="none")
    return F.cross_entropy(logits, target.long(), reduction="none")


def _fit(logits: Tensor, target: Tensor) -> float:
    from scipy.optimize import minimize_scalar  # slow to import, and not needed to predict

    known = target.isfinite() & logits.isfinite().all(dim=1)
    logits, target = logits[known], target[known]
    if len(target) < _FEWEST or bool(target.min() == target.max()):
        return 1.0

    def objective(log: float) -> float:
        loss = float(negative_log_likelihood(logits / math.exp(log), target).sum())
        return loss + log * log / 2

    largest = float(logits.abs().max())
    coldest = max(1 / HOTTEST, min(1.0, largest / _LARGEST))
    low, high = math.log(coldest), math.log(HOTTEST)
    # A few starts: the sum need not have one minimum only.
    start = min((low + (high - low) * step / 32 for step in range(33)), key=objective)
    step = (high - low) / 32
    bounds = max(start - step, low), min(start + step, high)
    found = float(minimize_scalar(objective, bounds=bounds, method="bounded").x)
    # The bounds themselves are not rounded across.
    return min(max(math.exp(min(found, start, 0.0, key=objective)), coldest), HOTTEST)
