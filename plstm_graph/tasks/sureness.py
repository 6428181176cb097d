"""Metrics of how sure predictions say that they are: coverage and width of intervals, fit of probabilities."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.conformal import COVERAGE
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.spread import Assessed, assess, members_mean
from plstm_graph.tasks.task import Row
from plstm_graph.tasks.temperature import negative_log_likelihood, with_temperatures

_BINS = 15


def sureness(
    outputs: Tensor,
    targets: Tensor,
    kind: Kind,
    scale: TargetScale | None,
    calibration: Calibration,
    names: Sequence[str],
    gaussian: bool = False,
) -> Row:
    """Metrics of a calibrated model.

    Of numbers ``coverage90``, the part of the measured values that lies in the intervals of 90%, over all targets, and
    ``width90``, the mean width of these, in the unit of the target; of several targets ``coverage90 of NAME`` and
    ``width90 of NAME``. Of labels and classes ``nll``, the mean negative logarithm of the probability of what was
    measured, and ``ece``, the expected calibration error over 15 bins of equal width, each with ``_calibrated`` and
    ``_uncalibrated``, with the temperature and without it; means over targets.

    Args:
        outputs: What each member gives, ``[M, n, O]``, see :func:`~plstm_graph.tasks.spread.assess`.
        targets: What was measured, in its own unit, ``[n, T]``; NaN where nothing was.
        kind: Of the targets.
        scale: On which numbers are learnt.
        calibration: Of the model.
        names: Of the targets.
        gaussian: Whether members give variances of numbers, too.

    Returns:
        What is defined: nothing of targets without intervals, or without measured values.
    """
    targets = targets.cpu()
    if kind == "regression":
        assessed = assess(outputs, kind, scale, calibration, gaussian=gaussian)
        return _of_intervals(assessed, targets, names)
    logits = members_mean(outputs)
    found = {
        "uncalibrated": with_temperatures(logits, [1.0] * len(calibration.temperatures), kind).cpu(),
        "calibrated": with_temperatures(logits, calibration.temperatures, kind).cpu(),
    }
    row: Row = {}
    for name, values in found.items():
        for metric, value in _of_probabilities(values, targets, kind).items():
            row[f"{metric}_{name}"] = value
    return row


def coverage_of(lower: Tensor, upper: Tensor, measured: Tensor) -> float:
    """Part of the measured values that lies in its interval; NaN without any.

    Args:
        lower: Begin of each interval, ``[n]``; NaN for none.
        upper: Its end, likewise.
        measured: ``[n]``; NaN where nothing was.
    """
    known = measured.isfinite() & lower.isfinite() & upper.isfinite()
    inside = (lower <= measured) & (measured <= upper)
    return float(inside[known].double().mean())


def _of_intervals(assessed: Assessed, targets: Tensor, names: Sequence[str]) -> Row:
    if assessed.lower is None or assessed.upper is None:
        return {}
    lower, upper = assessed.lower.cpu(), assessed.upper.cpu()
    percent = f"{100 * COVERAGE:g}"
    whole = coverage_of(lower.flatten(), upper.flatten(), targets.flatten())
    row = {f"coverage{percent}": whole}
    if len(names) == 1:
        row[f"width{percent}"] = float((upper - lower)[targets.isfinite()].mean())
    for number, name in enumerate(names if len(names) > 1 else ()):
        known = targets[:, number].isfinite()
        row[f"coverage{percent} of {name}"] = coverage_of(lower[:, number], upper[:, number], targets[:, number])
        row[f"width{percent} of {name}"] = float((upper - lower)[known, number].mean())
    return {name: value for name, value in row.items() if not math.isnan(value)}


def _of_probabilities(logits: Tensor, targets: Tensor, kind: Kind) -> Row:
    # Slow to import, and not needed to predict.
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

    columns = [logits] if kind == "multiclass" else [logits[:, [number]] for number in range(logits.size(1))]
    likelihoods, errors = [], []
    for number, column in enumerate(columns):
        known = targets[:, number].isfinite()
        if not bool(known.any()):
            continue
        values, target = column[known], targets[known, number].long()
        likelihoods.append(float(negative_log_likelihood(values, target).mean()))
        if kind == "multiclass":
            error = multiclass_calibration_error(values.softmax(dim=1), target, values.size(1), n_bins=_BINS)
        else:
            error = binary_calibration_error(values[:, 0].sigmoid(), target, n_bins=_BINS)
        errors.append(float(error))
    if not errors:
        return {}
    return {"nll": float(torch.tensor(likelihoods).mean()), "ece": float(torch.tensor(errors).mean())}
