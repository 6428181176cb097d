"""Mean and spread over seeds, as reports keep and show them."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from plstm_graph.datasets.digits import shown


def mean_and_std(values: Sequence[float]) -> dict[str, Any]:
    """Mean and unbiased standard deviation.

    Args:
        values: One per seed.

    Returns:
        ``mean`` and ``std``, which is None for a single value. Where a value is no number, neither is the mean.
    """
    if any(math.isnan(value) for value in values):
        return {"mean": math.nan, "std": None}
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else None}


def with_std(summary: Mapping[str, Any], digits: int = 4) -> str:
    """Text such as ``0.7641 ± 0.0105``, or the mean alone if there is no standard deviation.

    Args:
        summary: By :func:`mean_and_std`.
        digits: Number of digits behind the point; more, or a power of ten, where numbers are so small that these would
            not show two digits of either.
    """
    mean, std = summary["mean"], summary["std"]
    if std is not None and std < 1e-12 * abs(mean):
        std = 0.0  # of equal values, which sums in another order make differ in their last digit
    parts = [mean] if std is None else [mean, std]
    sizes = [abs(value) for value in parts if value]
    if not sizes or (min(sizes) >= 10**-digits and max(sizes) < 1e7):
        return " ± ".join(f"{value:.{digits}f}" for value in parts)
    return " ± ".join(shown(value, digits) for value in parts)
