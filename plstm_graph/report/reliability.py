"""``calibration.png`` of a trial: how sure its test predictions say that they are, and how right they are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.conformal import COVERAGE
from plstm_graph.tasks.domain import Domain
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.spread import Assessed, assess
from plstm_graph.tasks.sureness import coverage_of
from plstm_graph.viz.curves import new_figure
from plstm_graph.viz.reliability import (
    draw_coverage,
    draw_error_by_similarity,
    draw_error_by_std,
    draw_probabilities,
)

PICTURE = "calibration.png"
_ASKED = [number / 20 for number in range(1, 20)]
_SHOWN = 6  # targets that have a curve each
_MOST = 200_000  # predictions of a picture


@dataclass(frozen=True)
class Reliability:
    """Test predictions and what was measured.

    Attributes:
        outputs (Tensor): What each member gives, ``[M, n, O]``.
        targets (Tensor): What was measured, in its own unit, ``[n, T]``; NaN where nothing was.
        kind (str): Of the targets.
        scale (TargetScale, optional): On which numbers are learnt.
        calibration (Calibration): Of the model.
        names (Sequence[str]): Of the targets.
        similarity (Tensor, optional): Of molecules to the nearest training molecule, ``[n]``.
        domain (Domain, optional): What the model was trained on.
        gaussian (bool): Whether members give variances of numbers, too.
    """

    outputs: Tensor
    targets: Tensor
    kind: Kind
    scale: TargetScale | None
    calibration: Calibration
    names: Sequence[str]
    similarity: Tensor | None = None
    domain: Domain | None = None
    gaussian: bool = False

    def assess(self, coverage: float = COVERAGE) -> Assessed:
        """The predictions, with intervals of a coverage."""
        return assess(self.outputs, self.kind, self.scale, self.calibration, coverage, self.gaussian)


def draw_reliability(folder: Path, of: Reliability) -> None:
    """Write ``calibration.png``, unless there is nothing to see: no measured value, or no interval.

    Args:
        folder: Of the trial.
        of: What is drawn.
    """
    if not bool(of.targets.isfinite().any()):
        return
    panels: list[Callable[[Axes], None]] = [partial(_draw_probabilities, of)]
    if of.kind == "regression":
        panels = _of_numbers(of)
    if of.similarity is not None:
        panels.append(partial(_draw_similarity, of, of.similarity))
    if not panels:
        return
    figure, axes = new_figure(len(panels))
    for draw, each in zip(panels, axes, strict=True):
        draw(each)
    replace_file(folder / PICTURE, lambda unfinished: figure.savefig(unfinished, dpi=130, format="png"))


def _of_numbers(of: Reliability) -> list[Callable[[Axes], None]]:
    assessed = of.assess()
    panels: list[Callable[[Axes], None]] = []
    if of.assess(_ASKED[0]).lower is not None:
        panels.append(partial(_draw_coverage, of))
    if assessed.std is not None:
        panels.append(partial(_draw_std, of, assessed.std))
    return panels


def _draw_coverage(of: Reliability, axes: Axes) -> None:
    found: dict[str, list[float]] = {name: [] for name in of.names}
    for coverage in _ASKED:
        assessed = of.assess(coverage)
        for number, name in enumerate(of.names):
            if assessed.lower is None or assessed.upper is None:
                found[name].append(math.nan)
            else:
                lower, upper = assessed.lower[:, number], assessed.upper[:, number]
                found[name].append(coverage_of(lower, upper, of.targets[:, number]))
    if len(found) > _SHOWN:
        means = torch.tensor(list(found.values())).nanmean(dim=0)
        found = {f"mean of {len(found)} targets": means.tolist()}
    tested = int(of.targets.isfinite().sum(dim=0).max())
    draw_coverage(axes, _ASKED, found, (max(interval.rows for interval in of.calibration.intervals), tested))


def _draw_std(of: Reliability, std: Tensor, axes: Axes) -> None:
    error, unit = _errors(of)
    known = error.isfinite()
    if len(of.names) > 1:
        std = std / _deviations(of.targets)
    deviations, errors = _some(std[known], error[known])
    draw_error_by_std(axes, deviations, errors, unit)


def _draw_probabilities(of: Reliability, axes: Axes) -> None:
    curves = {}
    for name, calibration in (("without temperature", None), ("with temperature", of.calibration)):
        values, labels = assess(of.outputs, of.kind, None, calibration).values, of.targets
        if of.kind == "multiclass":  # of each class, whether it is the one
            known = labels[:, 0].isfinite()
            values, labels = values[known], (labels[known] == torch.arange(values.size(1))).double()
        known = labels.isfinite()
        curves[name] = _some(values[known], labels[known])
    draw_probabilities(axes, {name: (pair[0], pair[1]) for name, pair in curves.items()})


def _draw_similarity(of: Reliability, similarity: Tensor, axes: Axes) -> None:
    if of.kind == "regression":
        error, name = _errors(of)
        error, name = error.abs(), f"mean absolute error ({name})"
    elif of.kind == "multiclass":
        right = assess(of.outputs, of.kind, None).values.argmax(dim=1, keepdim=True) == of.targets
        error, name = torch.where(of.targets.isfinite(), 1 - right.double(), torch.nan), "part of wrong classes"
    else:
        error, name = (of.assess().values - of.targets).square(), "Brier score"
    threshold = None if of.domain is None else of.domain.similarity
    draw_error_by_similarity(axes, similarity.numpy(), error.nanmean(dim=1).numpy(), name, threshold)


def _errors(of: Reliability) -> tuple[Tensor, str]:
    """Errors ``[n, T]`` and their unit: that of the target, or the deviation of each of several targets."""
    error = of.assess().values - of.targets
    if len(of.names) == 1:
        return error, f"unit of {of.names[0]}"
    return error / _deviations(of.targets), "standard deviations of each target"


def _deviations(targets: Tensor) -> Tensor:
    """Of each target, ``[T]``; 1 where it does not vary."""
    found = [column[column.isfinite()].double() for column in targets.t()]
    values = [float(each.std()) if len(each) > 1 else 1.0 for each in found]
    return torch.tensor([value or 1.0 for value in values], dtype=torch.double)


def _some(*columns: Tensor) -> list[np.ndarray]:
    """At most 200,000 values of each column, at equal distances."""
    step = -(-len(columns[0]) // _MOST) or 1
    return [column[::step].double().numpy() for column in columns]
