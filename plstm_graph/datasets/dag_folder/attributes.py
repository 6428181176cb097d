"""Attributes of graphs, nodes and edges as plain cells: vectors become ``x.0``, ``x.1``, mappings ``op.kind``."""

import datetime
import math
import numbers
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from plstm_graph.datasets.dag_folder.spec import Kind

Cell = str | int | float | None


class AttributeValueError(ValueError):
    """An attribute that no column can hold; the message names it, and what has it."""


class Attributes:
    """The attributes of all graphs, nodes or edges, which become the columns of one table.

    Numbers (also of numpy, or tensors without dimensions), words, dates and truth values, which become 1 and 0, are a
    cell each; None, NaN and the empty word an empty one. Lists, tuples, arrays and tensors become a column for each
    place, and mappings one for each key, however deep. A vector has the same length wherever it occurs.
    """

    def __init__(self) -> None:
        self.columns: dict[str, None] = {}
        self._origins: dict[str, str] = {}
        self._lengths: dict[str, tuple[int | None, str]] = {}
        self._numbers: set[str] = set()
        self._words: set[str] = set()
        self._speaking: set[str] = set()

    def cells(self, values: Mapping[Any, Any], where: str) -> dict[str, Cell]:
        """The cells of one graph, node or edge, by column.

        Args:
            values: Its attributes.
            where: What it is, for messages, such as ``"node 3 of graph 0"``.

        Raises:
            AttributeValueError: If a value is something else, vectors of one attribute differ in length, or two
                attributes become the same column.
        """
        found: dict[str, Cell] = {}
        for key, value in values.items():
            origin = _name(key, where)
            for column, cell in self._leaves(origin, value, where):
                if column in found or self._origins.setdefault(column, origin) != origin:
                    other = origin if self._origins[column] == origin else self._origins[column]
                    raise AttributeValueError(
                        f"{where}: the attributes {other!r} and {origin!r} both become the column {column!r}; "
                        "rename one of them"
                    )
                found[column] = cell
        self.columns |= dict.fromkeys(found)
        return found

    def kind(self, column: str) -> Kind | None:
        """Whether a column has numbers or, though they look like numbers, words; None if its values tell."""
        if column in self._words:
            return None if column in self._numbers or column in self._speaking else "category"
        return "number" if column in self._numbers else None

    def parts(self, name: str) -> list[str]:
        """The columns of an attribute: itself, or those of its places or keys."""
        if name in self.columns:
            return [name]
        return [column for column in self.columns if self._origins[column] == name]

    def _leaves(self, name: str, value: Any, where: str) -> Iterator[tuple[str, Cell]]:
        value = _plain(value, name, where)
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._leaves(f"{name}.{_name(key, where)}", item, where)
        elif isinstance(value, list | tuple):
            self._check_length(name, len(value), where)
            for number, item in enumerate(value):
                yield from self._leaves(f"{name}.{number}", item, where)
        else:
            cell = _cell(value, name, where)
            if cell is not None:
                self._check_length(name, None, where)
                self._note_type(name, cell)
            yield name, cell

    def _check_length(self, name: str, length: int | None, where: str) -> None:
        first, place = self._lengths.setdefault(name, (length, where))
        if first != length:
            raise AttributeValueError(
                f"attribute {name!r} has {_size(first)} at {place}, but {_size(length)} at {where}; vectors of one "
                "attribute need one length"
            )

    def _note_type(self, name: str, cell: Cell) -> None:
        if not isinstance(cell, str):
            self._numbers.add(name)
            return
        self._words.add(name)
        if name not in self._speaking:
            try:
                float(cell)
            except ValueError:
                self._speaking.add(name)


def identifier(value: Any, what: str) -> str:
    """A name of a graph or node as text.

    Raises:
        AttributeValueError: If it is empty, or cannot stand in a file.
    """
    value = value.item() if isinstance(value, np.generic | Tensor) and np.ndim(value) == 0 else value
    text = _text(str(value), "the name", what)
    if not text.strip():
        raise AttributeValueError(f"{what} has the name {text!r}; an identifier cannot be empty")
    return text


def _name(key: Any, where: str) -> str:
    name = _text(str(key), "the name of an attribute", where).strip()
    if not name:
        raise AttributeValueError(f"{where} has an attribute called {key!r}; a column needs a name")
    return name


def _plain(value: Any, name: str, where: str) -> Any:
    """Tensors, arrays, series and numpy's numbers as what they hold."""
    if isinstance(value, Tensor):
        if value.is_sparse or value.is_complex() or value.layout.__str__() != "torch.strided":
            raise _unfit(name, where, f"a {'complex' if value.is_complex() else 'sparse'} tensor")
        return value.detach().cpu().tolist()
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "mM":
            return value.astype(str).tolist()
        if value.dtype.kind not in "biufUO":
            raise _unfit(name, where, f"an array of {value.dtype}")
        return value.tolist()
    return value.tolist() if isinstance(value, pd.Series | pd.Index) else value


def _cell(value: Any, name: str, where: str) -> Cell:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return _text(str(value), f"attribute {name!r}", where) or None
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real | Decimal):
        return None if math.isnan(value) else float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise _unfit(name, where, f"a {type(value).__name__}")


def _text(text: str, what: str, where: str) -> str:
    if "\0" in text or not (text.isascii() or text.encode("utf-8", "ignore").decode() == text):
        raise AttributeValueError(f"{where}: {what} is {text!r}, which has characters that a text file cannot hold")
    return text


def _size(length: int | None) -> str:
    return "a single value" if length is None else f"{length} value{'' if length == 1 else 's'}"


def _unfit(name: str, where: str, what: str) -> AttributeValueError:
    return AttributeValueError(
        f"{where}: attribute {name!r} is {what}; a column holds numbers or words, or vectors and mappings of them"
    )
