"""Targets and split of a folder of DAGs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.assemble import Dags
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.dag_folder.spec import NAME, SplitSpec
from plstm_graph.datasets.text_files import decimal_hint

PARTS = ("train", "valid", "test")
_NONE, _UNKNOWN = -1, -2
_PART_OF = {"train": 0, "training": 0, "valid": 1, "val": 1, "validation": 1, "test": 2, "testing": 2, "none": _NONE}
_LABELS = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}
_MAX = float(np.finfo(np.float32).max)


@dataclass
class Targets:
    """What is to be predicted.

    Attributes:
        values (np.ndarray): One row for each graph, node or edge, ``[n, T]``, float64; the number of the class for
            classification; NaN where unknown.
        classes (list[str]): Names of the classes; empty for other tasks.
    """

    values: np.ndarray
    classes: list[str]


def read_targets(dags: Dags, classes: list[str] | None = None) -> Targets:
    """Read the target columns; what is wrong is noted in ``dags.problems``.

    Args:
        dags: The graphs.
        classes: Names of the classes, if they are known already. (default: those that occur, sorted)

    Raises:
        DAGFolderError: If a column is not there, or no target is named.
    """
    spec, name = dags.spec, dags.spec.target_table
    if not spec.targets:
        there = ", ".join(map(str, dags.frames[name].values.columns)) if name in dags.frames else f"no table of {name}"
        raise DAGFolderError(
            [Problem(NAME, None, None, f"no targets: say which columns of {name} ({there}) to predict")]
        )
    columns = [dags.column(name, column, "the target") for column in spec.targets]
    for column, cells in zip(spec.targets, columns, strict=True):
        if cells.isna().all() and not dags.is_piece:
            dags.problems.append(Problem(dags.frames[name].file, None, None, f"target {column!r} has no value at all"))
    if spec.task == "classification":
        found = classes if classes is not None else sort_words([str(word) for word in columns[0].dropna().unique()])
        if len(found) == 1 and not dags.is_piece:
            message = f"target {spec.targets[0]!r} is {found[0]!r} in every row; at least two classes are needed"
            dags.problems.append(Problem(dags.frames[name].file, None, None, message))
        codes = pd.Index(found).get_indexer(columns[0]).astype(np.float64)
        codes[codes < 0] = math.nan
        unknown = np.flatnonzero(np.isnan(codes) & columns[0].notna().to_numpy())
        dags.report(name, unknown, lambda item: f"target {spec.targets[0]!r} is {columns[0][item]!r}, an unknown class")
        return Targets(codes[:, None], found)
    values = [_numbers(dags, name, column, cells) for column, cells in zip(spec.targets, columns, strict=True)]
    return Targets(np.stack(values, axis=1), [])


def read_split(dags: Dags) -> np.ndarray:
    """Part of each graph, or of each row of targets, ``[n]``: 0 training, 1 validation, 2 test, -1 in no part.

    The column is looked for in the table of graphs, then in that of the targets; a random split is one of graphs, or,
    if there is only one graph, of its targets.

    Raises:
        DAGFolderError: If there is no such column, or a part would be empty.
    """
    split, name = dags.spec.split, split_table(dags)
    if split.column is None:
        part = random_parts(len(dags.graph_of(name)), split)
    else:
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
        dags.problems.append(Problem(NAME if split.column is None else dags.frames[name].file, None, None, message))
    return part


def split_table(dags: Dags) -> str:
    """Table whose rows are split: ``"graphs"``, or that of the targets, in which each graph then has several parts."""
    split, name = dags.spec.split, dags.spec.target_table
    if split.column is None:
        return "graphs" if dags.num_graphs > 1 or dags.is_piece else name
    if "graphs" in dags.frames and split.column in dags.frames["graphs"].values.columns:
        return "graphs"
    return name


def random_parts(total: int, split: SplitSpec) -> np.ndarray:
    """A random part for each of some rows, ``[total]``."""
    order = np.random.default_rng(split.seed).permutation(total)
    part = np.full(total, 2)
    # 0.7 + 0.1 is a little less than 0.8 in floating point, and must not cost a graph.
    ends = [math.floor(sum(split.fractions[:count]) * total + 1e-6) for count in (1, 2)]
    part[order[: ends[0]]], part[order[ends[0] : ends[1]]] = 0, 1
    return part


def sort_words(words: Sequence[str]) -> list[str]:
    """Names of classes, sorted as numbers if all of them are, else as text."""
    try:
        return sorted(words, key=float)
    except ValueError:
        return sorted(words)


def _numbers(dags: Dags, name: str, column: str, cells: pd.Series) -> np.ndarray:
    labels = dags.spec.task == "multilabel"
    if labels:
        values = cells.str.strip().str.lower().map(_LABELS).to_numpy(dtype=np.float64)
        wrong = np.isnan(values) & cells.notna().to_numpy()
    else:
        values = to_numbers(cells)
        wrong = (np.isnan(values) & cells.notna().to_numpy()) | (np.abs(values) > _MAX)
    expected = "expected 0 or 1" if labels else "expected a finite number"
    dags.report(
        name,
        np.flatnonzero(wrong),
        lambda item: f"target {column!r} is {cells[item]!r}, {expected}{decimal_hint(cells[item])}",
    )
    return np.where(wrong, math.nan, values)


def to_numbers(cells: pd.Series) -> np.ndarray:
    """Values of text, ``[n]`` float64; NaN where there is none or it is no number."""
    return pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
