"""Whether the raw tables of a set of OGB fit together, seen before they are taken in."""

import gzip
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

_CHUNK = 1 << 20


def check_tables(
    folder: Path,
    tables: Mapping[str, str],
    split: Path,
    shown: str | os.PathLike[str],
    words: Collection[str] = (),
) -> None:
    """Check that tables have as many rows as nodes, edges and graphs are stated, and that splits name graphs.

    Args:
        folder: Of the set.
        tables: Names of tables below ``raw``, and what they have a row for: ``"node"``, ``"edge"`` or ``"graph"``.
        split: Folder of the splits.
        shown: What to call the folder in messages.
        words: The tables that hold words; all others hold nothing but numbers.

    Raises:
        ValueError: If not; names the table.
    """
    nodes, edges = (_numbers(folder / "raw" / f"num-{kind}-list.csv.gz", shown)[:, 0] for kind in ("node", "edge"))
    if len(nodes) != len(edges) or min(nodes.min(initial=0), edges.min(initial=0)) < 0:
        raise ValueError(f"{shown} has numbers of nodes of {len(nodes)} graphs, and of edges of {len(edges)}")
    expected = {"node": int(nodes.sum()), "edge": int(edges.sum()), "graph": len(nodes)}
    for name, kind in tables.items():
        rows = _count_rows(folder / "raw" / f"{name}.csv.gz")
        if rows != expected[kind]:
            raise ValueError(f"{shown}/raw/{name}.csv.gz has {rows} rows for {expected[kind]} {kind}s")
        if name not in words:
            _check_numbers(folder / "raw" / f"{name}.csv.gz", shown)
    seen = np.zeros(len(nodes), dtype=np.int64)
    for path in sorted(split.glob("*.csv.gz")):
        numbers = _numbers(path, shown)[:, 0]
        wrong = numbers[(numbers < 0) | (numbers >= len(nodes))]
        if len(wrong):
            raise ValueError(f"{shown}/split/{split.name}/{path.name} names graph {wrong[0]} of {len(nodes)}")
        np.add.at(seen, numbers, 1)
    if seen.max(initial=0) > 1:
        raise ValueError(f"{shown}/split/{split.name} names graph {int(seen.argmax())} twice")


def check_edges(folder: Path, shown: str | os.PathLike[str]) -> None:
    """Check that both ends of each edge are nodes of its graph, numbered from 0.

    Args:
        folder: Of the set, whose tables have as many rows as they should.
        shown: What to call the folder in messages.

    Raises:
        ValueError: If not; names the line.
    """
    nodes, edges = (_numbers(folder / "raw" / f"num-{kind}-list.csv.gz", shown)[:, 0] for kind in ("node", "edge"))
    ends = _numbers(folder / "raw" / "edge.csv.gz", shown)
    graph = np.repeat(np.arange(len(edges)), edges)
    wrong = np.argwhere((ends < 0) | (ends >= nodes[graph][:, None]))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{shown}/raw/edge.csv.gz, line {row + 1}: {ends[row, column]} is no node of graph {graph[row]}, which has "
            f"{nodes[graph[row]]}"
        )


def _check_numbers(path: Path, shown: str | os.PathLike[str]) -> None:
    """Check that a table has nothing but numbers; cells may be empty."""
    table = _read(path, shown)
    for column in table:
        # One word among numbers makes all of them words.
        if not pd.api.types.is_numeric_dtype(table[column]) and not table[column].isna().all():
            cells = table[column].dropna()
            bad = cells[pd.to_numeric(cells, errors="coerce").isna() | cells.isin([True, False])]
            row = bad.index[0] if len(bad) else cells.index[0]
            raise ValueError(f"{_place(path, shown)}, line {row + 1}: {table[column][row]!r} is no number")


def _place(path: Path, shown: str | os.PathLike[str]) -> str:
    return f"{shown}/{path.parent.name}/{path.name}"


def _read(path: Path, shown: str | os.PathLike[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, header=None)
    except pd.errors.EmptyDataError:
        return pd.DataFrame(np.zeros((0, 2), dtype=np.int64))
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{_place(path, shown)} is no table of numbers: {error}") from error


def _numbers(path: Path, shown: str | os.PathLike[str]) -> np.ndarray:
    """A table of whole numbers, ``[rows, columns]``."""
    place, table = _place(path, shown), _read(path, shown)
    bad = [column for column in table if not pd.api.types.is_integer_dtype(table[column])]
    if bad:
        values = pd.to_numeric(table[bad[0]], errors="coerce")
        row = int(np.flatnonzero(~(values == values.round()))[0]) if not (values == values.round()).all() else 0
        raise ValueError(f"{place}, line {row + 1}: {table[bad[0]].iloc[row]!r} is no whole number")
    return table.to_numpy(np.int64)


def _count_rows(path: Path) -> int:
    rows, last = 0, b"\n"
    with gzip.open(path) as file:
        while chunk := file.read(_CHUNK):
            rows += chunk.count(b"\n")
            last = chunk[-1:]
    return rows + (last != b"\n")
