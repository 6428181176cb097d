"""Numbers as text: with all their digits for files, with enough of them for tables."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

_MOST = 9  # significant digits of a table; more than that is rounding


def exact(value: float) -> str:
    """The shortest text that reads back as the same float64; a whole number without ``.0``."""
    text = repr(float(value))
    return text.removesuffix(".0")


def exact_cells(values: Tensor) -> list[list[str]]:
    """The shortest texts that read back as the same numbers in the precision that they have, ``[n, T]``; "" for NaN."""
    array = values.detach().cpu()
    numbers = array.float().numpy() if array.dtype.itemsize < 4 else array.numpy()
    return [["" if _is_nan(value) else _shortest(value) for value in row] for row in numbers]


def shown(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, zeros at its end included; an int whole; "undefined" for NaN, None."""
    if value is None or math.isnan(value):
        return "undefined"
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or math.isinf(value):
        return f"{value:.{digits}f}"
    if 1e-4 <= abs(value) < 1e7:
        rounded = float(f"{value:.{digits}g}")  # 0.99999 is 1.000, not 1.0000
        return f"{value:.{max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)}f}"
    return f"{value:.{digits - 1}e}"


def column(values: Sequence[float | None], digits: int = 4) -> list[str]:
    """Texts of numbers that stand under each other: as :func:`shown`, with more digits until different ones differ."""
    different = len({shown(value, _MOST) for value in values})
    tables = ([shown(value, more) for value in values] for more in range(digits, _MOST + 1))
    return next(texts for texts in tables if len(set(texts)) == different)


def rows_of_columns(rows: Sequence[Sequence[float | None]], digits: int = 4) -> list[list[str]]:
    """Texts of a table, each column by :func:`column`."""
    columns = [column(values, digits) for values in zip(*rows, strict=True)]
    return [list(texts) for texts in zip(*columns, strict=True)]


def _is_nan(value: np.generic) -> bool:
    return isinstance(value, np.floating) and bool(np.isnan(value))


def _shortest(value: np.generic) -> str:
    return str(value).removesuffix(".0")
