"""Which rows of a folder of DAGs stand in the way of its being sound, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd

from plstm_graph.datasets.dag_folder.assemble import graph_columns
from plstm_graph.datasets.dag_folder.cycles import edges_on_cycles, feedback_edges
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.tables import Frame
from plstm_graph.datasets.dag_folder.times import read_times

TimeDirection = Literal["later", "earlier"]
SameTime = Literal["keep", "drop"]

AGAIN = "the same row stands there before"
OTHER = "stands there before with other values; the first row stays"
NO_END = "an end of the edge is no node of its graph"
LOOP = "the edge leads from a node to itself"
AGAINST = "the edge runs against time"
SAME = "both ends have the same time"
CYCLE = "the edge closes a cycle"
NO_NODES = "the graph has no nodes"


@dataclass
class TimeRule:
    """Which edges respect time.

    Args:
        column: Column of the table of nodes with their times, numbers or dates.
        direction: Whether edges lead to ``"later"`` or to ``"earlier"`` nodes. (default: as most edges do)
        same: Whether edges between nodes of the same time stay, as far as they are on no cycle: ``"keep"``, ``"drop"``.

    Raises:
        ValueError: If there is no such direction or way.
    """

    column: str
    direction: TimeDirection | None = None
    same: SameTime = "keep"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("direction", self.direction, (*get_args(TimeDirection), None)),
            ("same", self.same, get_args(SameTime)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} of times must be one of {', '.join(filter(None, allowed))}, got {value!r}")


@dataclass
class Dropped:
    """Rows that are dropped for one reason.

    Attributes:
        table (str): Their table.
        reason (str): Why.
        rows (np.ndarray): Their numbers, ``[n]``, in order.
    """

    table: str
    reason: str
    rows: np.ndarray


@dataclass
class Cleaning:
    """What stays of the tables of a folder.

    Attributes:
        frames (dict[str, Frame]): The tables.
        keep (dict[str, np.ndarray]): Which of their rows stay, bool.
        dropped (list[Dropped]): The others, by reason, in the order in which they were found.
        notes (list[str]): What was decided on the way.
    """

    frames: dict[str, Frame]
    keep: dict[str, np.ndarray]
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, table: str, which: np.ndarray, reason: str) -> None:
        """Drop rows that have not been dropped yet: ``which`` is a mask over all rows of the table."""
        rows = np.flatnonzero(which & self.keep[table])
        if len(rows):
            self.keep[table][rows] = False
            self.dropped.append(Dropped(table, reason, rows))


def clean_frames(frames: dict[str, Frame], spec: Spec, time: TimeRule | None = None) -> Cleaning:
    """Find what to drop: rows without identifiers, rows that stand there twice, edges of unknown nodes, self-loops,
    edges against time, edges that close a cycle (see :func:`~.cycles.feedback_edges`), and graphs that then have no
    nodes.

    Args:
        frames: Tables by name; ``"nodes"`` and ``"graphs"`` may be left out.
        spec: Names the columns.
        time: Which edges respect time. (default: none is looked at)

    Raises:
        DAGFolderError: If a column is not there, or a time is neither a number nor a date.
    """
    found = Cleaning(frames, {name: np.ones(len(frame), dtype=bool) for name, frame in frames.items()})
    graph = _graphs(found, spec)
    ends, node = _nodes(found, spec, graph)
    edges = found.keep["edges"].copy()
    found.drop("edges", np.equal(*ends), LOOP)
    if node is not None:
        found.drop("edges", np.logical_or(*(ends < 0)), NO_END)
    found.drop("edges", _again(frames["edges"], edges), AGAIN)
    if time is not None:
        _against_time(found, ends, node, time)
    _cycles(found, ends)
    if "graphs" in frames:
        _empty_graphs(found, graph)
    return found


def _graphs(found: Cleaning, spec: Spec) -> dict[str, np.ndarray]:
    """Number of the graph of each row of each table; -1 where it is unknown. Drops rows without one."""
    frames = found.frames
    present = graph_columns(frames, spec)
    words = {
        name: frame.values[spec.table(name).graph] if name in present else pd.Series(["0"] * len(frame), dtype=object)
        for name, frame in frames.items()
    }
    codes, _ = pd.factorize(pd.concat([words[name] for name in frames], ignore_index=True))
    bounds = np.cumsum([len(frames[name]) for name in frames])[:-1]
    graph = dict(zip(frames, np.split(codes, bounds), strict=True))
    for name in frames:
        found.drop(name, graph[name] < 0, f"column {spec.table(name).graph!r} is empty")
    if "graphs" in frames:
        first = _first_of_each(graph["graphs"])
        found.drop("graphs", ~first & _again(frames["graphs"], found.keep["graphs"]), AGAIN)
        found.drop("graphs", ~first, f"the graph {OTHER}")
    origin = next(name for name in ("graphs", "nodes", "edges") if name in frames)
    known = graph[origin][found.keep[origin]]
    for name in frames:
        found.drop(name, ~np.isin(graph[name], known), f"there is no such graph in {frames[origin].file}")
    return graph


def _nodes(found: Cleaning, spec: Spec, graph: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """Numbers of the ends of each edge, ``[2, E]``, and of each row of nodes, if they have a table.

    With a table of nodes they are numbered in its order, so that ties go to the first; without, as edges name them.
    Ends that are unknown have negative numbers of their own, different ones for different names.
    """
    frames, table = found.frames, spec.edges
    columns = {"nodes": [spec.nodes.id], "edges": [table.source, table.target]}
    cells = {
        name: [frames[name].column(column, "an identifier") for column in columns[name]]
        for name in ("nodes", "edges")
        if name in frames
    }
    for name, parts in cells.items():
        for column, part in zip(columns[name], parts, strict=True):
            found.drop(name, part.isna().to_numpy(), f"column {column!r} is empty")
    names = [*cells.get("nodes", []), *cells["edges"]]
    codes, words = pd.factorize(pd.concat(names, ignore_index=True))
    of = np.concatenate([*([graph["nodes"]] if "nodes" in frames else []), graph["edges"], graph["edges"]])
    keys, number = np.unique(of * max(len(words), 1) + codes, return_inverse=True)
    count = len(frames["nodes"]) if "nodes" in frames else 0
    if "nodes" not in frames:
        order = pd.factorize(number)[0]  # by their first edge
        return order.reshape(2, -1), None
    node, ends = number[:count], number[count:].reshape(2, -1)
    kept = found.keep["nodes"].copy()
    first = np.zeros(count, dtype=bool)
    first[np.flatnonzero(kept)[~pd.Series(node[kept]).duplicated().to_numpy()]] = True
    found.drop("nodes", ~first & _again(frames["nodes"], kept), AGAIN)
    found.drop("nodes", ~first, f"the node {OTHER}")
    row = np.full(len(keys), -1)
    row[node[first]] = np.flatnonzero(first)
    return np.where(row[ends] < 0, -1 - ends, row[ends]), np.arange(count)


def _first_of_each(codes: np.ndarray) -> np.ndarray:
    return ~pd.Series(codes).duplicated().to_numpy()


def _again(frame: Frame, among: np.ndarray) -> np.ndarray:
    """Rows that are as another one before them, among some rows."""
    again = np.zeros(len(frame), dtype=bool)
    again[among] = frame.values[among].duplicated().to_numpy()
    return again


def _against_time(found: Cleaning, ends: np.ndarray, node: np.ndarray | None, rule: TimeRule) -> None:
    if node is None:
        raise ValueError(f"there is no table of nodes, which should have the column of times {rule.column!r}")
    times = read_times(found.frames["nodes"], rule.column, found.keep["nodes"])
    left = found.keep["edges"]
    start, end = (times[np.maximum(each, 0)] for each in ends)
    later, earlier, same = start < end, start > end, start == end
    counts = [int((which & left).sum()) for which in (later, earlier, same)]
    unknown = int(left.sum()) - sum(counts)
    direction = rule.direction or ("later" if counts[0] >= counts[1] else "earlier")
    by = "as --time_direction says" if rule.direction else "as most do; --time_direction says otherwise"
    found.notes.append(
        f"time {rule.column!r}: {counts[0]:,} edges lead to a later node, {counts[1]:,} to an earlier one, "
        f"{counts[2]:,} to one of the same time, {unknown:,} have an end without a time"
    )
    found.notes.append(f"edges lead to {direction} nodes, {by}; those without a time stay, if they close no cycle")
    found.drop("edges", earlier if direction == "later" else later, AGAINST)
    if rule.same == "drop":
        found.drop("edges", same, SAME)


def _cycles(found: Cleaning, ends: np.ndarray) -> None:
    left = np.flatnonzero(found.keep["edges"])
    nodes, inside = np.unique(ends[:, left], return_inverse=True)
    inside = inside.reshape(2, -1)
    back = feedback_edges(inside, len(nodes))
    if back.any():
        on_cycles = int(edges_on_cycles(inside, len(nodes)).sum())
        found.notes.append(
            f"cycles: {on_cycles:,} of {len(left):,} edges lie on cycles, {int(back.sum()):,} are dropped to break "
            "them, those that lead back in the order of Eades, Lin and Smyth"
        )
        closing = np.zeros(len(found.frames["edges"]), dtype=bool)
        closing[left[back]] = True
        found.drop("edges", closing, CYCLE)


def _empty_graphs(found: Cleaning, graph: dict[str, np.ndarray]) -> None:
    holder = "nodes" if "nodes" in found.frames else "edges"
    found.drop("graphs", ~np.isin(graph["graphs"], graph[holder][found.keep[holder]]), NO_NODES)


def rows_of_items(found: Cleaning, spec: Spec, table: str, rows: Sequence[int] | np.ndarray) -> list[tuple[str, str]]:
    """Graph and name of some rows: of a node, or the two ends of an edge.

    Args:
        found: The tables.
        spec: Names the columns.
        table: Table of the rows.
        rows: Their numbers.
    """
    frame, columns = found.frames[table].values.iloc[list(rows)].fillna(""), spec.table(table)
    graphs = frame[columns.graph].tolist() if columns.graph in frame.columns else [""] * len(frame)
    names = {"graphs": [], "nodes": [columns.id], "edges": [columns.source, columns.target]}[table]
    items = [" -> ".join(cells) for cells in frame[names].itertuples(index=False)] if names else [""] * len(frame)
    return list(zip(graphs, items, strict=True))
