"""CSV tables whose rows know their line in the file."""

import csv
import difflib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from plstm_graph.datasets.separators import (
    SEPARATORS,
    blank_separated,
    find_separator,
    is_blank_separated,
    point_decimals,
)
from plstm_graph.datasets.storage.archives import ArchiveError, gunzip
from plstm_graph.datasets.text_files import (
    not_text,
    other_count,
    records,
    repeated_name,
    undecodable_line,
)

# What pandas calls a column without a name, such as the index that it wrote.
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+|_level_\d+)?")
# How to make a table of files of other kinds, by the ends of their names.
_CONVERT = {
    ".xlsx": "a spreadsheet; export it as CSV, or pandas.read_excel({path!r}).to_csv({csv!r}, index=False)",
    ".parquet": "a Parquet file; write it as CSV: pandas.read_parquet({path!r}).to_csv({csv!r}, index=False)",
    ".sdf": "an SDF; write it as CSV with a column of SMILES: from rdkit.Chem import PandasTools; "
    "PandasTools.LoadSDF({path!r}, smilesName='smiles', molColName=None).to_csv({csv!r}, index=False)",
}
_LOOKED_AT = 100  # rows, for the header
_CONVERT |= {".xls": _CONVERT[".xlsx"], ".ods": _CONVERT[".xlsx"], ".sd": _CONVERT[".sdf"]}


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
    """Rows of text with names of the columns.

    Args:
        path: The file it was read from.
        columns: Names of the columns.
        rows: Fields of each row, one for each column.
        lines: Line of the file where each row starts.
        notes: How the file was read, where that is not plain to see.
        unnamed: Columns that had no name, such as an index.
        files: File of each row, where rows are of several. (default: all are of ``path``)
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    notes: tuple[str, ...] = ()
    unnamed: frozenset[str] = frozenset()
    files: Sequence[Path] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str | int) -> list[str]:
        """All fields of one column.

        Args:
            name: Name of the column, or its place, from 0.

        Raises:
            TableError: If there is no such column; it lists those there are.
        """
        position = self.position(name)
        return [row[position] for row in self.rows]

    def position(self, name: str | int) -> int:
        """Position of a column, with the same error as :meth:`column`."""
        text = str(name)
        if text in self.columns:
            return self.columns.index(text)
        if text.isdecimal() and int(text) < len(self.columns):
            return int(text)
        folded = {column.casefold(): column for column in self.columns}
        close = difflib.get_close_matches(text.casefold(), folded, n=1)
        hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
        raise TableError(f"{self.path} has no column {text!r}; its columns are {', '.join(self.columns)}.{hint}")

    def noted(self, note: str) -> "Table":
        """The same table with one more note."""
        return replace(self, notes=(*self.notes, note))

    def take(self, rows: Sequence[int]) -> "Table":
        """The table of some of the rows.

        Args:
            rows: Numbers of the rows, from 0.
        """
        files = [self.files[i] for i in rows] if self.files else ()
        return replace(self, rows=[self.rows[i] for i in rows], lines=[self.lines[i] for i in rows], files=files)

    def file(self, row: int) -> Path:
        """The file of a row, by its number from 0."""
        return self.files[row] if self.files else self.path

    def place(self, row: int) -> str:
        """File and line of a row, by its number from 0, for messages."""
        return f"{self.file(row)}, line {self.lines[row]}"


def read_table(path: str | Path) -> tuple[Table, list[BadRow]]:
    """Read a table (UTF-8, with a header), also a gzipped one.

    Its fields are separated by commas, semicolons, tabs or bars, whichever its rows show; in ``.smi`` files by blanks.

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


def parse_table(
    content: bytes, path: Path, has_header: Callable[[Sequence[Sequence[str]]], bool] | None = None
) -> tuple[Table, list[BadRow]]:
    """:func:`read_table` for a file whose bytes have been read.

    Args:
        content: The bytes of the file.
        path: Where they come from, for messages, and for its suffix.
        has_header: Decides by the first rows whether the very first one has the names of the columns; without names
            they are ``column_0``, ``column_1`` ... (default: it always has)
    """
    text = _text(content, path)
    separator = "" if is_blank_separated(path) else find_separator(text)
    try:
        found = list(records(io.StringIO(text, newline=""), True, separator) if separator else blank_separated(text))
    except csv.Error as error:
        raise TableError(f"{path}, {error}") from error
    if not found:
        raise TableError(f"{path} is empty")
    notes = []
    headed = has_header is None or has_header([row for _, row in found[:_LOOKED_AT]])
    if headed:
        columns, unnamed = _named(found[0][1])
        found = found[1:]
    else:
        columns, unnamed = tuple(f"column_{number}" for number in range(len(found[0][1]))), frozenset[str]()
        notes.append(f"{path} has no header: its columns are called {', '.join(columns)}")
    repeated = repeated_name(columns)
    if repeated is not None:
        raise TableError(f"{path} has more than one column named {repeated!r}")
    if not found:
        raise TableError(f"{path} has a header ({', '.join(columns)}) but no rows")
    good, bad = [], []
    for line, record in found:
        wrong = other_count(len(record), len(columns))
        if wrong is None:
            good.append((line, record))
        else:
            bad.append(BadRow(line, wrong if headed else wrong.replace("the header", "the first row")))
    rows = [record for _, record in good]
    if separator not in ("", ","):
        decimals = [columns[number] for number in point_decimals(rows, len(columns))]
        commas = f"; decimal commas of {', '.join(map(repr, decimals))} are read as points" if decimals else ""
        notes.insert(0, f"{path} is separated by {SEPARATORS[separator]}{commas}")
    if unnamed:
        places = [str(place) for place, name in enumerate(columns, start=1) if name in unnamed]
        named = ", ".join(places[:20]) + (", ..." if len(places) > 20 else "")
        kind = f"column {named} has no name and is" if len(unnamed) == 1 else f"columns {named} have no name and are"
        notes.append(f"{path}: {kind} no target by default")
    return Table(path, columns, rows, [line for line, _ in good], tuple(notes), unnamed), bad


def _text(content: bytes, path: Path) -> str:
    """The text of a file.

    Raises:
        TableError: If it is none, or of a kind that is no table; it says what to do.
    """
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind in _CONVERT:
        how = _CONVERT[kind].format(path=str(path), csv=f"{path.name.split('.')[0]}.csv")
        raise TableError(f"{path} is no table of text: it is {how}")
    if path.suffix == ".gz":
        try:
            content = gunzip(content, path)
        except ArchiveError as error:
            raise TableError(str(error)) from error
    other = not_text(content)
    if other is not None:
        raise TableError(f"{path} is no table: {other}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = undecodable_line(content, error)
        raise TableError(f"{path} is not UTF-8 text (line {line}): {error.reason}; save it as UTF-8") from error


def _named(header: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of the columns, by their places where they have none; and those without."""
    names = [name.strip() for name in header]
    columns = tuple(name or f"column_{number}" for number, name in enumerate(names))
    return columns, frozenset(
        column for column, name in zip(columns, names, strict=True) if not name or _UNNAMED.fullmatch(name)
    )
