"""Metrics by their names, and what makes one set of them better than another."""

import math
from collections.abc import Mapping
from typing import Literal

Row = dict[str, float]
Direction = Literal["min", "max"]


def rank(row: Row, monitor: Mapping[str, Direction]) -> tuple[float, ...]:
    """What makes one epoch, or one training, better than another: the larger rank.

    Args:
        row: Metrics.
        monitor: Names of those that count, and whether more or less of each is better; a later one breaks ties of the
            earlier ones. What is not finite, or not there, is below everything.
    """
    values = [row.get(name, math.nan) * (1 if direction == "max" else -1) for name, direction in monitor.items()]
    return tuple(value if math.isfinite(value) else -math.inf for value in values)
