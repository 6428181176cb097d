"""What the validation part says of how sure predictions are: intervals of numbers, temperatures of probabilities."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from plstm_graph.datasets.storage.plain_values import as_dataclass
from plstm_graph.tasks.conformal import COVERAGE, Interval, check_coverage, fewest_rows, fit_interval, is_interval
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.scale import TargetScale, as_double
from plstm_graph.tasks.spread import members_mean, spread_on_scale
from plstm_graph.tasks.temperature import HOTTEST, fit_temperatures

#: Where the recipe of a model has it.
CALIBRATION = "calibration"


@dataclass(frozen=True)
class Calibration:
    """Of the predictions of a trained model.

    The validation part also picked the epoch that is kept, so that errors on it are slightly smaller than on data that
    had no part in the training, and intervals slightly narrower than they should be.

    Attributes:
        intervals (list[Interval]): Of each target, for numbers, on the scale on which they are learnt.
        temperatures (list[float]): Of each target, for labels; one for classes.
    """

    intervals: list[Interval] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)

    @classmethod
    def fit(
        cls, outputs: Tensor, targets: Tensor, kind: Kind, scale: TargetScale | None, gaussian: bool = False
    ) -> "Calibration":
        """Calibrate on the validation part.

        Args:
            outputs: What each member gives, ``[M, n, O]``, see :func:`~plstm_graph.tasks.spread.assess`.
            targets: What was measured, in its own unit, ``[n, T]``; NaN where nothing was.
            kind: Of the targets.
            scale: On which numbers are learnt.
            gaussian: Whether members give variances of numbers, too.
        """
        if kind != "regression":
            return cls(temperatures=fit_temperatures(members_mean(outputs), targets, kind))
        mean, std = spread_on_scale(outputs, gaussian)
        measured = as_double(targets if scale is None else scale.apply(targets)).to(mean.device)
        columns = range(measured.size(1))
        return cls(
            [fit_interval(mean[:, each], None if std is None else std[:, each], measured[:, each]) for each in columns]
        )

    @classmethod
    def of_plain(cls, values: Any, kind: Kind, num_targets: int) -> "Calibration":
        """From what :meth:`to_plain` gave.

        Raises:
            ValueError: If it is none of so many targets of this kind; it says what is wrong.
        """
        made = as_dataclass(cls, values)
        intervals, temperatures = (num_targets, 0) if kind == "regression" else (0, num_targets)
        if len(made.intervals) != intervals or len(made.temperatures) != temperatures:
            raise ValueError(
                f"it has {len(made.intervals)} intervals and {len(made.temperatures)} temperatures for {num_targets} "
                f"targets of {kind}"
            )
        for number, interval in enumerate(made.intervals):
            if not is_interval(interval):
                raise ValueError(f"the scores of target {number} are no sorted errors of {interval.rows} rows")
        if not all(1 / HOTTEST <= each <= HOTTEST for each in made.temperatures):
            raise ValueError(f"its temperatures are {made.temperatures}"[:200])
        return made

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    def described(self, names: Sequence[str]) -> list[str]:
        """How intervals and probabilities came about, a text for each target, for a report.

        Args:
            names: Of the targets.
        """
        kinds = {True: "equally wide", False: "wider where the deviation of the prediction is larger"}
        texts = [
            f"{name}: intervals by the errors of {interval.rows:,} validation rows, {kinds[interval.offset is None]}"
            for name, interval in zip(names if self.intervals else (), self.intervals, strict=True)
            if not math.isinf(interval.quantile(COVERAGE))
        ]
        lacking = self.lacking(COVERAGE, names)
        warm = zip(names if self.temperatures else (), self.temperatures, strict=True)
        return texts + lacking + [f"{name}: logits are divided by {each:.3g}" for name, each in warm]

    def lacking(self, coverage: float, names: Sequence[str]) -> list[str]:
        """Of each target without intervals, why: the validation part is too small for this coverage.

        Args:
            coverage: Part of the measured values that intervals are to hold.
            names: Of the targets.

        Raises:
            ValueError: If the coverage is no part.
        """
        check_coverage(coverage)
        if not self.intervals:
            return []  # of probabilities there are none
        needed = fewest_rows(coverage)
        return [
            f"no interval for {name}: the validation part has {interval.rows} measured values of it, and a coverage of "
            f"{coverage:g} needs {needed}"
            for name, interval in zip(names, self.intervals, strict=True)
            if math.isinf(interval.quantile(coverage))
        ]
