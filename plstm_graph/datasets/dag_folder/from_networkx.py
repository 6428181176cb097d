"""Folders of DAGs from networkx graphs."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plstm_graph.datasets.dag_folder.attributes import AttributeValueError, identifier
from plstm_graph.datasets.dag_folder.names import graph_names
from plstm_graph.datasets.dag_folder.spec import Level, Task
from plstm_graph.datasets.dag_folder.write import Tables, free_name, write_tables

if TYPE_CHECKING:
    import networkx


def from_networkx(
    graphs: "Iterable[networkx.DiGraph]",
    folder: str | Path,
    *,
    targets: Sequence[str],
    task: Task = "regression",
    level: Level = "graph",
    split: str | None = None,
) -> None:
    """Write directed networkx graphs as a folder of DAGs; attributes of graphs, nodes and edges become columns.

    A graph is named by its attribute ``graph``, else by its ``name`` if each has one of its own, else by its number.
    A vector ``x`` becomes columns ``x.0``, ``x.1``, ...; nested attributes become ``outer.inner``. Attributes may have
    any name: where one is called like a column of structure, such as ``source``, that column gets another name, and
    ``dag.yaml`` says which. Keys of a multigraph that are not networkx's own numbers become the attribute ``key``.

    Args:
        graphs: Directed graphs, also multigraphs.
        folder: A folder that does not exist yet, or is empty.
        targets: Attributes to predict; a vector stands for all its places.
        task: ``"regression"``, ``"classification"`` or ``"multilabel"``.
        level: What has these attributes: ``"graph"``, ``"node"`` or ``"edge"``.
        split: Attribute of graphs (or of what has the targets) with train, valid, test or none. (default: a random
            split)

    Raises:
        FileExistsError: If the folder has something in it.
        ValueError: If a graph is undirected, two graphs or two nodes of one have the same name as text, or an
            attribute cannot be kept; it names graph, node or edge, and the attribute.
        DAGFolderError: If the graphs do not pass the checks of ``plstm-graph check``.
    """
    graphs = list(graphs)
    for number, graph in enumerate(graphs):
        if not hasattr(graph, "is_directed"):
            raise ValueError(f"graph {number} is a {type(graph).__name__}; a DAG needs a networkx.DiGraph")
        if not graph.is_directed():
            raise ValueError(f"graph {number} is undirected; a DAG needs a networkx.DiGraph")
    named = [graph.graph.get("graph") for graph in graphs]
    named = [None if isinstance(name, Mapping) else name for name in named]
    names = graph_names(named, [graph.graph.get("name") for graph in graphs])
    key_name = _key_name(graphs)
    tables = Tables()
    for graph, own, name in zip(graphs, named, names, strict=True):
        attributes = {key: value for key, value in graph.graph.items() if key != "graph" or own is None}
        tables.graphs.add((name,), attributes, f"graph {name}")
        ids = _node_names(graph, name)
        for node, values in graph.nodes(data=True):
            tables.nodes.add((name, ids[node]), values, f"node {ids[node]} of graph {name}")
        for start, end, key, values in _edges(graph):
            ends = ids[start], ids[end]
            values = values if key_name is None else {**values, key_name: key}
            tables.edges.add((name, *ends), values, f"edge {ends[0]} -> {ends[1]} of graph {name}")
    write_tables(folder, tables, task, level, targets, split)


def _node_names(graph: "networkx.DiGraph", name: str) -> dict[Hashable, str]:
    """Text of each node, which must be one of its own."""
    names = {node: identifier(node, f"a node of graph {name}") for node in graph}
    if len(set(names.values())) < len(names):
        first: dict[str, Hashable] = {}
        for node, text in names.items():
            if first.setdefault(text, node) is not node:
                raise AttributeValueError(
                    f"graph {name} has nodes {first[text]!r} and {node!r}, which are both {text!r} in a file; "
                    "networkx.relabel_nodes gives them names of their own"
                )
    return names


def _edges(graph: "networkx.DiGraph") -> Iterable[tuple[Hashable, Hashable, Any, Mapping[str, Any]]]:
    if graph.is_multigraph():
        return graph.edges(keys=True, data=True)
    return ((start, end, None, values) for start, end, values in graph.edges(data=True))


def _key_name(graphs: "Sequence[networkx.DiGraph]") -> str | None:
    """Name for the keys of edges; None if they only number parallel ones."""
    multigraphs = [graph for graph in graphs if graph.is_multigraph()]
    for graph in multigraphs:
        for start, end in set(graph.edges()):
            keys = graph[start][end]
            if set(keys) != set(range(len(keys))):
                break
        else:
            continue
        taken = {str(name) for graph in graphs for _, _, values in graph.edges(data=True) for name in values}
        return free_name("key", list(taken))
    return None
