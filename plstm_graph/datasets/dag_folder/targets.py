"""Targets and split of a folder of DAGs."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plstm_graph.datasets.classes import ClassError, class_name, encode_classes, find_classes, find_labels
from plstm_graph.datasets.dag_folder.assemble import Dags
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem, collected
from plstm_graph.datasets.dag_folder.spec import NAME, Spec
from plstm_graph.datasets.folds import drawn_parts, parts_of_fractions
from plstm_graph.datasets.moments import Moments
from plstm_graph.datasets.text_files import decimal_hint

PARTS = ("train", "valid", "test")
_NONE, _UNKNOWN = -1, -2
_PART_OF = {"train": 0, "training": 0, "valid": 1, "val": 1, "validation": 1, "test": 2, "testing": 2, "none": _NONE}
_MAX = float(np.finfo(np.float32).max)


@dataclass
class Targets:
    """What is to be predicted.

    Attributes:
        values (np.ndarray): One row for each graph, node or edge, ``[n, T]``, float64; the number of the class for
            classes and labels; NaN where unknown.
        classes (list[list[str]]): Names of the classes of each target; empty for numbers.
        dtype (str): ``"float32"``, or ``"float64"`` where that would not keep how numbers differ.
    """

    values: np.ndarray
    classes: list[list[str]]
    dtype: str = "float32"


class TargetFit:
    """Learns, from one piece of a folder after the other, which classes there are and which precision numbers need.

    Args:
        spec: Of the folder.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._words: list[dict[str, None]] = [{} for _ in spec.targets]
        self._rows = [0 for _ in spec.targets]
        self._moments = [Moments() for _ in spec.targets]

    def update(self, dags: Dags) -> None:
        """Take in some graphs.

        Raises:
            DAGFolderError: If a column is not there, or no target is named.
        """
        for number, cells in enumerate(target_columns(dags)):
            if self.spec.task == "regression":
                self._moments[number].update(to_numbers(cells))
            else:
                self._words[number] |= dict.fromkeys(map(str, cells.dropna().unique()))
                self._rows[number] += int(cells.notna().sum())

    def finish(self) -> tuple[list[list[str]], str]:
        """Names of the classes of each target, and the type that keeps the numbers.

        Raises:
            ClassErrors: If the words of targets are no classes.
        """
        if self.spec.task == "regression":
            exact = all(moments.fits_float32 for moments in self._moments)
            return [[] for _ in self._words], "float32" if exact else "float64"
        classes, errors = [], {}
        for number, (words, rows) in enumerate(zip(self._words, self._rows, strict=True)):
            try:
                if self.spec.task == "multilabel":
                    classes.append(find_labels(words, rows, "task", "classification"))
                else:
                    classes.append(find_classes(words, rows, "task"))
            except ClassError as error:
                classes.append(list(dict.fromkeys(map(class_name, words))))
                errors[number] = error
        if errors:
            raise ClassErrors(errors)
        return classes, "float32"


class ClassErrors(ValueError):
    """Targets whose words are no classes.

    Attributes:
        errors (dict[int, ClassError]): By the number of the target.
    """

    def __init__(self, errors: dict[int, ClassError]) -> None:
        super().__init__("; ".join(map(str, errors.values())))
        self.errors = errors


def target_columns(dags: Dags) -> list[pd.Series]:
    """The columns that are to be predicted.

    Raises:
        DAGFolderError: If a column is not there, or no target is named.
    """
    spec, name = dags.spec, dags.spec.target_table
    if not spec.targets:
        there = ", ".join(map(str, dags.frames[name].values.columns)) if name in dags.frames else f"no table of {name}"
        raise DAGFolderError(
            [Problem(NAME, None, None, f"no targets: say which columns of {name} ({there}) to predict")]
        )
    columns: list[pd.Series] = []
    problems: list[Problem] = []
    for column in spec.targets:
        with collected(problems):
            columns.append(dags.column(name, column, "the target"))
    if problems:
        raise DAGFolderError(problems)
    return columns


def read_targets(dags: Dags) -> Targets:
    """Read the target columns of a whole folder; what is wrong is noted in ``dags.problems``.

    Raises:
        DAGFolderError: If a column is not there, or no target is named.
    """
    fit = TargetFit(dags.spec)
    fit.update(dags)
    name = dags.spec.target_table
    empty = [cells.isna().all() for cells in target_columns(dags)]
    for column, is_empty in zip(dags.spec.targets, empty, strict=True):
        if is_empty:
            dags.problems.append(Problem(dags.frames[name].file, None, None, f"target {column!r} has no value at all"))
    try:
        return encode_targets(dags, *fit.finish())
    except ClassErrors as error:
        for number, problem in error.errors.items():
            if not empty[number]:
                report_class_error(dags, number, problem)
        return Targets(np.zeros((0, len(dags.spec.targets))), [[] for _ in dags.spec.targets])


def report_class_error(dags: Dags, number: int, error: ClassError) -> bool:
    """Note the first row that shows what is wrong with the words of a target; whether there is one."""
    cells = target_columns(dags)[number]
    rows = np.flatnonzero([isinstance(cell, str) and class_name(cell) == error.word for cell in cells])
    dags.report(dags.spec.target_table, rows[:1], lambda item: f"target {dags.spec.targets[number]!r} is {error}")
    return len(rows) > 0


