"""Folders of DAGs from PyG graphs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from plstm_graph.datasets.dag_folder.attributes import identifier
from plstm_graph.datasets.dag_folder.names import graph_names
from plstm_graph.datasets.dag_folder.pyg_attributes import labels_of, mask_names, rows_of, split_words, tables_of
from plstm_graph.datasets.dag_folder.spec import Level, Task
from plstm_graph.datasets.dag_folder.write import Tables, free_name, write_tables

# Written, but no feature: it orders atoms, and a number of it means nothing beside another molecule's.
_NO_FEATURES = ("canonical_rank",)


def write_dag_folder(
    graphs: Iterable[Data],
    folder: str | Path,
    *,
    task: Task = "regression",
    level: Level = "graph",
    target_names: Sequence[str] | None = None,
    node_features: Sequence[str] | None = None,
    edge_features: Sequence[str] | None = None,
    split: Mapping[str, Sequence[int] | Tensor] | None = None,
    raw: bool = False,
) -> None:
    """Write PyG graphs as a folder of DAGs (``edges.csv``, ``nodes.csv``, ``graphs.csv``, ``dag.yaml``).

    Floating-point columns of ``x`` and ``edge_attr`` become numbers, integer ones categories. Other attributes keep
    their names: those of nodes and edges (``pos``, ``edge_weight``) become features, ``pos.0``, ``pos.1`` where they
    have several columns, and those of graphs (``name``, ``smiles``) columns of the table of graphs. ``train_mask``,
    ``val_mask`` and ``test_mask`` become the split. What :class:`~plstm_graph.transforms.ToDAG` attached is left out,
    as reading computes it. The folder appears at once, when everything is written and has passed the checks of
    ``plstm-graph check``.

    Args:
        graphs: DAGs with ``edge_index``, ``x`` and ``edge_attr`` if there are any, and ``y``. ``graph_id`` and
            ``node_id`` name them, else ``name`` if each graph has one of its own, else their numbers do.
        folder: A folder that does not exist yet, or is empty.
        task: ``"regression"``, ``"classification"`` or ``"multilabel"``.
        level: What ``y`` belongs to: ``"graph"``, ``"node"`` or ``"edge"``.
        target_names: Names of the columns of ``y``. (default: ``y``, or ``y0``, ``y1``, ...)
        node_features: Names of the columns of ``x``. (default: ``x0``, ``x1``, ...)
        edge_features: Names of the columns of ``edge_attr``. (default: ``e0``, ``e1``, ...)
        split: Numbers of the graphs in ``"train"``, ``"valid"`` and ``"test"``. (default: the masks, if there are any,
            else a random split)
        raw: Whether numbers of ``x`` and ``edge_attr`` are of kind ``raw``: they enter a model as they are, and are not
            standardised.

    Raises:
        FileExistsError: If the folder has something in it.
        ValueError: If a graph lacks something, its parts do not fit together, or an attribute cannot be kept; it names
            the graph and the attribute.
        DAGFolderError: If the graphs do not pass the checks, for example because of a cycle.
    """
    graphs = list(graphs)
    for number, data in enumerate(graphs):
        if not isinstance(data, Data):
            raise ValueError(f"graph {number} is a {type(data).__name__}; a torch_geometric.data.Data is needed")
        if isinstance(data, Batch):
            raise ValueError(f"graph {number} is a batch of graphs; batch.to_data_list() gives them one by one")
    names = graph_names([data.get("graph_id") for data in graphs], [data.get("name") for data in graphs])
    for data, name in zip(graphs, names, strict=True):
        _check_edges(data, name)
    extra, masks, parts = tables_of(graphs, names), mask_names(graphs), _parts(split, names)
    if masks and parts is not None:
        raise ValueError(f"the graphs have {masks[0]}, and split is given too: leave out one of them")
    given = [*extra, *(node_features or ()), *(edge_features or ()), *(target_names or ())]
    split_name = None if parts is None and not masks else free_name("split", given)

    tables, whole = Tables(), _Whole(raw)
    targets: list[str] = []
    for number, (data, name) in enumerate(zip(graphs, names, strict=True)):
        graph = _Graph(data, name)
        _add_matrix(graph, "nodes", "x", "x", node_features, whole)
        _add_matrix(graph, "edges", "edge_attr", "e", edge_features, whole)
        for key, table in extra.items():
            value = data.get(key)
            if value is not None:
                whole.note(table, [key], value)
                graph.add(
                    table, [key], [[each] for each in ([_single(value)] if table == "graphs" else rows_of(value))]
                )
        labels = labels_of(data.get("y"), level, graph.counts[f"{level}s"], name)
        columns = _columns(target_names, "y", len(labels[0]) if labels else len(targets), "y", name)
        if targets and columns != targets:
            raise ValueError(f"graph {name} has {len(columns)} targets, but graph {names[0]} has {len(targets)}")
        targets = columns
        labels = labels if task == "regression" else [[_label(value, name) for value in row] for row in labels]
        graph.add(f"{level}s", targets, labels)
        if split_name is not None and parts is not None:
            graph.add("graphs", [split_name], [[parts[number]]])
        elif split_name is not None:
            words = split_words(data, masks, level, graph.counts[f"{level}s"], name)
            graph.add(f"{level}s", [split_name], [[word] for word in words])
        graph.write(tables)
    whole.finish(tables)
    write_tables(folder, tables, task, level, targets, split_name)


class _Graph:
    """The rows of one graph, which get column after column."""

    def __init__(self, data: Data, name: str) -> None:
        assert data.num_nodes is not None
        self.data, self.name = data, name
        self.counts = {"graphs": 1, "nodes": data.num_nodes, "edges": data.num_edges}
        self.rows: dict[str, list[dict[str, Any]]] = {
            table: [{} for _ in range(count)] for table, count in self.counts.items()
        }

    def add(self, table: str, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> None:
        """Add columns, ``values`` by rows."""
        there = self.rows[table][0] if self.rows[table] else {}
        again = [column for number, column in enumerate(columns) if column in there or column in columns[:number]]
        if again:
            raise ValueError(
                f"graph {self.name}: {table} would have two columns {again[0]!r}; node_features, edge_features and "
                "target_names give other names"
            )
        for row, cells in zip(self.rows[table], values, strict=True):
            row.update(zip(columns, cells, strict=True))

    def write(self, tables: Tables) -> None:
        """Add the rows to the tables of the folder."""
        given = self.data.get("node_id")
        given = range(self.counts["nodes"]) if given is None else rows_of(given)
        ids = [identifier(word, f"node {number} of graph {self.name}") for number, word in enumerate(given)]
        if len(ids) != self.counts["nodes"]:
            raise ValueError(f"graph {self.name} has {len(ids)} names in node_id, but {self.counts['nodes']} nodes")
        tables.graphs.add((self.name,), self.rows["graphs"][0], f"graph {self.name}")
        for node, values in zip(ids, self.rows["nodes"], strict=True):
            tables.nodes.add((self.name, node), values, f"node {node} of graph {self.name}")
        assert self.data.edge_index is not None
        for (start, end), values in zip(self.data.edge_index.t().tolist(), self.rows["edges"], strict=True):
            ends = ids[start], ids[end]
            tables.edges.add((self.name, *ends), values, f"edge {ends[0]} -> {ends[1]} of graph {self.name}")


class _Whole:
    """Which attributes have whole numbers in all graphs: they are categories, as in ``x``; others may be raw."""

    def __init__(self, raw: bool) -> None:
        self._raw = raw
        self._found: dict[tuple[str, str], bool] = {}

    def note(self, table: str, columns: Sequence[str], values: Any) -> None:
        is_whole = isinstance(values, Tensor) and not values.is_floating_point()
        for column in columns:
            self._found[table, column] = self._found.get((table, column), True) and is_whole

    def finish(self, tables: Tables) -> None:
        for (table, name), is_whole in self._found.items():
            for column in getattr(tables, table).attributes.parts(name):
                if is_whole and "weight" not in name:
                    tables.kinds[table, column] = "category"
                elif self._raw and getattr(tables, table).attributes.kind(column) == "number":
                    tables.kinds[table, column] = "raw"
                if name in _NO_FEATURES:
                    tables.kept.add((table, column))


def _add_matrix(graph: _Graph, table: str, key: str, letter: str, names: Sequence[str] | None, whole: _Whole) -> None:
    """Add the columns of ``x`` or ``edge_attr``, if the graph has it."""
    if graph.data.get(key) is not None:
        matrix = _matrix(graph.data[key], key, graph.counts[table], f"graph {graph.name}", table)
        columns = _columns(names, letter, matrix.size(1), key, graph.name)
        whole.note(table, columns, matrix)
        graph.add(table, columns, matrix.tolist())


def _check_edges(data: Data, name: str) -> None:
    ends = data.edge_index
    if ends is None or data.num_nodes is None:
        raise ValueError(f"graph {name} has no edge_index")
    if not isinstance(ends, Tensor) or ends.dim() != 2 or ends.size(0) != 2 or ends.dtype not in _WHOLE_TYPES:
        found = f"{list(ends.shape)}, {ends.dtype}" if isinstance(ends, Tensor) else f"type {type(ends).__name__}"
        raise ValueError(f"graph {name} has an edge_index of {found}; a tensor [2, E], int64, is needed")
    outside = ends[(ends < 0) | (ends >= data.num_nodes)]
    if len(outside):
        raise ValueError(f"graph {name} has an edge of node {int(outside[0])}, but only {data.num_nodes} nodes")


def _parts(split: Mapping[str, Sequence[int] | Tensor] | None, names: Sequence[str]) -> list[str] | None:
    """The part of each graph; ``"none"`` for those that are in none."""
    if split is None:
        return None
    parts = ["none"] * len(names)
    for part, numbers in split.items():
        for number in map(int, numbers):
            if not 0 <= number < len(names):
                raise ValueError(f"split[{part!r}] has {number}, but the {len(names)} graphs count from 0")
            if parts[number] not in ("none", part):
                raise ValueError(f"graph {names[number]} is in split[{parts[number]!r}] and in split[{part!r}]")
            parts[number] = part
    return parts


def _columns(names: Sequence[str] | None, letter: str, count: int, key: str, graph: str) -> list[str]:
    if names is None:
        return ["y"] if letter == "y" and count == 1 else [f"{letter}{column}" for column in range(count)]
    if len(names) != count:
        raise ValueError(f"graph {graph}: {key} has {count} columns, but {len(names)} names were given")
    return list(names)


def _matrix(values: Any, key: str, count: int, graph: str, table: str) -> Tensor:
    try:
        matrix = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{graph} has {key} of type {type(values).__name__}; a tensor is needed") from error
    if matrix.layout != torch.strided or matrix.is_complex():
        raise ValueError(f"{graph} has {key} that is sparse or complex; a dense tensor of real numbers is needed")
    if matrix.dim() == 0 or matrix.size(0) != count:
        raise ValueError(f"{graph} has {key} {list(matrix.shape)}, but {count} {table}")
    matrix = matrix.detach().cpu().reshape(count, -1) if count else matrix.reshape(0, matrix[:1].numel() or 0)
    return matrix.long() if matrix.dtype == torch.bool else matrix


def _single(value: Any) -> Any:
    """An attribute of a graph without the leading 1 by which batches stack it."""
    is_stacked = isinstance(value, Tensor) and value.dim() > 0 and value.size(0) == 1
    return value[0] if is_stacked else value


def _label(value: Any, name: str) -> Any:
    """Labels are words or whole numbers; NaN is an unknown one."""
    if not isinstance(value, float) or value != value:
        return value
    if not value.is_integer():
        raise ValueError(f"graph {name} has y {value!r}; labels are whole numbers or words")
    return int(value)


_WHOLE_TYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
