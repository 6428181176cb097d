"""JSON lines in node-link form: one graph in each line, as nested exports have them."""

import gzip
import itertools
import json
import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.tables import Frame

NAMES = ("dags.jsonl", "dags.jsonl.gz")


def read_json_lines(path: Path, spec: Spec, chunk: int | None = None) -> Generator[dict[str, Frame], None, None]:
    """Read graphs in node-link form as the three tables they stand for.

    A line is ``{"graph": ID, "nodes": [{"id": ID, ...}], "edges": [{"source": ID, "target": ID, ...}], ...}``;
    ``links`` is another word for ``edges``, further keys are columns of the table of graphs, and nested objects become
    columns ``outer.inner``. What networkx writes (``node_link_data``) is read too: there, ``graph`` is an object, and
    its ``id`` or ``name`` is the identifier. Without an identifier a graph is named after its line.

    Args:
        path: The file, gzipped if its name ends in ``.gz``.
        spec: Names the columns.
        chunk: Number of graphs in each part. (default: all in one)

    Yields:
        Tables ``"graphs"``, ``"nodes"`` and ``"edges"`` of consecutive graphs.

    Raises:
        DAGFolderError: If a line is no such object; all lines of the part are looked at.
    """
    opened = gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")
    with opened as file:
        lines = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        empty = True
        try:
            while part := list(itertools.islice(lines, chunk)):
                empty = False
                yield _frames(part, path.name, spec)
        except UnicodeDecodeError as error:
            raise DAGFolderError([Problem(path.name, None, None, f"not UTF-8 text: {error.reason}")]) from error
        except (gzip.BadGzipFile, EOFError) as error:
            message = f"not a complete gzip file: {error}"
            raise DAGFolderError([Problem(path.name, None, None, message)]) from error
    if empty:
        raise DAGFolderError([Problem(path.name, None, None, "empty: one graph in each line was expected")])


def _frames(part: Sequence[tuple[int, str]], file: str, spec: Spec) -> dict[str, Frame]:
    rows: dict[str, list[dict[str, Any]]] = {"graphs": [], "nodes": [], "edges": []}
    lines: dict[str, list[int]] = {name: [] for name in rows}
    problems = []
    for line, text in part:
        try:
            found = _graph(json.loads(text), line, spec)
        except json.JSONDecodeError as error:
            problems.append(Problem(file, line, None, f"no JSON: {error.msg} (column {error.colno})"))
            continue
        except _ShapeError as error:
            problems.append(Problem(file, line, None, str(error)))
            continue
        for name, records in found.items():
            rows[name] += records
            lines[name] += [line] * len(records)
    if problems:
        raise DAGFolderError(problems)
    keys = {
        "graphs": [spec.graphs.graph],
        "nodes": [spec.nodes.graph, spec.nodes.id],
        "edges": [spec.edges.graph, spec.edges.source, spec.edges.target],
    }
    return {
        name: Frame(file, _text(rows[name], keys[name], spec.missing), None, np.array(lines[name])) for name in rows
    }


class _ShapeError(ValueError):
    """A JSON value of another shape than was expected."""


def _graph(value: Any, line: int, spec: Spec) -> dict[str, list[dict[str, Any]]]:
    """The rows of one graph in the three tables."""
    _expect(isinstance(value, Mapping), f"an object was expected, got {_kind(value)}")
    value = dict(value)
    attributes = value.pop(spec.graphs.graph, None)
    if isinstance(attributes, Mapping):
        value = {**attributes, **value}
        attributes = value.pop("id", value.pop("name", None))
    name = line if attributes is None else attributes
    _expect(isinstance(name, str | int), f"the identifier of the graph must be text or a whole number, got {name!r}")
    nodes, edges = value.pop("nodes", None), value.pop("edges", None)
    if edges is None:
        edges = value.pop("links", None)
    for word, items in (("nodes", nodes), ("edges", edges)):
        _expect(isinstance(items, list), f"{word!r} must be a list of objects, got {_kind(items)}")
    for key in ("directed", "multigraph"):
        _expect(value.pop(key, True) in (True, False), f"{key!r} must be true or false")
    rows = {"graphs": [{spec.graphs.graph: str(name), **_flat(value)}], "nodes": [], "edges": []}
    for number, node in enumerate(nodes):
        _expect(isinstance(node, Mapping), f"node {number} is {_kind(node)}, an object was expected")
        node = _flat(node)
        _expect("id" in node, f"node {number} has no 'id'")
        rows["nodes"].append({spec.nodes.graph: str(name), spec.nodes.id: node.pop("id"), **node})
    for number, edge in enumerate(edges):
        _expect(isinstance(edge, Mapping), f"edge {number} is {_kind(edge)}, an object was expected")
        edge = _flat(edge)
        for end in ("source", "target"):
            _expect(end in edge, f"edge {number} has no {end!r}")
        ends = {spec.edges.source: edge.pop("source"), spec.edges.target: edge.pop("target")}
        rows["edges"].append({spec.edges.graph: str(name), **ends, **edge})
    return rows


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as columns ``outer.inner``."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            _expect(not isinstance(item, list), f"{prefix}{key} is a list; each number or word needs a key of its own")
            flat[f"{prefix}{key}"] = item
    return flat


def _text(rows: list[dict[str, Any]], keys: Sequence[str], missing: Sequence[str]) -> pd.DataFrame:
    """Every cell as the text that a CSV would have."""
    names = list(dict.fromkeys([*keys, *(name for row in rows for name in row)]))
    absent = {"", *missing}
    columns = {name: [_cell(row.get(name), absent) for row in rows] for name in names}
    return pd.DataFrame(columns, columns=names, dtype=object)


def _cell(value: Any, missing: set[str]) -> str | float:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return np.nan
    if isinstance(value, bool):
        return str(int(value))
    text = value if isinstance(value, str) else repr(value)
    return np.nan if text in missing else text


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", type(None): "nothing"}.get(type(value), repr(value))


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise _ShapeError(message)
