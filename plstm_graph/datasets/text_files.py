"""Files of delimited text: their rows with the lines where these start, and what is wrong with them in words."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

_OTHERS = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"PK\x03\x04": "a zip archive, such as a spreadsheet; export the table as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet; export the table as CSV",
    b"\x1f\x8b": "gzipped; its name must end in .gz",
    b"PAR1": "a Parquet file; its name must end in .parquet",
    b"%PDF": "a PDF",
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def number_of(text: str) -> float | None:
    """The number that a cell has, perhaps NaN or infinite; None for any other text.

    Python reads ``1_000`` as a number; in a table it is a misprint.
    """
    try:
        return float(text.replace("_", "?"))
    except ValueError:
        return None


def finite_number(text: str) -> float | None:
    """As :func:`number_of`, with None for what is not finite."""
    value = number_of(text)
    return value if value is not None and math.isfinite(value) else None


def records(file: Iterable[str], strict: bool = False, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Rows of a file of separated text, each with the line where it starts. Blank lines are no rows.

    Args:
        file: Its lines, with their ends.
        strict: Whether a quotation mark must be closed.
        separator: The character between two fields.

    Raises:
        csv.Error: If a row cannot be read; its text says in which line the row starts, and why.
    """
    reader, line = csv.reader(file, strict=strict, delimiter=separator), 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        is_open = "unexpected end of data" in str(error)
        reason = "a quotation mark opens a field that is never closed" if is_open else str(error)
        raise csv.Error(f"line {line}: {reason}") from error


def other_count(found: int, expected: int) -> str | None:
    """What is wrong with a row of so many fields; None if there are as many as in the header."""
    return None if found == expected else f"{found} field{'s' if found > 1 else ''}, the header has {expected}"


def undecodable_line(content: bytes, error: UnicodeDecodeError) -> int:
    """The line of the bytes that are no UTF-8."""
    return content[: error.start].count(b"\n") + 1


def repeated_name(columns: Sequence[str]) -> str | None:
    """A name that more than one column has; None if there is none."""
    return min((name for name, count in Counter(columns).items() if count > 1), default=None)


def not_text(content: bytes) -> str | None:
    """What bytes are, if they are no text in UTF-8 by their first ones, or by a NUL among them; else None.

    Args:
        content: Bytes of a file from its begin, unpacked if it is gzipped.
    """
    for mark, kind in _OTHERS.items():
        if content.startswith(mark):
            return f"it is {kind}"
    position = content.find(b"\0")
    if position < 0:
        return None
    line = content[:position].count(b"\n") + 1
    return f"line {line} has a NUL byte, as binary files and UTF-16 text have; a table is text in UTF-8"


def other_separator(columns: Sequence[str]) -> str | None:
    """What a table is separated by, if its header has one column with other separators in it; else None.

    Args:
        columns: The header as a comma separates it.
    """
    if len(columns) != 1:
        return None
    (header,) = columns
    for mark, word in _SEPARATORS.items():
        if mark in header:
            return (
                f"it is separated by {word}, as its header {header!r} shows; a table here has commas between its "
                "fields, and points in its numbers"
            )
    return None


_MISSING = frozenset(("", "na", "n/a", "#n/a", "#na", "nan", "null"))
_MISSING_NUMBERS = _MISSING | {"-", "none", "?"}


def is_missing(cell: str, words: bool = False) -> bool:
    """Whether a cell says that there is no value: it is empty, or ``NA``, ``N/A``, ``#N/A``, ``nan``, ``null``.

    Args:
        cell: The text.
        words: Whether values of the column are words, so that ``-``, ``None`` and ``?`` may be such; else these say
            that there is none, too.
    """
    return cell.strip().lower() in (_MISSING if words else _MISSING_NUMBERS)


def decimal_hint(cell: str) -> str:
    """What to do about a cell that is no number because of a decimal comma; empty for others."""
    return (
        "; write a decimal point for the comma" if re.fullmatch(r"\s*[+-]?\d*,\d+(e[+-]?\d+)?\s*", cell, re.I) else ""
    )
