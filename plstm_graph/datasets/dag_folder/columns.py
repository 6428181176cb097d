"""Feature columns as numbers: standardised or in their own unit, codes of categories, and what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.assemble import Dags
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem, collected
from plstm_graph.datasets.dag_folder.spec import NAME, Kind
from plstm_graph.datasets.dag_folder.tables import Frame
from plstm_graph.datasets.dag_folder.targets import to_numbers
from plstm_graph.datasets.moments import Moments, centre_and_scale
from plstm_graph.datasets.text_files import decimal_hint

_MAX_GUESSED = 1000  # more different words than this are taken for text, if the kind of the column is not given
_SHOWN = 5  # cells of a column that are named one by one
_MOSTLY = 0.9  # a column with this share of numbers is one of numbers with mistakes


@dataclass
class Column:
    """A feature column and how it is encoded.

    Attributes:
        table (str): Table it stands in.
        name (str): Its name.
        kind (str): ``"number"``, ``"raw"`` or ``"category"``.
        mean (float): Of the training part.
        std (float): Of the training part; 0 if all its values are equal, and then a column of standardised numbers says
            nothing.
        missing (bool): Whether a number gets a second column that says that there is none.
        words (list[str]): Categories of the training part; code 0 is for missing and other ones.
    """

    table: str
    name: str
    kind: Kind
    mean: float = 0.0
    std: float = 1.0
    missing: bool = False
    words: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the columns that this one becomes."""
        return [self.name, f"{self.name} is missing"] if self.missing else [self.name]

    @property
    def sizes(self) -> list[int]:
        """Columns that this one becomes: 0 for a number, the number of codes for a category."""
        return [len(self.words or []) + 1] if self.kind == "category" else [0] * (1 + self.missing)

    def encode(self, cells: pd.Series) -> np.ndarray:
        """Encode cells, ``[n]`` -> ``[n, len(sizes)]``: missing numbers become the mean, or 0 if standardised.

        Raises:
            DAGFolderError: If a number is so far from those of the training part that float32 cannot hold it.
        """
        if self.kind == "category":
            return (pd.Index(self.words or [], dtype=object).get_indexer(cells.astype(object)) + 1)[:, None]
        numbers = to_numbers(cells)
        absent = np.isnan(numbers)
        if self.kind == "raw":
            values, reason = np.where(absent, self.mean, numbers), "more than float32 holds"
        else:
            with np.errstate(over="ignore"):
                values = (numbers - self.mean) / self.std if self.std > 0 else np.zeros_like(numbers)
            values = np.where(absent, 0.0, values)
            reason = f"too far from the {self.mean:g} ± {self.std:g} of the training part"
        far = np.abs(values) > np.finfo(np.float32).max
        if far.any():
            message = f"feature {self.name!r} is {numbers[far][0]:g} somewhere, {reason}"
            raise DAGFolderError([Problem(self.table, None, None, message)])
        return np.stack([values, absent], axis=1) if self.missing else values[:, None]


class _Cell(NamedTuple):
    """A cell of a column whose kind is not given, which is no number."""

    frame: Frame
    row: int
    graph: str
    word: str


