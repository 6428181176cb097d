"""Tables whose rows know their line in the file: CSV, gzipped CSV, Parquet."""

import contextlib
import csv
import functools
import gzip
import io
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.missing import MissingWords
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.storage.archives import ArchiveError, check_gzip, gunzip
from plstm_graph.datasets.text_files import (
    not_text,
    other_count,
    other_separator,
    records,
    repeated_name,
    undecodable_line,
)
from plstm_graph.text import meant

_LOOKED_AT = 2**16  # bytes of a file from which one sees that it is no text


class Frame:
    """A table of text with the place of each row.

    Args:
        file: Name of its file, for messages.
        values: Its cells as text; missing ones are NaN.
        path: The file, for the lines of a CSV; None if ``lines`` is given.
        lines: Line of each row. (default: found when first needed)
        offset: Number of rows of the file before the first of ``values``.
    """

    def __init__(
        self,
        file: str,
        values: pd.DataFrame,
        path: Path | None = None,
        lines: np.ndarray | None = None,
        offset: int = 0,
    ) -> None:
        self.file = file
        self.values = values
        self._path = path
        self._lines = lines
        self._offset = offset

    def __len__(self) -> int:
        return len(self.values)

    @functools.cached_property
    def lines(self) -> np.ndarray:
        """Line of the file where each row starts, ``[R]``."""
        if self._lines is not None:
            return self._lines
        rows = np.arange(self._offset, self._offset + len(self.values))
        if self._path is None or self._path.suffix == ".parquet":
            return rows + 1
        content = _bytes(self._path)
        if b'"' not in content and b"\n\n" not in content and b"\n\r" not in content and content[:1] not in b"\r\n":
            return rows + 2  # no cell of several lines, no blank line
        with _open(self._path) as file:
            found = [line for line, _ in records(file)]
        return np.array(found[1:])[rows]

    def problem(self, row: int, message: str, graph: str | None = None) -> Problem:
        """Something wrong with a row."""
        return Problem(self.file, int(self.lines[row]), graph, message)

    def column(self, name: str, part: str) -> pd.Series:
        """A column.

        Args:
            name: Of the column.
            part: What it is for, for the message.

        Raises:
            DAGFolderError: If there is no such column; lists those there are.
        """
        if name not in self.values.columns:
            there = ", ".join(map(str, self.values.columns)) or "none"
            message = f"no column {name!r} ({part}){meant(name, self.values.columns)}; its columns are {there}"
            raise DAGFolderError([Problem(self.file, None, None, message)])
        return self.values[name]


def read_frame(path: Path, missing: MissingWords) -> Frame:
    """Read a table, every cell as text.

    Args:
        path: A file ``.csv``, ``.csv.gz`` or ``.parquet``.
        missing: Words that mean that a cell has no value.

    Raises:
        DAGFolderError: If the file is damaged, no text, has no header, names a column twice, or a line has more or
            fewer fields than the header.
        ImportError: If it is a Parquet file and pyarrow is not installed.
    """
    (values,) = iter_frames(path, missing)
    return Frame(path.name, values, path)


