"""Mean and spread of numbers in any unit, in float64, piece by piece."""

import math

import numpy as np

# Rounding to float32 may cost this part of a standard deviation; it then moves no metric that is worth reporting.
_ROUNDING = 1e-4


class Moments:
    """Mean and standard deviation of values that come in pieces; the pieces give what the whole gives.

    Everything is relative to the values' own size: no square over- or underflows, whether they are around 1e-200 or
    1e200. Equal values have a standard deviation of exactly 0, not the rounding error of their mean.

    Attributes:
        count (int): Number of finite values so far.
        mean (float): Their mean; 0 if there are none.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._norm = 0.0  # root of the sum of squared deviations
        self._low, self._high = math.inf, -math.inf
        self._rounding = 0.0

    def update(self, values: np.ndarray) -> None:
        """Take in values.

        Args:
            values: Float64, ``[n]``; those that are not finite are left out.
        """
        values = values[np.isfinite(values)].astype(np.float64)
        if not len(values):
            return
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32).astype(np.float64)
        self._rounding = max(self._rounding, float(np.abs(values - rounded).max()))
        mean = float((values / len(values)).sum())
        mean += float(((values - mean) / len(values)).sum())
        deviation = values - mean
        largest = float(np.abs(deviation).max())
        norm = largest * math.sqrt(float(np.square(deviation / largest).sum())) if largest > 0 else 0.0
        # Chan's update, with roots of the sums of squares.
        total, delta = self.count + len(values), mean - self.mean
        self._norm = math.hypot(self._norm, norm, delta * math.sqrt(self.count * len(values) / total))
        self.mean += delta * len(values) / total
        self.count = total

    @property
    def is_constant(self) -> bool:
        """Whether all values are equal, or there are none."""
        return self.count == 0 or self._low == self._high

    @property
    def std(self) -> float:
        """Standard deviation (of the values themselves, not an estimate); exactly 0 for equal values."""
        return 0.0 if self.is_constant else self._norm / math.sqrt(self.count)

    @property
    def fits_float32(self) -> bool:
        """Whether float32 keeps how the values differ."""
        return self.is_constant or self._rounding <= _ROUNDING * self.std


def centre_and_scale(moments: Moments) -> tuple[float, float]:
    """What to subtract and to divide by, so that values have mean 0 and standard deviation 1.

    Equal values are divided by their own size, so that the result does not depend on the unit.
    """
    if moments.is_constant:
        value = moments._low if moments.count else 0.0
        return value, abs(value) or 1.0
    return moments.mean, moments.std
