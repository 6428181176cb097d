"""Splits by time: the oldest rows train, the newest are tested."""

from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np

from plstm_graph.datasets.table import Table, TableError
from plstm_graph.datasets.text_files import finite_number

#: Formats of dates beside ISO 8601, each of which is tried on a whole column.
_FORMATS = """%d.%m.%Y|%d/%m/%Y|%m/%d/%Y|%Y/%m/%d|%Y-%m|%d-%b-%Y|%d %b %Y|%b %d, %Y|%d-%m-%Y|%d.%m.%y|%m/%d/%y|%d/%m/%y
|%b %Y|%B %Y|%m/%Y|%d %B %Y|%B %d, %Y""".replace("\n", "").split("|")


def times_of(table: Table, column: str) -> np.ndarray:
    """Times of the rows of a table, as numbers that grow with them.

    A column has numbers, such as years, or dates, all in one format: ISO 8601 (2021-03-31, also with a time of day),
    or one such as 31.03.2021, 03/31/2021 or 31-Mar-2021.

    Args:
        table: The table.
        column: Name of the column.

    Raises:
        TableError: If a cell is no number and no date, which it names by its line, or dates can be read in two ways.
    """
    cells = [cell.strip() for cell in table.column(column)]
    tried = {"number": [finite_number(cell) for cell in cells], "ISO": [_iso(cell) for cell in cells]}
    tried |= {each: [_formatted(cell, each) for cell in cells] for each in _FORMATS}
    best = max(tried, key=lambda each: sum(time is not None for time in tried[each]))
    times = tried[best]
    for row, time in enumerate(times):
        if time is None:
            shown = "" if best in ("number", "ISO") else f" as {best}"
            raise TableError(
                f"{table.place(row)}: column {column!r} is {cells[row]!r}, neither a number nor a date{shown}; write "
                "dates such as 2021-03-31"
            )
    whole = [each for each, found in tried.items() if None not in found]
    for other in whole:
        if not np.array_equal(_order(times), _order(tried[other])):
            raise TableError(
                f"{table.path}: dates of the column {column!r}, such as {cells[0]!r}, can be read as {best} and as "
                f"{other}; write them as 2021-03-31"
            )
    return np.array(times, dtype=np.float64)


def _order(times: Sequence[float | None]) -> np.ndarray:
    return np.unique(np.array(times, dtype=np.float64), return_inverse=True)[1]


def _iso(cell: str) -> float | None:
    try:
        return _seconds(datetime.fromisoformat(cell.removesuffix("Z")))
    except ValueError:
        return None


def _formatted(cell: str, form: str) -> float | None:
    try:
        return _seconds(datetime.strptime(cell, form))
    except ValueError:
        return None


def _seconds(time: datetime) -> float:
    """Seconds since 1970; a time without a zone is of Greenwich."""
    zoned = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
    return (zoned - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()


def time_parts(times: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """The part of each row: the oldest train, the next validate, the newest are tested; none of one time are in two.

    Rows of one time are in the part in which the middle of them falls.

    Args:
        times: Of the rows, ``[n]``.
        fractions: Of the training, validation and test part.

    Returns:
        0, 1 or 2 for each row, ``[n]``.
    """
    _, number, counts = np.unique(times, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    ends = np.cumsum(fractions)[:2] * len(times)
    last = np.flatnonzero(np.asarray(fractions) > 0).max()
    return np.minimum(np.searchsorted(ends, middle, side="left"), last)[number]
