"""What separates the fields of a table, and whether its numbers have decimal commas: found by looking at the text."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from plstm_graph.datasets.text_files import records

#: Separators that a table may have, the likeliest first, and what they are called.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: How the names of files end whose fields are separated by blanks: SMILES, then perhaps a name.
BLANK_SUFFIXES = (".smi", ".smiles", ".ism", ".can")

_LOOKED_AT = 100  # rows
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_DECIMAL_POINT = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+(e[+-]?\d+)?", re.IGNORECASE)


def find_separator(text: str) -> str:
    """What separates the fields of a table.

    It is what divides the first row into several fields, and most of the rows after it into as many.

    Args:
        text: The table.

    Returns:
        One of :data:`SEPARATORS`; a comma for a table of one column.
    """
    found, best = ",", (0.0, 0)
    for separator in SEPARATORS:
        widths = _widths(text, separator)
        if not widths or widths[0] < 2:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (alike, widths[0]) > best:
            found, best = separator, (alike, widths[0])
    return found


def _widths(text: str, separator: str) -> list[int]:
    """Numbers of fields of the first rows."""
    file = io.StringIO(text, newline="")
    try:
        return [len(record) for _, record in islice(records(file, separator=separator), _LOOKED_AT)]
    except csv.Error:
        return []


def is_blank_separated(path: Path) -> bool:
    """Whether the fields of a file are separated by blanks, as the end of its name says (``.smi``, ``.smi.gz``)."""
    return Path(path.name.removesuffix(".gz")).suffix.lower() in BLANK_SUFFIXES


def blank_separated(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a text whose fields are separated by tabs or blanks, each with its line. Blank lines are no rows.

    Where not all lines have the same number of fields, a line has the first one, and the rest of it, such as a name of
    several words.

    Args:
        text: All lines.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    mark = "\t" if lines and all("\t" in line for _, line in lines) else None
    rows = [(number, [cell.strip() for cell in line.strip("\r\n").split(mark)]) for number, line in lines]
    if len({len(cells) for _, cells in rows}) > 1:
        parts = [(number, line.split(None, 1)) for number, line in lines]
        rows = [(number, [each[0], each[1].strip() if len(each) > 1 else ""]) for number, each in parts]
    yield from rows


def point_decimals(rows: Sequence[list[str]], columns: int) -> list[int]:
    """Write decimal points for decimal commas, in place, in each column of numbers that has such and no points.

    Args:
        rows: Cells, of a table that is not separated by commas.
        columns: Number of columns.

    Returns:
        Numbers of the columns that were changed.
    """
    changed = []
    for column in range(columns):
        cells = [cell for row in rows if (cell := row[column].strip())]
        commas = sum(_DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells)
        if not commas or any(_DECIMAL_POINT.fullmatch(cell) for cell in cells):
            continue
        whole = sum(_WHOLE.fullmatch(cell) is not None for cell in cells)
        if commas + whole <= len(cells) / 2:
            continue
        changed.append(column)
        for row in rows:
            if _DECIMAL_COMMA.fullmatch(row[column].strip()):
                row[column] = row[column].replace(",", ".")
    return changed
