"""The text files of a set of the TU collection: unpacked, and checked before anything is made of them."""

import csv
import math
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from plstm_graph.datasets.storage.archives import unpack_zip
from plstm_graph.datasets.text_files import records, undecodable_line

#: Files that every set has; further ones have a row for each node, edge or graph.
REQUIRED = ("A", "graph_indicator")
_ROWS_OF = {
    "node_labels": "node",
    "node_attributes": "node",
    "edge_labels": "edge",
    "edge_attributes": "edge",
    "graph_labels": "graph",
    "graph_attributes": "graph",
}


def unpack_tu(path: Path, folder: Path, name: str) -> None:
    """Unpack the text files of a set and check them.

    Args:
        path: The zip.
        folder: An existing folder for the files.
        name: Name of the set.

    Raises:
        ArchiveError: If the zip is damaged or not of the kind that is unpacked.
        ValueError: If it does not hold the set, or its files do not fit together; names file and line.
    """
    whole = folder / "unpacked"
    whole.mkdir()
    unpack_zip(path, whole)
    for file in whole.rglob(f"{name}_*.txt"):
        file.replace(folder / file.name)
    shutil.rmtree(whole)
    missing = [f"{name}_{part}.txt" for part in REQUIRED if not (folder / f"{name}_{part}.txt").is_file()]
    if missing:
        raise ValueError(f"{path} does not hold the set {name}: {', '.join(missing)} is missing")
    check_tu(folder, name, str(path))


def check_tu(folder: Path, name: str, shown: str) -> None:
    """Check that the files of a set hold numbers that fit together.

    Args:
        folder: Of the files.
        name: Name of the set.
        shown: What to call the folder in messages.

    Raises:
        ValueError: If not; names file and line.
    """
    edges = _read(folder, name, "A", shown, columns=2)
    graph_of = _read(folder, name, "graph_indicator", shown, columns=1)[:, 0]
    _check_whole(edges, f"{shown}, {name}_A.txt", "a node", len(graph_of))
    _check_whole(graph_of[:, None], f"{shown}, {name}_graph_indicator.txt", "a graph", len(graph_of))
    steps = np.diff(graph_of, prepend=0)
    wrong = np.flatnonzero((steps != 0) & (steps != 1))
    if len(wrong):
        raise ValueError(
            f"{shown}, {name}_graph_indicator.txt, line {wrong[0] + 1}: graph {graph_of[wrong[0]]:g} does not follow "
            f"graph {graph_of[wrong[0]] - steps[wrong[0]]:g}"
        )
    ends = graph_of[edges.astype(np.int64) - 1]
    across = np.flatnonzero(ends[:, 0] != ends[:, 1])
    if len(across):
        row = across[0]
        raise ValueError(
            f"{shown}, {name}_A.txt, line {row + 1}: nodes {edges[row, 0]:g} and {edges[row, 1]:g} are in different "
            f"graphs, {ends[row, 0]:g} and {ends[row, 1]:g}"
        )
    counts = {"node": len(graph_of), "edge": len(edges), "graph": int(graph_of[-1])}
    for part, kind in _ROWS_OF.items():
        if (folder / f"{name}_{part}.txt").is_file():
            rows = len(_read(folder, name, part, shown))
            if rows != counts[kind]:
                raise ValueError(f"{shown}, {name}_{part}.txt has {rows} lines for {counts[kind]} {kind}s")


def _read(folder: Path, name: str, part: str, shown: str, columns: int | None = None) -> np.ndarray:
    """Numbers of a file, separated by commas, ``[rows, columns]``."""
    path, place = folder / f"{name}_{part}.txt", f"{shown}, {name}_{part}.txt"
    content = path.read_bytes().rstrip()
    try:
        rows = list(records(content.decode("utf-8").splitlines(keepends=True)))
    except UnicodeDecodeError as error:
        raise ValueError(f"{place}, line {undecodable_line(content, error)}: no text: {error.reason}") from error
    except csv.Error as error:
        raise ValueError(f"{place}, {error}") from error
    if not rows:
        raise ValueError(f"{place} is empty")
    width = len(rows[0][1])
    if columns is not None and width != columns:
        raise ValueError(f"{place} has {width} columns, expected {columns}")
    values = np.empty((len(rows), width))
    for number, (line, cells) in enumerate(rows):
        if line != number + 1:
            raise ValueError(f"{place}, line {number + 1}: '' is no number")  # rows go by their lines
        if len(cells) != width:
            raise ValueError(f"{place}, line {line}: {len(cells)} columns, and {width} in the first line")
        values[number] = [_number(cell, f"{place}, line {line}") for cell in cells]
    return values


def _number(cell: str, place: str) -> float:
    with suppress(ValueError):
        if math.isfinite(value := float(cell)) and "_" not in cell:
            return value
    raise ValueError(f"{place}: {cell!r} is no number")


def _check_whole(values: np.ndarray, place: str, kind: str, count: int) -> None:
    """Check that numbers of nodes or graphs, which begin with 1, are whole and in their range."""
    wrong = np.argwhere((values != np.floor(values)) | (values < 1) | (values > count))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(f"{place}, line {row + 1}: {values[row, column]:g} is not {kind} from 1 to {count}")
