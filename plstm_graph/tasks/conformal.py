"""Split conformal intervals: how far measured numbers may lie from predictions, by errors on the validation part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

#: Part of the measured values that intervals hold, unless another one is asked for.
COVERAGE = 0.9
#: Errors that are kept of each target; of more of them, as many at equal distances in their order.
MOST_SCORES = 1000
# What is added to the deviation of each prediction, in means of all deviations, before errors are divided by it.
_OFFSETS = (0.1, 0.5)
_FOLDS = 5
_FEWEST = 50  # rows that decide between kinds of intervals


@dataclass(frozen=True)
class Interval:
    r"""How wide the intervals of a target are.

    Errors of the validation part, :math:`s_i = |y_i - \hat y_i| / d_i`, are scores; the interval of a new prediction is
    :math:`\hat y \pm q\,d`. Here :math:`q` is the :math:`\lceil (n + 1) c \rceil`-th smallest of :math:`n` scores for
    the coverage :math:`c`. Of rows that could stand in any order as well, the new one among them, at least the part
    :math:`c` lies in its interval, whatever the model is ("Distribution-Free Predictive Inference for Regression", Lei
    et al. 2018, section 2.2; weighted by deviations, section 5.2).

    Attributes:
        rows (int): Number ``n`` of validation rows.
        scores (list[float]): Their scores, sorted; of more than 1,000 rows, 1,000 of these, the largest among them.
        offset (float, optional): What is added to the standard deviation of a prediction to give ``d``; without one,
            ``d`` is 1 and all intervals are equally wide.
    """

    rows: int
    scores: list[float]
    offset: float | None = None

    def quantile(self, coverage: float) -> float:
        """The score ``q``; infinite if there are too few rows for this coverage.

        Args:
            coverage: Part of the measured values that intervals are to hold, in (0, 1).
        """
        rank = conformal_rank(self.rows, coverage)
        if rank > self.rows:
            return math.inf
        # Of the scores that are kept, the first one that is no smaller than the one that was asked for.
        return self.scores[(rank - 1) * len(self.scores) // self.rows]

    def half_width(self, std: Tensor | None, like: Tensor, coverage: float) -> Tensor:
        """Half the width of each interval, ``[n]``; NaN if there are too few rows for this coverage.

        Args:
            std: Standard deviation of each prediction, ``[n]``, if there is any.
            like: The predictions, ``[n]``.
            coverage: As of :meth:`quantile`.
        """
        found = self.quantile(coverage)
        if not math.isfinite(found) or (self.offset is not None and std is None):
            return torch.full_like(like, math.nan)
        return found * _difficulty(std, self.offset, like)


def conformal_rank(rows: int, coverage: float) -> int:
    """Which of the sorted scores bounds the interval, from 1: ``ceil((rows + 1) * coverage)``, of the decimal number.

    Args:
        rows: Number of scores.
        coverage: In (0, 1). It is taken as it is written: 0.07 of 99 + 1 is 7, though the product in float64 is above.
    """
    return math.ceil((rows + 1) * Fraction(repr(float(coverage))))


def fewest_rows(coverage: float) -> int:
    """Rows that the validation part must have for an interval of this coverage."""
    share = Fraction(repr(float(coverage)))
    return math.ceil(share / (1 - share))


def check_coverage(coverage: float) -> None:
    """Check that a coverage is a part.

    Raises:
        ValueError: If it is none.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be between 0 and 1, such as 0.9 for intervals of 90%, got {coverage:g}")


def fit_interval(predicted: Tensor, std: Tensor | None, measured: Tensor) -> Interval:
    """The intervals of a target.

    Whether errors are divided by the deviations of predictions is decided by which intervals of 90% are narrower on
    average, each fifth of the rows by the scores of the others, as the coverage is the same. Without 50 rows, or where
    it makes no difference, all intervals are equally wide.

    Args:
        predicted: Predictions for the validation part, ``[n]``.
        std: Their standard deviations, ``[n]``, if there are any.
        measured: What was measured, ``[n]``; NaN where nothing was.
    """
    known = measured.isfinite() & predicted.isfinite()
    errors = (measured.double() - predicted.double()).abs()[known]
    deviations, offset = None if std is None else std.double()[known], None
    if deviations is not None and len(errors) >= _FEWEST:
        mean = float(deviations.mean())
        usable = math.isfinite(mean) and mean > 0
        offsets = [None, *(share * mean for share in _OFFSETS if usable)]
        offset = min(offsets, key=lambda each: _cross_validated_width(errors, deviations, each))
    return Interval(len(errors), kept_scores(errors / _difficulty(deviations, offset, errors)), offset)


def kept_scores(scores: Tensor) -> list[float]:
    """Scores in their order, at most 1,000 of them."""
    ordered = scores.sort().values.tolist()
    if len(ordered) <= MOST_SCORES:
        return ordered
    return [ordered[-(-number * len(ordered) // MOST_SCORES) - 1] for number in range(1, MOST_SCORES + 1)]


def _difficulty(std: Tensor | None, offset: float | None, like: Tensor) -> Tensor:
    """What errors are divided by, ``[n]``."""
    return torch.ones_like(like) if std is None or offset is None else std + offset


def _cross_validated_width(errors: Tensor, std: Tensor, offset: float | None) -> float:
    """Mean width of intervals in rows that did not make them."""
    difficulty = _difficulty(std, offset, errors)
    scores = errors / difficulty
    fold = torch.randperm(len(errors), generator=torch.Generator().manual_seed(0)) % _FOLDS
    widths: list[Tensor] = []
    for number in range(_FOLDS):
        others = scores[fold != number]
        found = Interval(len(others), kept_scores(others)).quantile(COVERAGE)
        widths.append(found * difficulty[fold == number])
    return float(torch.cat(widths).mean())


def is_interval(interval: Interval) -> bool:
    """Whether plain values of a file are those of an interval: sorted scores, no more of them than rows."""
    scores: Sequence[float] = interval.scores
    return (
        min(interval.rows, MOST_SCORES) == len(scores)
        and all(math.isfinite(score) for score in scores)
        and list(scores) == sorted(scores)
        and (not scores or scores[0] >= 0)
        and (interval.offset is None or 0 < interval.offset < math.inf)
    )
