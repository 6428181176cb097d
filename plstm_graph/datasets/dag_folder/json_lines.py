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
from tqdm import tqdm

from plstm_graph.datasets.dag_folder.attributes import Attributes
from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.dag_folder.spec import NAME, Spec
from plstm_graph.datasets.dag_folder.tables import Frame
from plstm_graph.datasets.storage.archives import ArchiveError, check_gzip

NAMES = ("dags.jsonl", "dags.jsonl.gz")


def read_json_lines(path: Path, spec: Spec, chunk: int | None = None) -> Generator[dict[str, Frame], None, None]:
    """Read graphs in node-link form as the three tables they stand for.

    A line is ``{"graph": ID, "nodes": [{"id": ID, ...}], "edges": [{"source": ID, "target": ID, ...}], ...}``;
    ``links`` is another word for ``edges``, further keys are columns of the table of graphs; nested objects become
    columns ``outer.inner``, and lists ``x.0``, ``x.1``, .... What networkx writes (``node_link_data``) is read too:
    there, ``graph`` is an object, and its ``id`` or ``name`` is the identifier. Without an identifier a graph is named
    after its line.

    Args:
        path: The file, gzipped if its name ends in ``.gz``.
        spec: Names the columns.
        chunk: Number of graphs in each part. (default: all in one)

    Yields:
        Tables ``"graphs"``, ``"nodes"`` and ``"edges"`` of consecutive graphs.

    Raises:
        DAGFolderError: If a line is no such object; all lines of the part are looked at.
    """
    if path.suffix == ".gz":
        try:
            check_gzip(path, "the file")
        except ArchiveError as error:
            raise DAGFolderError([Problem(path.name, None, None, str(error))]) from error
    opened = gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")
    with opened as file:
        bar = tqdm(file, desc=f"reading {path.name}", unit=" lines", delay=2, disable=None)
        lines = ((number, line) for number, line in enumerate(bar, start=1) if line.strip())
        attributes = {name: Attributes() for name in ("graphs", "nodes", "edges")}
        empty = True
        try:
            while part := list(itertools.islice(lines, chunk)):
                empty = False
                yield _frames(part, path.name, spec, attributes)
        except UnicodeDecodeError as error:
            raise DAGFolderError([Problem(path.name, None, None, f"not UTF-8 text: {error.reason}")]) from error
    if empty:
        raise DAGFolderError([Problem(path.name, None, None, "empty: one graph in each line was expected")])


def _frames(
    part: Sequence[tuple[int, str]], file: str, spec: Spec, attributes: Mapping[str, Attributes]
) -> dict[str, Frame]:
    rows: dict[str, list[dict[str, Any]]] = {"graphs": [], "nodes": [], "edges": []}
    lines: dict[str, list[int]] = {name: [] for name in rows}
    problems = []
    for line, text in part:
        try:
            found = _graph(json.loads(text, object_pairs_hook=_object), line, spec, attributes)
        except json.JSONDecodeError as error:
            problems.append(Problem(file, line, None, f"no JSON: {error.msg} (column {error.colno})"))
            continue
        except RecursionError:
            problems.append(Problem(file, line, None, "objects or lists are nested too deeply"))
            continue
        except ValueError as error:  # also numbers of thousands of digits
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
        name: Frame(file, spec.missing_words(name).masked(_text(rows[name], keys[name])), None, np.array(lines[name]))
        for name in rows
    }


class _ShapeError(ValueError):
    """A JSON value of another shape than was expected."""


def _graph(value: Any, line: int, spec: Spec, attributes: Mapping[str, Attributes]) -> dict[str, list[dict[str, Any]]]:
    """The rows of one graph in the three tables."""
    _expect(isinstance(value, Mapping), f"an object was expected, got {_kind(value)}")
    value = dict(value)
    name = value.pop(spec.graphs.graph, None)
    if isinstance(name, Mapping):
        _expect(not (again := set(name) & set(value)), f"{min(again, default='')!r} is an attribute of the graph twice")
        value |= name
        name = value.pop("id", value.get("name"))
    name = line if name is None else name
    _expect(isinstance(name, str | int), f"the identifier of the graph must be text or a whole number, got {name!r}")
    nodes, edges = value.pop("nodes", None), value.pop("edges", None)
    if edges is None:
        edges = value.pop("links", None)
    for word, items in (("nodes", nodes), ("edges", edges)):
        _expect(isinstance(items, list), f"{word!r} must be a list of objects, got {_kind(items)}")
    for key in ("directed", "multigraph"):
        flag = value.pop(key, True)
        _expect(isinstance(flag, bool), f"{key!r} must be true or false, got {flag!r}")
        _expect(flag or key != "directed", "'directed' is false; a DAG needs directed edges")
    rows: dict[str, list[dict[str, Any]]] = {"graphs": [], "nodes": [], "edges": []}

    def add(table: str, keys: dict[str, Any], values: Mapping[str, Any], where: str) -> None:
        cells = attributes[table].cells(values, where)
        for key in keys:
            _expect(
                key not in cells,
                f"{where} has an attribute {key!r}, as the column of its structure is called; rename one of them, the "
                f"column in {NAME}",
            )
        rows[table].append(keys | cells)

    add("graphs", {spec.graphs.graph: str(name)}, value, "the graph")
    for number, node in enumerate(nodes):
        _expect(isinstance(node, Mapping), f"node {number} is {_kind(node)}, an object was expected")
        _expect("id" in node, f"node {number} has no 'id'")
        own = {key: item for key, item in node.items() if key != "id"}
        add("nodes", {spec.nodes.graph: str(name), spec.nodes.id: node["id"]}, own, f"node {number}")
    for number, edge in enumerate(edges):
        _expect(isinstance(edge, Mapping), f"edge {number} is {_kind(edge)}, an object was expected")
        for end in ("source", "target"):
            _expect(end in edge, f"edge {number} has no {end!r}")
        ends = {spec.edges.source: edge["source"], spec.edges.target: edge["target"]}
        own = {key: item for key, item in edge.items() if key not in ("source", "target")}
        add("edges", {spec.edges.graph: str(name), **ends}, own, f"edge {number}")
    return rows


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, each of whose keys stands there once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _ShapeError(f"an object has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return found


def _text(rows: list[dict[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Every cell as the text that a CSV would have."""
    names = list(dict.fromkeys([*keys, *(name for row in rows for name in row)]))
    columns = {name: [_cell(row.get(name)) for row in rows] for name in names}
    return pd.DataFrame(columns, columns=names, dtype=object)


def _cell(value: Any) -> str | float:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return np.nan
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else repr(value)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", type(None): "nothing"}.get(type(value), repr(value))


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise _ShapeError(message)
