"""A split in a file: which rows of a table train, validate and are tested."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plstm_graph.datasets.folds import TEST, TRAIN, VALID
from plstm_graph.datasets.molecules.molecule import InvalidSmilesError, canonical_smiles
from plstm_graph.datasets.molecules.smiles import SmilesDataset
from plstm_graph.datasets.molecules.splits import PARTS, part_of_word
from plstm_graph.datasets.table import Table, TableError, read_whole_table

_NUMBER = {"train": TRAIN, "valid": VALID, "test": TEST}
#: The row is in no part.
LEFT_OUT = -1


def read_split(path: str | Path, dataset: SmilesDataset, fold: int, num_folds: int) -> np.ndarray:
    """The part of each molecule, as a file says.

    A CSV has a column with train, valid or test (empty for none of them), and says whose parts these are by a column
    ``line`` (of the table's file), by SMILES, by another column that the table has too, such as an identifier, or, with
    no other column, by the order of the table's rows. A JSON file has ``{"train": [...], "valid": [...], "test":
    [...]}``, numbers of rows from 0 or ranges such as ``"0-99"``, or a list of several such splits.

    Args:
        path: The file, ``.csv`` or ``.json``.
        dataset: The molecules.
        fold: Which of several splits.
        num_folds: How many there must be; 0 for a file of one.

    Returns:
        :data:`~plstm_graph.datasets.folds.TRAIN`, ``VALID``, ``TEST`` or :data:`LEFT_OUT`, ``[n]``.

    Raises:
        OSError: If the file cannot be read.
        TableError: If it is no split of this table; it names the line, or the row.
    """
    path = Path(path).expanduser()
    if path.name.endswith(".json"):
        by_line = _of_json(path, dataset, fold, num_folds)
        return np.array([by_line.get(line, LEFT_OUT) for line in dataset.table.lines], dtype=np.int64)
    if num_folds:
        raise TableError(f"{path} has one split; a file of several, chosen by folds, is a JSON list: task.num_folds: 0")
    table = read_whole_table(path)
    column = _part_column(table)
    parts = [_NUMBER.get(part_of_word(cell) or "", LEFT_OUT) for cell in table.column(column)]
    key = _key(table, column, dataset)
    if key is None:
        if len(table) != len(dataset.all_lines):
            raise TableError(
                f"{path} has {len(table)} rows for the {len(dataset.all_lines)} of {dataset.path}; rows may also be "
                "named by a column line, by their SMILES, or by another column that both files have"
            )
        by_line = dict(zip(dataset.all_lines, parts, strict=True))
        return np.array([by_line[line] for line in dataset.table.lines], dtype=np.int64)
    if key == "line":
        _check_lines(table, dataset)
        names, known = [str(line) for line in dataset.table.lines], {str(line) for line in dataset.all_lines}
    else:
        names, known = dataset.table.column(key), set(dataset.whole_table.column(key))
    if key == dataset.smiles_column:
        names = dataset.canonical_smiles
    found = _by_name(table, key, parts, known | set(names), dataset)
    return np.array([found.get(name, LEFT_OUT) for name in names], dtype=np.int64)


def _check_lines(table: Table, dataset: SmilesDataset) -> None:
    """Check that lines of a split file have the molecules that it says; a table that was changed since has others."""
    own = _own_name(table, dataset.smiles_column)
    if own not in table.columns:
        return
    there = dict(zip(map(str, dataset.table.lines), dataset.table.column(dataset.smiles_column), strict=True))
    for row, (line, smiles) in enumerate(zip(table.column("line"), table.column(own), strict=True)):
        found = there.get(line.strip(), smiles)
        if found.strip() != smiles.strip() and _canonical(found) != _canonical(smiles):
            raise TableError(
                f"{table.place(row)}: line {line.strip()} of {dataset.path} has {found!r}, not {smiles!r}: the split "
                "is of another table, or of this one before it changed; without the column line, SMILES name the rows"
            )


def _by_name(table: Table, key: str, parts: Sequence[int], known: set[str], dataset: SmilesDataset) -> dict[str, int]:
    """The part of each name in a column of a split file."""
    found: dict[str, int] = {}
    for row, (cell, part) in enumerate(zip(table.column(_own_name(table, key)), parts, strict=True)):
        name = cell.strip() if key == "line" else _canonical(cell) if key == dataset.smiles_column else cell
        if name not in known and cell not in known:
            what = (
                "line" if key == "line" else f"{key} {cell!r}" if key != dataset.smiles_column else f"molecule {cell!r}"
            )
            shown = f"line {cell}" if what == "line" else what
            raise TableError(f"{table.place(row)}: {dataset.path} has no {shown}")
        if found.setdefault(name, part) != part:
            raise TableError(
                f"{table.place(row)}: {cell!r} is in the {_name(part)} part here and in the {_name(found[name])} part "
                "above; a column line, or another column that both files have, tells its rows apart"
            )
    return found


def _name(part: int) -> str:
    return "no" if part == LEFT_OUT else PARTS[part]


def _canonical(text: str) -> str:
    try:
        return canonical_smiles(text)
    except InvalidSmilesError:
        return text


def _part_column(table: Table) -> str:
    """The column that says the parts: all its words are such, or empty."""
    found = [name for name in table.columns if _says_parts(table.column(name))]
    if len(found) == 1:
        return found[0]
    if found:
        raise TableError(f"{table.path} has several columns of parts: {', '.join(found)}")
    for name in table.columns:  # one that was meant
        cells = table.column(name)
        known = sum(part_of_word(cell) is not None for cell in cells)
        if known > len(cells) / 2:
            row = next(row for row, cell in enumerate(cells) if cell.strip() and part_of_word(cell) is None)
            raise TableError(
                f"{table.place(row)}: column {name!r} is {cells[row]!r}, expected one of {', '.join(PARTS)}"
            )
    raise TableError(
        f"{table.path} has no column that says train, valid or test; its columns are {', '.join(table.columns)}"
    )


def _says_parts(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and all(part_of_word(cell) is not None for cell in filled)


def _own_name(table: Table, key: str) -> str:
    """What a split file calls a column of the table: that of SMILES may be ``smiles``."""
    return key if key in table.columns else "smiles"


def _key(table: Table, column: str, dataset: SmilesDataset) -> str | None:
    """By which column rows are found; None for their order."""
    others = [name for name in table.columns if name != column]
    if not others:
        return None
    if "line" in others and "line" not in dataset.table.columns:
        return "line"
    shared = [name for name in others if name in dataset.table.columns and name != dataset.smiles_column]
    single = [name for name in shared if len(set(cells := dataset.table.column(name))) == len(cells)]
    if single and len(set(table.column(single[0]))) == len(table):
        return single[0]
    if dataset.smiles_column in others or "smiles" in others:
        return dataset.smiles_column
    raise TableError(
        f"{table.path} has no column by which rows of {dataset.path} are found: line, {dataset.smiles_column}, or one "
        f"that both have and that differs in all rows; its columns are {', '.join(table.columns)}"
    )


def _of_json(path: Path, dataset: SmilesDataset, fold: int, num_folds: int) -> dict[int, int]:
    """The part of each line of the table's file."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path} is no JSON: {error}") from error
    several = content if isinstance(content, list) else [content]
    if num_folds and len(several) != num_folds:
        raise TableError(f"{path} has {len(several)} splits, and num_folds says {num_folds}")
    if not num_folds and len(several) != 1:
        raise TableError(f"{path} has {len(several)} splits: --folds {len(several)} takes all of them")
    where = f"{path}, split {fold}" if len(several) > 1 else str(path)
    split = several[fold]
    if not isinstance(split, Mapping):
        raise TableError(f'{where}: expected {{"train": [...], "valid": [...], "test": [...]}}')
    lines, found = dataset.all_lines, dict[int, int]()
    for word, rows in split.items():
        part = part_of_word(str(word))
        if part is None:
            raise TableError(f"{where}: {word!r} is no part, expected {', '.join(PARTS)}")
        for row in _rows(rows, f"{where}, {word}"):
            if not 0 <= row < len(lines):
                raise TableError(f"{where}, {word}: {dataset.path} has rows 0 to {len(lines) - 1}, got {row}")
            if found.setdefault(lines[row], _NUMBER[part]) != _NUMBER[part]:
                raise TableError(f"{where}: row {row} is in the parts {PARTS[found[lines[row]]]} and {part}")
    return found


def _rows(given: Any, where: str) -> list[int]:
    """Numbers of rows: a list of them, or a text such as ``"0-99,120"``."""
    if isinstance(given, str):
        pieces = [piece.strip().partition("-") for piece in given.split(",")]
        if all(first.isdecimal() and (not dash or last.isdecimal()) for first, dash, last in pieces):
            ends = [(int(first), int(last or first)) for first, _, last in pieces]
            if sum(max(last - first, 0) for first, last in ends) < 100_000_000:
                return [row for first, last in ends for row in range(first, last + 1)]
    if isinstance(given, list) and all(type(row) is int for row in given):
        return given
    raise TableError(f"{where}: expected a list of numbers of rows, from 0")