def encode_targets(dags: Dags, classes: list[list[str]], dtype: str) -> Targets:
    """Targets as numbers; what is wrong is noted in ``dags.problems``.

    Args:
        dags: The graphs.
        classes: As :meth:`TargetFit.finish` gives them.
        dtype: Likewise.
    """
    values = []
    for column, cells, names in zip(dags.spec.targets, target_columns(dags), classes, strict=True):
        if dags.spec.task == "regression":
            found = to_numbers(cells)
            wrong = (np.isnan(found) & cells.notna().to_numpy()) | (np.abs(found) > _MAX)
            expected = "expected a finite number"
            if wrong.any() and wrong.sum() > cells.notna().sum() / 2:
                expected += "; task: classification takes words"
        else:
            found = encode_classes(cells, names)
            wrong, expected = found < 0, "an unknown class"
        _report_wrong(dags, column, cells, wrong, expected)
        values.append(np.where(wrong, math.nan, found))
    return Targets(np.stack(values, axis=1), classes, dtype)


def _report_wrong(dags: Dags, column: str, cells: pd.Series, wrong: np.ndarray, expected: str) -> None:
    dags.report(
        dags.spec.target_table,
        np.flatnonzero(wrong),
        lambda item: f"target {column!r} is {cells[item]!r}, {expected}{decimal_hint(cells[item])}",
    )


def read_split(dags: Dags) -> np.ndarray:
    """Part of each graph, or of each row of targets, ``[n]``: 0 training, 1 validation, 2 test, -1 in no part.

    The column is looked for in the table of graphs, then in that of the targets; a random split is one of graphs, or,
    if there is only one graph, of its targets.

    Raises:
        DAGFolderError: If there is no such column, or a part would be empty.
    """
    split, name = dags.spec.split, split_table(dags)
    if split.is_drawn:
        part = _drawn_parts(dags, name)
    else:
        assert split.column is not None
        cells = dags.column(name, split.column, "the split")
        part = (
            cells.astype(object)
            .map(lambda word: _PART_OF.get(str(word).strip().casefold(), _UNKNOWN))
            .to_numpy(dtype=np.int64, copy=True)
        )
        wrong = np.flatnonzero(part == _UNKNOWN)
        expected = f"expected one of {', '.join(PARTS)}, none"
        dags.report(name, wrong, lambda item: f"split {split.column!r} is {cells[item]!r}, {expected}")
    sizes = [int((part == number).sum()) for number in range(3)]
    if 0 in sizes and not dags.is_piece:
        shown = ", ".join(f"{word} {size}" for word, size in zip(PARTS, sizes, strict=True))
        message = f"the {PARTS[sizes.index(0)]} part of the {name} would be empty ({shown})"
        dags.problems.append(Problem(NAME if split.is_drawn else dags.frames[name].file, None, None, message))
    return part


def split_table(dags: Dags) -> str:
    """Table whose rows are split: ``"graphs"``, or that of the targets, in which each graph then has several parts."""
    split, name = dags.spec.split, dags.spec.target_table
    if split.is_drawn:
        return "graphs" if dags.num_graphs > 1 or dags.is_piece else name
    if "graphs" in dags.frames and split.column in dags.frames["graphs"].values.columns:
        return "graphs"
    return name


def _drawn_parts(dags: Dags, name: str) -> np.ndarray:
    """The part of each row of a table, by chance; grouped or stratified if ``dag.yaml`` says so."""
    split, total = dags.spec.split, len(dags.graph_of(name))
    groups = None
    if split.group is not None:
        cells = dags.column(name, split.group, "the groups of the split")
        empty = np.flatnonzero(cells.isna() | (cells.astype(str).str.strip() == ""))
        dags.report(name, empty, lambda item: f"group {split.group!r}, by which it stays with others, is empty")
        groups = cells.to_numpy(str)
    targets = _strata(dags, name) if split.stratified else None
    try:
        return drawn_parts(split, total, targets, groups)
    except ValueError as error:
        dags.problems.append(Problem(NAME, None, None, f"the {name} cannot be split: {error}"))
        return parts_of_fractions(split.fractions, total)


def _strata(dags: Dags, name: str) -> np.ndarray:
    """What a split is stratified by, numbers or words of classes."""
    spec = dags.spec
    if len(spec.targets) != 1 or name != spec.target_table:
        which = ", ".join(spec.targets)
        reason = f"the only target of the {name}, and targets are {which} of the {spec.target_table}"
        dags.problems.append(Problem(NAME, None, None, f"split.stratified is by {reason}"))
        return np.zeros(len(dags.graph_of(name)))
    cells = dags.column(name, spec.targets[0], "the targets")
    return to_numbers(cells) if spec.task == "regression" else cells.to_numpy(str)


def to_numbers(cells: pd.Series) -> np.ndarray:
    """Values of text, ``[n]`` float64; NaN where there is none or it is no number."""
    return pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
