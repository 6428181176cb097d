"""Reading a folder of DAGs piece by piece, some graphs at a time, for sets larger than memory."""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.assemble import Dags, assemble
from plstm_graph.datasets.dag_folder.folder import check_graphs, json_file
from plstm_graph.datasets.dag_folder.json_lines import read_json_lines
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.tables import Frame, iter_frames

_ROWS = 100_000  # rows of a table that are read at once


def read_pieces(folder: Path, spec: Spec, graphs: int) -> Generator[Dags, None, None]:
    """Graphs of a folder in order, some at a time.

    Rows of a graph must stand together, and graphs in the same order in all tables.

    Args:
        folder: The folder.
        spec: Its ``dag.yaml``.
        graphs: Number of graphs in each piece.

    Yields:
        Graphs, with their problems.

    Raises:
        DAGFolderError: If a file is unreadable, or rows are not in order.
    """
    path = json_file(folder, spec)
    if path is not None:
        parts: Generator[dict[str, Frame], None, None] = read_json_lines(path, spec, graphs)
    else:
        parts = _table_pieces(folder, spec, graphs)
    with contextlib.closing(parts):
        for frames in parts:
            dags = assemble(frames, spec, is_piece=True)
            check_graphs(dags)
            yield dags


def _table_pieces(folder: Path, spec: Spec, graphs: int) -> Generator[dict[str, Frame], None, None]:
    files = {name: spec.find(folder, name) for name in ("graphs", "nodes", "edges")}
    with contextlib.ExitStack() as stack:
        readers = {}
        for name, path in files.items():
            if path is not None:
                rows = stack.enter_context(contextlib.closing(iter_frames(path, spec.missing_words(name), _ROWS)))
                readers[name] = _Reader(path, spec.table(name).graph, rows)
        lead = next(iter(readers))
        while (first := readers[lead].take_graphs(graphs)) is not None:
            known = set(first.values[spec.table(lead).graph])
            yield {lead: first} | {name: reader.take(known) for name, reader in readers.items() if name != lead}
        for reader in readers.values():
            reader.check_finished(readers[lead].file)


class _Reader:
    """A table that is taken graph by graph.

    Args:
        path: Its file.
        column: Its column of graphs.
        parts: Its rows, part by part.
    """

    def __init__(self, path: Path, column: str, parts: Iterator[pd.DataFrame]) -> None:
        self.file = path.name
        self._path, self._column = path, column
        self._parts = parts
        self._rest: pd.DataFrame | None = None
        self._offset = 0
        self._read()

    def take_graphs(self, count: int) -> Frame | None:
        """All rows of the next graphs; None after the last one."""
        while True:
            assert self._rest is not None
            number = (self._rest[self._column] != self._rest[self._column].shift()).cumsum().to_numpy()
            # The last graph of what has been read may go on.
            if (len(number) and number[-1] > count) or not self._read():
                break
        rows = int(np.searchsorted(number, count, side="right"))
        return self._cut(rows) if rows else None

    def take(self, graphs: set[str]) -> Frame:
        """The next rows, as far as they belong to some graphs."""
        while True:
            assert self._rest is not None
            outside = np.flatnonzero(~self._rest[self._column].isin(graphs).to_numpy())
            if len(outside) or not self._read():
                break
        return self._cut(int(outside[0]) if len(outside) else len(self._rest))

    def check_finished(self, lead: str) -> None:
        """Check that all rows have been taken."""
        if self._rest is not None and len(self._rest):
            row = Frame(self.file, self._rest.iloc[:1], self._path, offset=self._offset)
            message = (
                f"the rows of this graph do not follow each other, stand in another order than in {lead}, or {lead} "
                "has no such graph; sort the tables alike, a set that is read piece by piece needs that"
            )
            raise DAGFolderError([row.problem(0, message, str(self._rest[self._column].iloc[0]))])

    def _cut(self, rows: int) -> Frame:
        assert self._rest is not None
        values = self._rest.iloc[:rows].reset_index(drop=True)
        self._rest = self._rest.iloc[rows:].reset_index(drop=True)
        frame = Frame(self.file, values, self._path, offset=self._offset)
        self._offset += rows
        return frame

    def _read(self) -> bool:
        part = next(self._parts, None)
        if part is None:
            return False
        if self._column not in part.columns:
            there = ", ".join(map(str, part.columns))
            message = f"no column {self._column!r} (the graph); its columns are {there}"
            raise DAGFolderError([Problem(self.file, None, None, message)])
        self._rest = part if self._rest is None else pd.concat([self._rest, part], ignore_index=True)
        return True
