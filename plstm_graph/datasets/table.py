"""CSV tables whose rows know their line in the file."""

import csv
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from plstm_graph.datasets.storage.archives import ArchiveError, gunzip
from plstm_graph.datasets.text_files import (
    not_text,
    other_count,
    other_separator,
    records,
    repeated_name,
    undecodable_line,
)


class TableError(ValueError):
    """A table that cannot be used: the message names the file, and the line or the column."""


class BadRow(NamedTuple):
    """A row that was left out."""

    line: int
    """Line of the file where the row starts; the header is line 1."""
    reason: str
    """What is wrong with the row."""


@dataclass(frozen=True)
class Table:
    """Rows of text with a header.

    Args:
        path: The file it was read from.
        columns: Names of the columns.
        rows: Fields of each row, one for each column.
        lines: Line of the file where each row starts.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """All fields of one column.

        Args:
            name: Name of the column.

        Raises:
            TableError: If there is no such column; it lists those there are.
        """
        position = self.position(name)
        return [row[position] for row in self.rows]

    def position(self, name: str) -> int:
        """Position of a column, with the same error as :meth:`column`."""
        if name in self.columns:
            return self.columns.index(name)
        folded = {column.casefold(): column for column in self.columns}
        close = difflib.get_close_matches(name.casefold(), folded, n=1)
        hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
        raise TableError(f"{self.path} has no column {name!r}; its columns are {', '.join(self.columns)}.{hint}")

    def take(self, rows: Sequence[int]) -> "Table":
        """The table of some of the rows.

        Args:
            rows: Numbers of the rows, from 0.
        """
        return Table(self.path, self.columns, [self.rows[i] for i in rows], [self.lines[i] for i in rows])


def read_table(path: str | Path) -> tuple[Table, list[BadRow]]:
    """Read a CSV file (UTF-8, comma-separated, with a header), also a gzipped one.

    Args:
        path: The file; gzipped if its name ends in ``.gz``.

    Returns:
        The table, and the rows whose number of fields is not that of the header. Blank lines are no rows.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: If the file is empty, has no rows, names a column twice, or is no text.
    """
    path = Path(path)
    content = path.read_bytes()
    return parse_table(content, path)


def read_whole_table(path: str | Path, columns: Sequence[str] = ()) -> Table:
    """As :func:`read_table`, for a table of which no row may be damaged.

    Args:
        path: The file.
        columns: That it must have.

    Raises:
        FileNotFoundError: If there is no such file.
        TableError: As of :func:`read_table`; or if a column is missing, or a row has another number of fields.
    """
    table, ragged = read_table(path)
    for name in columns:
        table.position(name)
    if ragged:
        raise TableError(f"{path}, line {ragged[0].line}: {ragged[0].reason}")
    return table


def parse_table(content: bytes, path: Path) -> tuple[Table, list[BadRow]]:
    """:func:`read_table` for a file whose bytes have been read.

    Args:
        content: The bytes of the file.
        path: Where they come from, for messages, and for its suffix.
    """
    if path.suffix == ".gz":
        try:
            content = gunzip(content, path)
        except ArchiveError as error:
            raise TableError(str(error)) from error
    other = not_text(content)
    if other is not None:
        raise TableError(f"{path} is no table: {other}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = undecodable_line(content, error)
        raise TableError(f"{path} is not UTF-8 text (line {line}): {error.reason}; save it as UTF-8") from error
    try:
        found = list(records(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise TableError(f"{path}, {error}") from error
    if not found:
        raise TableError(f"{path} is empty")
    columns = tuple(name.strip() for name in found[0][1])
    other = other_separator(columns)
    if other is not None:
        raise TableError(f"{path}: {other}")
    repeated = repeated_name(columns)
    if repeated is not None:
        raise TableError(f"{path} has more than one column named {repeated!r}")
    if len(found) == 1:
        raise TableError(f"{path} has a header ({', '.join(columns)}) but no rows")
    good, bad = [], []
    for line, record in found[1:]:
        wrong = other_count(len(record), len(columns))
        if wrong is None:
            good.append((line, record))
        else:
            bad.append(BadRow(line, wrong))
    return Table(path, columns, [record for _, record in good], [line for line, _ in good]), bad
