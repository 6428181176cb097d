"""Mean and spread over seeds, as reports keep and show them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def mean_and_std(values: Sequence[float]) -> dict[str, Any]:
    """Mean and unbiased standard deviation.

    Args:
        values: One per seed.

    Returns:
        ``mean`` and ``std``, which is None for a single value.
    """
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else None}


def with_std(summary: Mapping[str, Any], digits: int = 4) -> str:
    """Text such as ``0.7641 ± 0.0105``, or the mean alone if there is no standard deviation.

    Args:
        summary: By :func:`mean_and_std`.
        digits: Number of digits behind the point.
    """
    std = summary["std"]
    return f"{summary['mean']:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")