class ColumnFit:
    """Learns from the training part, piece by piece, how a column is encoded.

    Args:
        table: Table of the column.
        name: Its name.
        kind: Its kind; None to find out: numbers if all values are finite numbers.
    """

    def __init__(self, table: str, name: str, kind: Kind | None) -> None:
        self.table, self.name, self.kind = table, name, kind
        self.is_number = kind in ("number", "raw")
        self.absent = self.present = self.seen = self.wrong = 0
        self._wrong: list[_Cell] = []
        self.moments = Moments()
        self.words: dict[str, None] = {}

    def update(self, cells: pd.Series, train: np.ndarray) -> np.ndarray:
        """Take in cells.

        Args:
            cells: ``[n]``
            train: Which of them train, ``[n]`` bool.

        Returns:
            Cells that are no finite numbers, ``[m]``; none in a column of categories.
        """
        present = cells.notna().to_numpy()
        values = to_numbers(cells)
        wrong = np.flatnonzero(present & ~np.isfinite(values))
        self.wrong += len(wrong)
        self.seen += int(present.sum())
        self.absent += int((~present & train).sum())
        self.present += int((present & train).sum())
        if not self.is_number:
            self.words |= dict.fromkeys(cells[present & train].unique())
        self.moments.update(values[train])
        return wrong if self.kind != "category" else wrong[:0]

    def note(self, dags: Dags, wrong: np.ndarray) -> None:
        """Remember where the first cells stand that are no numbers, in case that the others are."""
        frame, rows, graphs = dags.frames[self.table], dags.rows[self.table], dags.graph_of(self.table)
        for item in wrong[: _SHOWN - len(self._wrong)].tolist():
            row = int(rows[item])
            word = str(frame.values[self.name].iloc[row])
            self._wrong.append(_Cell(frame, row, str(dags.graph_ids[graphs[item]]), word))

    def mistakes(self, others: Sequence[str]) -> Iterator[Problem]:
        """What is wrong with a column of unknown kind if nearly all of its cells are numbers.

        Args:
            others: Names of all columns of the table that are features.
        """
        if self.kind is not None or not self.wrong or self.wrong > (1 - _MOSTLY) * self.seen:
            return
        for cell in self._wrong:
            message = f"feature {self.name!r} is {cell.word!r}, expected a finite number{decimal_hint(cell.word)}"
            yield cell.frame.problem(cell.row, message, cell.graph)
        if self.wrong > len(self._wrong):
            file = self._wrong[0].frame.file
            yield Problem(file, None, None, f"and {self.wrong - len(self._wrong):,} more like the last")
        words = {cell.word for cell in self._wrong}
        absent = f"; if {words.pop()!r} says that there is no value, add it to `missing`" if len(words) == 1 else ""
        yield Problem(
            NAME,
            None,
            None,
            f"{self.seen - self.wrong:,} of {self.seen:,} values of the feature {self.name!r} are numbers: mend the "
            f"others{absent}; if they are names of categories, say so: {self._as_categories(others)}",
        )

    @property
    def mixture(self) -> str:
        """That more cells of a column of categories are numbers than words, and where a word stands; else nothing."""
        if self.kind is not None or not 0 < 2 * self.wrong < self.seen:
            return ""
        cell = self._wrong[0]
        place = cell.frame.problem(cell.row, f"it is {cell.word!r}", cell.graph)
        return (
            f"taken for categories, though {self.seen - self.wrong:,} of {self.seen:,} values are numbers ({place}); "
            f"mend it, or add it to `missing` if it stands for no value; else name the kind of the column in {NAME}"
        )

    def _as_categories(self, others: Sequence[str]) -> str:
        """What ``dag.yaml`` says then; features that are named leave out all others."""
        features = ", ".join(f"{name}: {'category' if name == self.name else 'null'}" for name in others)
        return f"{self.table}: {{features: {{{features}}}}}"

    def finish(self) -> Column | str:
        """How the column is encoded, or why it cannot be a feature."""
        if self.seen == 0:
            return "it has no value at all"
        if self.is_number or (self.kind is None and not self.wrong):
            mean, std = centre_and_scale(self.moments)
            std = 0.0 if self.moments.is_constant else std
            return Column(self.table, self.name, self.kind or "number", mean, std, self.absent > 0)
        if self.kind is None and len(self.words) > _MAX_GUESSED:
            return (
                f"it has more than {_MAX_GUESSED:,} different words; if they are categories, name it as such in {NAME}"
            )
        words = sorted(map(str, self.words))
        if self.kind is None and self.present > 20 and len(words) > 0.9 * self.present:
            return "nearly every row has a word of its own, as identifiers have"
        return Column(self.table, self.name, "category", words=words)


def feature_columns(dags: Dags, name: str) -> dict[str, Kind | None]:
    """Columns of a table that enter the model, with their kinds, None where the values decide.

    Raises:
        DAGFolderError: If a named column is not there, or is a target or the split.
    """
    table, spec = dags.spec.table(name), dags.spec
    if name not in dags.frames:
        if table.features:
            raise DAGFolderError([Problem(NAME, None, None, f"{name}.features needs a table of {name}")])
        return {}
    taken = {table.graph}
    taken |= {"nodes": {table.id}, "edges": {table.source, table.target}}.get(name, set())
    if name == spec.target_table:
        taken |= set(spec.targets)
    taken |= {name for name in (spec.split.column, spec.split.group) if name is not None}
    if table.features is None:
        # Columns of graphs are often results, so they are features only where the folder says so.
        if name == "graphs":
            return {}
        return {str(column): None for column in dags.frames[name].values.columns if column not in taken}
    problems: list[Problem] = []
    for column in table.features:
        with collected(problems):
            dags.frames[name].column(column, "a feature")
        if column in taken:
            message = f"{name}.features has {column!r}, which is a target, the split or an identifier"
            problems.append(Problem(NAME, None, None, message))
    if problems:
        raise DAGFolderError(problems)
    return table.features


def in_order(columns: Sequence[Column]) -> list[Column]:
    """Columns in the order in which they are encoded: numbers before categories."""
    return sorted(columns, key=lambda column: column.kind == "category")


def encode(columns: Sequence[Column], cells: dict[str, pd.Series], rows: int) -> tuple[np.ndarray, list[int]]:
    """Encode columns side by side, numbers before categories.

    Args:
        columns: How.
        cells: Cells of each, by name.
        rows: Number of rows ``n``.

    Returns:
        ``[n, F]``, int64 if all are categories, else float32; and the size of each of the ``F`` columns, 0 for numbers.
    """
    ordered = in_order(columns)
    sizes = [size for column in ordered for size in column.sizes]
    dtype = np.int64 if sizes and 0 not in sizes else np.float32
    parts = [column.encode(cells[f"{column.table}.{column.name}"]).astype(dtype) for column in ordered]
    return np.concatenate(parts, axis=1) if parts else np.zeros((rows, 0), dtype=dtype), sizes
