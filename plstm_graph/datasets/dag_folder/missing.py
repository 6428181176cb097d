"""Cells that have no value, by the words that stand for none in their column."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


class MissingWords:
    """Words that stand for no value in the columns of one table, beside the empty cell.

    A word that is a number stands for all ways of writing it: -1 for ``-1.0``, too.

    Args:
        table: Name of the table: ``"graphs"``, ``"nodes"`` or ``"edges"``.
        general: Words of all columns that have none of their own.
        own: Words of single columns, by ``column`` or ``table.column``; the latter come first.
    """

    def __init__(self, table: str, general: Sequence[str] = (), own: Mapping[str, Sequence[str]] | None = None) -> None:
        self.general = list(general)
        self._table, self._own = table, dict(own or {})

    def own(self, column: str) -> Sequence[str] | None:
        """Words of a column that has words of its own; None for others."""
        return self._own.get(f"{self._table}.{column}", self._own.get(column))

    @property
    def has_own(self) -> bool:
        """Whether any column has words of its own."""
        return bool(self._own)

    @property
    def read_with(self) -> list[str]:
        """Words that are missing in all columns, so that whatever reads a file may leave them out at once."""
        return ["", *([] if self._own else self.general)]

    def masked(self, values: pd.DataFrame) -> pd.DataFrame:
        """A table of text in which cells without a value are NaN.

        Args:
            values: The table; cells are text, or NaN.
        """
        columns = {}
        for name in values.columns:
            cells, own = values[name], self.own(str(name))
            words = self.general if own is None else own
            absent = cells.isin(["", *words])
            numbers = [number for number in map(_number, words) if not math.isnan(number)]
            if numbers:
                absent |= pd.to_numeric(cells, errors="coerce").isin(numbers)
            columns[name] = cells.mask(absent, np.nan) if absent.any() else cells
        return pd.DataFrame(columns, columns=values.columns, index=values.index)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan
