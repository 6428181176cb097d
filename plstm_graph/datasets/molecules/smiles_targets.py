"""Target columns of a table of molecules: numbers, labels or classes."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.classes import ClassError, class_name, encode_classes, find_classes, find_labels
from plstm_graph.datasets.moments import Moments
from plstm_graph.datasets.table import Table, TableError
from plstm_graph.datasets.text_files import decimal_hint, is_missing, number_of

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
        censored (bool): Whether cells of numbers may be bounds, such as ``>10``.
    """

    names: list[str]
    classes: list[list[str]]
    dtype: str
    censored: bool = False

    @classmethod
    def of(
        cls,
        table: Table,
        names: Sequence[str],
        kind: TargetKind,
        classes: Sequence[Sequence[str]] | None,
        censored: bool = False,
    ) -> "TargetCoding":
        """Look at all cells of the targets of a table.

        Args:
            table: The table.
            names: Of the target columns.
            kind: What they are.
            classes: Names of the classes of each, if they are known. (default: those that occur)
            censored: Whether cells of numbers may be bounds.

        Raises:
            TableError: If a column is of another kind; it names line, column, value, and the kind that fits.
        """
        if kind == "number":
            labels = "binary" if len(names) == 1 else "multilabel"
            exact = [_check_numbers(table, name, labels, censored) for name in names]
            return cls(list(names), [[] for _ in names], "float32" if all(exact) else "float64", censored)
        if censored:
            raise TableError("censored is of numbers, whose cells may be bounds such as >10")
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
            text = _bound(text)[1] if self.censored else text
            values.append(_class(name, text, classes) if classes else _finite(name, text))
        return torch.tensor([values], dtype=getattr(torch, self.dtype))

    def sides(self, cells: Sequence[str]) -> Tensor:
        """On which side of each target of a row the true value is, ``[1, T]`` int8.

        1 where it is above the target (``>10``, ``>=10``), -1 where it is below (``<0.5``), 0 where it is the target
        (also ``=3`` and ``~3``).

        Args:
            cells: Of the target columns.
        """
        return torch.tensor([[_bound(cell.strip())[0] for cell in cells]], dtype=torch.int8)


_BOUND = re.compile(r"\s*(>=|<=|=>|=<|>|<|≥|≤|=|~|≈)\s*(.*)")


def _bound(text: str) -> tuple[int, str]:
    """On which side of a number the true value is, and the text of the number."""
    found = _BOUND.fullmatch(text)
    if found is None:
        return 0, text
    return (1 if set(found[1]) & set(">≥") else -1 if set(found[1]) & set("<≤") else 0), found[2]


def row_weight(column: str, cell: str) -> float:
    """The weight of a row.

    Args:
        column: Where it stands.
        cell: What stands there.

    Raises:
        TableError: If it is no number from 0; it names column and value.
    """
    value = None if is_missing(cell) else number_of(cell.strip())
    if value is None or not 0 <= value <= _MAX:
        shown = repr(cell.strip()) if cell.strip() else "empty"
        raise TableError(f"weight {column!r} is {shown}, not a number from 0{decimal_hint(cell)}")
    return value


def _are_words(classes: Sequence[str]) -> bool:
    """Whether names of classes are words; not, if they are numbers, or true and false."""
    return any(number_of(name) is None and name.strip().lower() not in ("true", "false") for name in classes)


def _class(name: str, text: str, classes: Sequence[str]) -> float:
    code = float(encode_classes([text], classes)[0])
    if code < 0:
        shown = ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")
        raise TableError(f"target {name!r} is {text!r}, none of the classes {shown}")
    return code


def _finite(name: str, text: str) -> float:
    value = number_of(text) if text else math.nan
    if value is None:
        raise TableError(f"target {name!r} is {text!r}, not a number{decimal_hint(text)}{_bound_hint(text)}")
    if text and not abs(value) <= _MAX:
        raise TableError(f"target {name!r} is {text!r}, not a finite float32 number")
    return value


def _bound_hint(text: str) -> str:
    number = _bound(text)[1]
    return "; with censored: true it is a bound" if number != text and number_of(number) is not None else ""


def _check_numbers(table: Table, name: str, labels: str, censored: bool = False) -> bool:
    """Check that a column holds numbers, a few of which may be damaged; whether float32 keeps them apart.

    Args:
        table: The table.
        name: Of the column.
        labels: Kind of targets that takes two words.
        censored: Whether cells may be bounds.
    """
    all_cells = zip(table.lines, table.column(name), strict=True)
    cells = [(line, cell.strip()) for line, cell in all_cells if not is_missing(cell)]
    values = [number_of(_bound(cell)[1] if censored else cell) for _, cell in cells]
    wrong = [place for place, value in zip(cells, values, strict=True) if value is None]
    words = sorted({class_name(cell) for _, cell in wrong})
    if len(wrong) > len(cells) / 2 and len(words) > 1 and not any(decimal_hint(cell) for _, cell in wrong):
        line, cell = wrong[0]
        shown = ", ".join(words[:6]) + (", ..." if len(words) > 6 else "")
        start = (
            f"{table.path}, line {line}: target {name!r} is {cell!r}, not a number, as {len(wrong)} of {len(cells)} "
        )
        if hint := _bound_hint(cell):
            raise TableError(f"{start}cells{hint}")
        raise TableError(f"{start}cells; kind: {labels if len(words) == 2 else 'multiclass'} takes words ({shown})")
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
