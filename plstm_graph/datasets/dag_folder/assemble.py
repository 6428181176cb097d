"""From tables to numbered graphs, nodes and edges, with everything that does not fit together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.tables import Frame
from plstm_graph.graph.levels import CycleError, longest_path_levels

_SHOWN = 10  # problems of one kind that are listed one by one
_ONLY_GRAPH = "0"


@dataclass
class Dags:
    """Graphs of a folder, numbered; nodes and edges of one graph follow each other.

    Attributes:
        spec (Spec): What the folder says of itself.
        frames (dict[str, Frame]): Its tables.
        graph_ids (np.ndarray): Identifier of each graph, ``[B]``.
        node_ids (np.ndarray): Identifier of each node, ``[N]``.
        node_graph (np.ndarray): Graph of each node, ``[N]``.
        edge_graph (np.ndarray): Graph of each edge, ``[E]``.
        edge_index (np.ndarray): Start and end of each edge, nodes numbered over all graphs, ``[2, E]``.
        rows (dict[str, np.ndarray]): Row of each graph, node and edge in its table.
        level (np.ndarray): Longest-path level of each node, ``[N]``; empty while there are cycles.
        problems (list[Problem]): What is wrong.
        is_piece (bool): Whether these are some of the graphs of a folder that is read piece by piece.
    """

    spec: Spec
    frames: dict[str, Frame]
    graph_ids: np.ndarray
    node_ids: np.ndarray
    node_graph: np.ndarray
    edge_graph: np.ndarray
    edge_index: np.ndarray
    rows: dict[str, np.ndarray]
    level: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    problems: list[Problem] = field(default_factory=list)
    is_piece: bool = False

    @property
    def num_graphs(self) -> int:
        """Number of graphs ``B``."""
        return len(self.graph_ids)

    def graph_of(self, name: str) -> np.ndarray:
        """Graph of each item of table ``"graphs"``, ``"nodes"`` or ``"edges"``."""
        if name == "graphs":
            return np.arange(self.num_graphs)
        return self.node_graph if name == "nodes" else self.edge_graph

    def column(self, name: str, column: str, part: str) -> pd.Series:
        """A column of a table, one cell for each graph, node or edge, in their order.

        Args:
            name: Name of the table.
            column: Name of the column.
            part: What it is for, for the message.

        Raises:
            DAGFolderError: If there is no such table or column.
        """
        if name not in self.frames:
            raise DAGFolderError([Problem("dag.yaml", None, None, f"{part} {column!r} needs a table of {name}")])
        return self.frames[name].column(column, part).iloc[self.rows[name]].reset_index(drop=True)

    def report(self, name: str, items: np.ndarray, message: Callable[[int], str]) -> None:
        """Note problems with graphs, nodes or edges.

        Args:
            name: Table of the items.
            items: Their numbers.
            message: Says of an item what is wrong with it.
        """
        frame, graph, rows = self.frames[name], self.graph_of(name), self.rows[name]
        order = np.argsort(rows[items], kind="stable")[:_SHOWN]
        for item in items[order].tolist():
            self.problems.append(frame.problem(int(rows[item]), message(item), str(self.graph_ids[graph[item]])))
        if len(items) > _SHOWN:
            self.problems.append(Problem(frame.file, None, None, f"and {len(items) - _SHOWN:,} more like the last"))


def assemble(frames: dict[str, Frame], spec: Spec, is_piece: bool = False) -> Dags:
    """Number graphs, nodes and edges, and find what does not fit together.

    Args:
        frames: Tables by name; ``"nodes"`` and ``"graphs"`` may be left out.
        spec: Names the columns.
        is_piece: Whether these are some of the graphs of a folder that is read piece by piece.

    Returns:
        The graphs, with problems such as unknown nodes, nodes that stand twice, and cycles. Rows with a problem are
        left out.

    Raises:
        DAGFolderError: If a column is not there.
    """
    problems: list[Problem] = []
    present = graph_columns(frames, spec)
    cells = {name: _keys(frames[name], spec, name, name in present, problems) for name in frames}
    graph_ids, graph_codes, graph_row = _number_graphs(frames, cells, problems)
    graph_of = {name: _codes(graph_codes, cells[name]["graph"]) for name in frames if name != "graphs"}
    _unknown_graphs(frames, cells, graph_of, problems)

    names = pd.concat([cells["edges"]["source"], cells["edges"]["target"], *_ids(cells)], ignore_index=True)
    codes, words = pd.factorize(names)
    num_edges, width = len(frames["edges"]), max(len(words), 1)
    source, target, node = codes[:num_edges], codes[num_edges : 2 * num_edges], codes[2 * num_edges :]
    edge_row = np.flatnonzero((graph_of["edges"] >= 0) & (source >= 0) & (target >= 0))
    edge_row = edge_row[np.argsort(graph_of["edges"][edge_row], kind="stable")]
    edge_graph = graph_of["edges"][edge_row]
    ends = edge_graph * width + np.stack([source[edge_row], target[edge_row]])

    if "nodes" in frames:
        node_row = np.flatnonzero((graph_of["nodes"] >= 0) & (node >= 0))
        node_row = node_row[np.argsort(graph_of["nodes"][node_row], kind="stable")]
        keys = graph_of["nodes"][node_row] * width + node[node_row]
        first = ~pd.Series(keys).duplicated().to_numpy()
        again, again_keys = node_row[~first], keys[~first]
        node_row, keys = node_row[first], keys[first]
    else:
        again = again_keys = np.zeros(0, dtype=np.int64)
        node_row = np.zeros(0, dtype=np.int64)
        keys = pd.unique(ends.T.reshape(-1))
        keys = keys[np.argsort(keys // width, kind="stable")]
    positions = pd.Index(keys).get_indexer(ends.reshape(-1)).reshape(2, -1)
    known = (positions >= 0).all(axis=0)
    dags = Dags(
        spec,
        frames,
        graph_ids,
        words.to_numpy()[keys % width] if len(words) else np.zeros(0, dtype=object),
        keys // width,
        edge_graph[known],
        positions[:, known],
        {"graphs": graph_row, "nodes": node_row, "edges": edge_row[known]},
        problems=problems,
        is_piece=is_piece,
    )
    _repeated_nodes(dags, again, again_keys, keys)
    _unknown_nodes(dags, edge_row[~known], positions[:, ~known])
    _find_loops(dags)
    _find_cycles(dags)
    return dags


def graph_columns(frames: dict[str, Frame], spec: Spec) -> list[str]:
    """Tables that say which graph a row belongs to: all of them, or none if there is only one graph."""
    present = [name for name in frames if spec.table(name).graph in frames[name].values.columns]
    if present and len(present) < len(frames):
        lacking = next(name for name in frames if name not in present)
        frames[lacking].column(spec.table(lacking).graph, f"the graph, which {frames[present[0]].file} has too")
    if not present and "graphs" in frames and len(frames["graphs"]) > 1:
        frames["graphs"].column(spec.graphs.graph, "the graph")
    return present


def _keys(frame: Frame, spec: Spec, name: str, has_graph: bool, problems: list[Problem]) -> dict[str, pd.Series]:
    """The identifiers in a table; those that are missing are noted."""
    table = spec.table(name)
    columns = {"nodes": {"id": table.id}, "edges": {"source": table.source, "target": table.target}}.get(name, {})
    found = {part: frame.column(column, part) for part, column in columns.items()}
    if has_graph:
        found["graph"] = frame.column(table.graph, "the graph")
    else:
        found["graph"] = pd.Series([_ONLY_GRAPH] * len(frame), dtype=object)
    for part, cells in found.items():
        column = {**columns, "graph": table.graph}[part]
        rows = np.flatnonzero(cells.isna().to_numpy())
        problems += [
            frame.problem(row, f"column {column!r} is empty, an identifier was expected") for row in rows[:_SHOWN]
        ]
        if len(rows) > _SHOWN:
            problems.append(Problem(frame.file, None, None, f"and {len(rows) - _SHOWN:,} more rows without {column!r}"))
    return found


def _number_graphs(
    frames: dict[str, Frame], cells: dict[str, dict[str, pd.Series]], problems: list[Problem]
) -> tuple[np.ndarray, pd.Index, np.ndarray]:
    """Identifiers of graphs in order, as an index, and their rows in the table of graphs."""
    origin = next(name for name in ("graphs", "nodes", "edges") if name in frames)
    words = cells[origin]["graph"].dropna()
    if origin == "graphs":
        again = words[words.duplicated()]
        problems += [
            frames["graphs"].problem(row, "this graph stands in the table twice", str(word))
            for row, word in list(again.items())[:_SHOWN]
        ]
        words = words.drop_duplicates()
    elif origin == "nodes" or origin == "edges":
        words = words.drop_duplicates()
    index = pd.Index(words.to_numpy())
    return index.to_numpy(), index, words.index.to_numpy() if origin == "graphs" else np.zeros(0, dtype=np.int64)


def _codes(index: pd.Index, cells: pd.Series) -> np.ndarray:
    """Number of the graph of each row; -1 for an unknown one. Graphs repeat, so each is looked up once."""
    codes, words = pd.factorize(cells)
    numbers = index.get_indexer(pd.Index(words)) if len(words) else np.zeros(0, dtype=np.int64)
    return np.where(codes >= 0, numbers[codes], -1) if len(words) else np.full(len(cells), -1)


def _unknown_graphs(
    frames: dict[str, Frame],
    cells: dict[str, dict[str, pd.Series]],
    graph_of: dict[str, np.ndarray],
    problems: list[Problem],
) -> None:
    for name, numbers in graph_of.items():
        words = cells[name]["graph"]
        rows = np.flatnonzero((numbers < 0) & words.notna().to_numpy())
        origin = next(iter(frames.values())).file
        problems += [
            frames[name].problem(row, f"{origin} has no such graph", str(words.iloc[row])) for row in rows[:_SHOWN]
        ]
        if len(rows) > _SHOWN:
            problems.append(
                Problem(frames[name].file, None, None, f"and {len(rows) - _SHOWN:,} more of unknown graphs")
            )


def _ids(cells: dict[str, dict[str, pd.Series]]) -> Sequence[pd.Series]:
    return [cells["nodes"]["id"]] if "nodes" in cells else []


def _repeated_nodes(dags: Dags, again: np.ndarray, again_keys: np.ndarray, keys: np.ndarray) -> None:
    if not len(again):
        return
    frame, first = dags.frames["nodes"], pd.Index(keys).get_indexer(again_keys)
    for row, node in list(zip(again.tolist(), first.tolist(), strict=True))[:_SHOWN]:
        line = int(frame.lines[dags.rows["nodes"][node]])
        graph = str(dags.graph_ids[dags.node_graph[node]])
        where = "" if line == frame.lines[row] else f", first in line {line}"
        dags.problems.append(frame.problem(row, f"node {dags.node_ids[node]} stands twice{where}", graph))
    if len(again) > _SHOWN:
        dags.problems.append(
            Problem(frame.file, None, None, f"and {len(again) - _SHOWN:,} more nodes that stand twice")
        )


def _unknown_nodes(dags: Dags, rows: np.ndarray, positions: np.ndarray) -> None:
    frame, spec = dags.frames["edges"], dags.spec.edges
    has_graph = spec.graph in frame.values.columns
    for row, (start, _) in list(zip(rows.tolist(), positions.T.tolist(), strict=True))[:_SHOWN]:
        cells = frame.values.iloc[row]
        end, name = ("source", cells[spec.source]) if start < 0 else ("target", cells[spec.target])
        graph = str(cells[spec.graph]) if has_graph else None
        message = f"{end} {name} is no node of this graph in {dags.frames['nodes'].file}"
        if dags.is_piece:
            message += " among its rows that follow each other; a set that is read piece by piece needs them together"
        dags.problems.append(frame.problem(row, message, graph))
    if len(rows) > _SHOWN:
        dags.problems.append(Problem(frame.file, None, None, f"and {len(rows) - _SHOWN:,} more edges of unknown nodes"))


def _find_loops(dags: Dags) -> None:
    """Note self-loops and leave them out, so that longer cycles are found too."""
    loops = dags.edge_index[0] == dags.edge_index[1]
    if loops.any():
        ids = dags.node_ids
        dags.report(
            "edges",
            np.flatnonzero(loops),
            lambda edge: f"a cycle: node {ids[dags.edge_index[0, edge]]} has an edge to itself",
        )
        _keep_edges(dags, ~loops)


def _find_cycles(dags: Dags) -> None:
    """Levels of all nodes; or one cycle of each of the first graphs that have any, as a path."""
    whole = dags.edge_index, dags.edge_graph
    for _ in range(_SHOWN):
        try:
            level = longest_path_levels(torch.from_numpy(np.ascontiguousarray(dags.edge_index)), len(dags.node_ids))
        except CycleError as error:
            _report_cycle(dags, error.cycle)
            _keep_edges(dags, dags.edge_graph != dags.node_graph[error.cycle[0]])
        else:
            if dags.edge_index is whole[0]:
                dags.level = level.numpy()
            return
    dags.problems.append(Problem(dags.frames["edges"].file, None, None, "there may be more graphs with cycles"))


def _report_cycle(dags: Dags, cycle: list[int]) -> None:
    """Note a cycle at its edge that comes last in the file, which closes it."""
    following = np.full(len(dags.node_ids), -1)
    following[cycle] = [*cycle[1:], cycle[0]]
    start, end = dags.edge_index
    edges = np.flatnonzero(following[start] == end)
    closing = edges[np.argmax(dags.rows["edges"][edges])]
    first = cycle.index(int(end[closing]))
    words = [str(dags.node_ids[node]) for node in [*cycle[first:], *cycle[: first + 1]]]
    if len(words) > 13:
        words = [*words[:6], "...", *words[-6:]]
    message = f"a cycle of {len(cycle)} nodes: {' -> '.join(words)}"
    dags.report("edges", np.array([closing]), lambda edge: message)


def _keep_edges(dags: Dags, keep: np.ndarray) -> None:
    dags.edge_index, dags.edge_graph = dags.edge_index[:, keep], dags.edge_graph[keep]
    dags.rows = dags.rows | {"edges": dags.rows["edges"][keep]}