def iter_frames(path: Path, missing: MissingWords, rows: int | None = None) -> Generator[pd.DataFrame, None, None]:
    """Read a table part by part; arguments and errors as of :func:`read_frame`.

    Args:
        path: The file.
        missing: Words for no value.
        rows: Rows of each part. (default: all in one)
    """
    if path.suffix == ".parquet":
        yield from _iter_parquet(path, missing, rows)
        return
    try:
        if path.suffix == ".gz":
            check_gzip(path, "the file")
        with _open_bytes(path) as opened:
            other = not_text(opened.read(_LOOKED_AT))
        if other is not None:
            raise _error(path.name, None, f"no table: {other}")
        with _open(path) as file:
            header = next(csv.reader(file), [])
        _check_header(header, path.name)
        other = other_separator(header)
        if other is not None:
            raise _error(path.name, 1, other)
        options: dict[str, Any] = {
            "dtype": str,
            "keep_default_na": False,
            "na_values": missing.read_with,
            "encoding": "utf-8-sig",
            "skipinitialspace": True,
            "index_col": False,
        }
        checked = False
        with contextlib.ExitStack() as stack:
            parts: Iterable[pd.DataFrame]
            if rows is None:
                parts = [pd.read_csv(path, **options)]
            else:
                parts = stack.enter_context(pd.read_csv(path, chunksize=rows, **options))
            for values in parts:
                values.columns = values.columns.str.strip()
                values = missing.masked(values) if missing.has_own else values
                if not checked and values.iloc[:, -1].isna().any():
                    # A line with too few fields looks like one whose last cells are missing; reading it again tells.
                    _check_fields(path, len(values.columns))
                    checked = True
                yield values
    except UnicodeDecodeError as error:
        raise _error(path.name, _undecodable_line(path), f"not UTF-8 text: {error.reason}") from error
    except ArchiveError as error:
        raise _error(path.name, None, str(error)) from error
    except (pd.errors.ParserError, csv.Error) as error:
        raise _ragged(path, error) from error


def _iter_parquet(path: Path, missing: MissingWords, rows: int | None) -> Generator[pd.DataFrame, None, None]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError(f"reading {path} needs pyarrow: pip install pyarrow, or write the table as CSV") from error
    try:
        with pq.ParquetFile(path) as file:
            _check_header(file.schema_arrow.names, path.name)
            for column in file.schema_arrow:
                if pa.types.is_nested(column.type):
                    message = f"column {column.name!r} is {column.type}; nested values belong in JSON lines"
                    raise _error(path.name, None, message)
            if rows is None:
                yield _as_text(file.read(), missing)
            else:
                for batch in file.iter_batches(rows):
                    yield _as_text(pa.Table.from_batches([batch]), missing)
    except (pa.ArrowInvalid, OSError) as error:
        message = f"not a Parquet file, or damaged: {str(error).splitlines()[0]}"
        raise _error(path.name, None, message) from error


def _as_text(table: Any, missing: MissingWords) -> pd.DataFrame:
    """Cells of an Arrow table as the text that a CSV would have."""
    import pyarrow as pa

    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        columns[name] = column.cast(pa.string()).to_pandas()
    return missing.masked(pd.DataFrame(columns))


def _check_header(names: Sequence[str], file: str) -> None:
    names = [name.removeprefix("\ufeff").strip() for name in names]
    if not names:
        raise _error(file, None, "empty: a header with the names of the columns was expected")
    repeated = repeated_name(names)
    if repeated is not None:
        raise _error(file, 1, f"more than one column is named {repeated!r}")
    if "" in names:
        raise _error(file, 1, f"column {names.index('') + 1} has no name")


def _check_fields(path: Path, expected: int) -> None:
    with _open(path) as file:
        found = [(line, other_count(len(record), expected)) for line, record in records(file)]
    problems = [Problem(path.name, line, None, wrong) for line, wrong in found if wrong is not None]
    if problems:
        raise DAGFolderError(problems)


def _ragged(path: Path, error: Exception) -> DAGFolderError:
    """What the parser could not make sense of, by the line."""
    try:
        with _open(path) as file:
            _check_fields(path, len(next(csv.reader(file))))
    except DAGFolderError as found:
        return found
    except csv.Error as found:
        return _error(path.name, None, str(found))
    return _error(path.name, None, str(error).splitlines()[0])


def _undecodable_line(path: Path) -> int:
    content = _bytes(path)
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return undecodable_line(content, error)
    return 1


def _bytes(path: Path) -> bytes:
    return gunzip(path.read_bytes(), path) if path.suffix == ".gz" else path.read_bytes()


def _open_bytes(path: Path) -> IO[bytes]:
    opened: Any = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
    return opened


def _open(path: Path) -> io.TextIOBase:
    opened = gzip.open(path, "rt", encoding="utf-8-sig", newline="") if path.suffix == ".gz" else None
    return opened or path.open(encoding="utf-8-sig", newline="")


def _error(file: str, line: int | None, message: str) -> DAGFolderError:
    return DAGFolderError([Problem(file, line, None, message)])
