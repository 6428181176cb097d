"""Copies of tables and JSON lines that lack some of their rows."""

import csv
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.cleaning import Cleaning
from plstm_graph.datasets.dag_folder.missing import MissingWords
from plstm_graph.datasets.dag_folder.tables import read_frame


def write_kept_rows(path: Path, new: Path, keep: np.ndarray) -> None:
    """Copy a table, some of its rows left out; the text of cells stays as it is.

    Args:
        path: A file ``.csv``, ``.csv.gz`` or ``.parquet``.
        new: The file to write, of the same kind.
        keep: Rows that stay, ``[R]``, bool.
    """
    if keep.all():
        shutil.copyfile(path, new)
    elif path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(pq.read_table(path).filter(keep), new)
    else:
        values = read_frame(path, MissingWords("")).values[keep]
        # A reader strips spaces before a cell that is not quoted.
        spaced = any(_text(values[name]).str.startswith(" ").any() for name in values.columns)
        quoting = csv.QUOTE_ALL if spaced else csv.QUOTE_MINIMAL
        values.to_csv(new, index=False, quoting=quoting, lineterminator="\n", encoding="utf-8")


def write_kept_lines(path: Path, new: Path, found: Cleaning) -> None:
    """Copy JSON lines, some of their graphs, nodes and edges left out; lines with nothing to drop stay as they are.

    Args:
        path: The file, gzipped if its name ends in ``.gz``.
        new: The file to write.
        found: What stays.
    """
    keep = {name: _by_line(found, name) for name in ("graphs", "nodes", "edges")}
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file, opener(new, "wt", encoding="utf-8", newline="\n") as kept:
        for number, text in enumerate(file, start=1):
            flags = {name: lines.get(number, []) for name, lines in keep.items()}
            if not text.strip() or not all(flags["graphs"]):
                continue
            if not all(flags["nodes"]) or not all(flags["edges"]):
                text = _without(text, flags) + "\n"
            kept.write(text)


def _by_line(found: Cleaning, name: str) -> dict[int, list[bool]]:
    """Which items of each line stay, in their order."""
    flags = pd.Series(found.keep[name]).groupby(found.frames[name].lines).agg(list)
    return dict(zip(flags.index.tolist(), flags.tolist(), strict=True))


def _without(text: str, flags: dict[str, list[bool]]) -> str:
    value = json.loads(text)
    for table, keys in (("nodes", ["nodes"]), ("edges", ["edges", "links"])):
        key = next(key for key in keys if value.get(key) is not None)
        value[key] = [item for item, stays in zip(value[key], flags[table], strict=True) if stays]
    return json.dumps(value, ensure_ascii=False)


def _text(cells: pd.Series) -> pd.Series:
    return cells.fillna("").astype(str)
