"""Target columns of a table of molecules: numbers, labels or classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.classes import ClassError, class_name, encode_classes, find_classes, find_labels
from plstm_graph.datasets.moments import Moments
from plstm_graph.datasets.table import Table, TableError
from plstm_graph.datasets.text_files import decimal_hint, is_missing

#: What the targets of a table are.
TargetKind = Literal["number", "label", "class"]

_MAX = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class TargetCoding:
    """How the cells of target columns become numbers.

    Attributes:
        names (list[str]): Of the columns.
        classes (list[list[str]]): Names of the classes of each; empty for numbers.
        dtype (str): ``"float32"``, or ``"float64"`` for numbers whose differences float32 would lose.
    """

    names: list[str]
    classes: list[list[str]]
    dtype: str

    @classmethod
    def of(
        cls, table: Table, names: Sequence[str], kind: TargetKind, classes: Sequence[Sequence[str]] | None
    ) -> "TargetCoding":
        """Look at all cells of the targets of a table.

        Args:
            table: The table.
            names: Of the target columns.
            kind: What they are.
            classes: Names of the classes of each, if they are known. (default: those that occur)

        Raises:
            TableError: If a column is of another kind; it names line, column, value, and the kind that fits.
        """
        if kind == "number":
            exact = [_check_numbers(table, name, "binary" if len(names) == 1 else "multilabel") for name in names]
            return cls(list(names), [[] for _ in names], "float32" if all(exact) else "float64")
        if classes is None:
            classes = [_find(table, name, kind) for name in names]
        return cls(list(names), [list(each) for each in classes], "float32")

    def encode(self, cells: Sequence[str], allow_missing: bool) -> Tensor:
        """One row of targets, ``[1, T]``.

        Args:
            cells: Of the target columns.
            allow_missing: Whether an empty cell is NaN.

        Raises:
            TableError: If a cell is empty and may not be, or is no number or class; it names column and value.
        """
        values = []
        for name, cell, classes in zip(self.names, cells, self.classes, strict=True):
            text = "" if is_missing(cell, _are_words(classes)) else cell.strip()
            if not text and not allow_missing:
                found = f"{cell.strip()!r}, which says that it is missing" if cell.strip() else "empty"
                raise TableError(f"target {name!r} is {found}; allow_missing: true keeps such rows")
            values.append(_class(name, text, classes) if classes else _finite(name, text))
        return torch.tensor([values], dtype=getattr(torch, self.dtype))


def _are_words(classes: Sequence[str]) -> bool:
    """Whether names of classes are words; not, if they are numbers, or true and false."""
    return any(_number(name) is None and name.strip().lower() not in ("true", "false") for name in classes)


def _class(name: str, text: str, classes: Sequence[str]) -> float:
    code = float(encode_classes([text], classes)[0])
    if code < 0:
        shown = ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")
        raise TableError(f"target {name!r} is {text!r}, none of the classes {shown}")
    return code


def _finite(name: str, text: str) -> float:
    value = _number(text) if text else math.nan
    if value is None:
        raise TableError(f"target {name!r} is {text!r}, not a number{decimal_hint(text)}")
    if text and not abs(value) <= _MAX:
        raise TableError(f"target {name!r} is {text!r}, not a finite float32 number")
    return value


def _number(text: str) -> float | None:
    try:
        # Python reads "1_000" as a number; in a table it is a misprint.
        return float(text.replace("_", "?"))
    except ValueError:
        return None


def _check_numbers(table: Table, name: str, labels: str) -> bool:
    """Check that a column holds numbers, a few of which may be damaged; whether float32 keeps them apart.

    Args:
        table: The table.
        name: Of the column.
        labels: Kind of targets that takes two words.
    """
    all_cells = zip(table.lines, table.column(name), strict=True)
    cells = [(line, cell.strip()) for line, cell in all_cells if not is_missing(cell)]
    values = [_number(cell) for _, cell in cells]
    wrong = [place for place, value in zip(cells, values, strict=True) if value is None]
    words = sorted({class_name(cell) for _, cell in wrong})
    if len(wrong) > len(cells) / 2 and len(words) > 1 and not any(decimal_hint(cell) for _, cell in wrong):
        line, cell = wrong[0]
        shown = ", ".join(words[:6]) + (", ..." if len(words) > 6 else "")
        raise TableError(
            f"{table.path}, line {line}: target {name!r} is {cell!r}, not a number, as {len(wrong)} of {len(cells)} "
            f"cells; kind: {labels if len(words) == 2 else 'multiclass'} takes words ({shown})"
        )
    moments = Moments()
    moments.update(np.array([value for value in values if value is not None and abs(value) <= _MAX], dtype=np.float64))
    return moments.fits_float32


def _find(table: Table, name: str, kind: TargetKind) -> list[str]:
    cells = table.column(name)
    words = [cell for cell in cells if not is_missing(cell, words=True)]
    if not _are_words([cell for cell in words if not is_missing(cell)]):
        words = [cell for cell in words if not is_missing(cell)]
    if not words:
        raise TableError(f"target {name!r} of {table.path} has no value at all")
    try:
        return find_labels(words, len(words)) if kind == "label" else find_classes(words, len(words))
    except ClassError as error:
        line = next(line for line, cell in zip(table.lines, cells, strict=True) if class_name(cell) == error.word)
        raise TableError(f"{table.path}, line {line}: target {name!r} is {error}") from error
