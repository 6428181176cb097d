"""The line graph that a layer or model runs on: the one it was given, if it fits, or a new one."""

import torch
from torch import Tensor
from torch_geometric.data.data import BaseData
from torch_geometric.typing import SparseTensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.known import remembered


def check_graph(x: object, edge_index: object) -> None:
    """Check that a graph is one of the kind that pLSTM runs on: one set of nodes, and edges with an order.

    Args:
        x: Node features.
        edge_index: Its edges.

    Raises:
        TypeError: If either is something else that PyG's layers take, or nothing of the kind; says what to do.
    """
    for name, given in (("x", x), ("edge_index", edge_index)):
        if isinstance(given, dict):
            raise TypeError(
                f"{name} is a dict, as of heterogeneous graphs, but pLSTM runs on one set of nodes and one of edges: "
                "HeteroData.to_homogeneous() makes them, with types as node_type and edge_type to be features"
            )
        if isinstance(given, BaseData):
            raise TypeError(
                f"{name} is a {type(given).__name__}; give its parts: model(data.x, data.edge_index, data.edge_attr)"
            )
    if isinstance(x, tuple | list):
        raise TypeError(
            f"x is a {type(x).__name__} of {len(x)}, as of bipartite graphs, whose nodes are of two kinds; they have "
            "no line graph, as no edge starts where another ends: put both kinds of nodes into one x [N, F] and count "
            "the second behind the first in edge_index"
        )
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor [N, F] of the features of all nodes, got {type(x).__name__}")
    if isinstance(edge_index, SparseTensor) or (isinstance(edge_index, Tensor) and edge_index.layout != torch.strided):
        kind = str(edge_index.layout) if isinstance(edge_index, Tensor) else "SparseTensor"
        raise TypeError(
            f"edge_index is a sparse matrix ({kind}), in which edges have no order that features, pairs and levels "
            "could follow: give edge_index [2, E]. torch_geometric.utils.to_edge_index(adj) makes it of an adjacency "
            "matrix; of a transposed one, adj_t, it gives each edge the other way round"
        )
    if not isinstance(edge_index, Tensor):
        raise TypeError(f"edge_index must be a tensor [2, E], got {type(edge_index).__name__}")


def line_graph_of(x: Tensor, edge_index: Tensor, line_graph: LineGraph | list[LineGraph] | None) -> LineGraph:
    """The line graph of ``edge_index``: the given one, the one that its batch has, or a new one.

    Args:
        x: Node features, ``[N, F]``.
        edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
        line_graph: Its line graph, if it was built already; or those of the graphs of a batch, in a list, as PyG
            batches them.

    Raises:
        TypeError: If the graph is of another kind, see :func:`check_graph`, or the line graph is none.
        ValueError: If the given line graph has another number of nodes, or other edges.
    """
    check_graph(x, edge_index)
    if line_graph is None:
        line_graph = remembered(edge_index)
    elif isinstance(line_graph, list):
        line_graph = LineGraph.union(line_graph)
    if line_graph is not None and not isinstance(line_graph, LineGraph):
        raise TypeError(f"line_graph must be a plstm_graph.LineGraph, got {type(line_graph).__name__}")
    if line_graph is None:
        return LineGraph.from_edge_index(edge_index, x.size(0))
    if torch.jit.is_tracing():
        line_graph.check_same_edges(edge_index)  # Refuses, before the trace meets a number that it cannot compare.
    if line_graph.num_nodes != x.size(0):
        raise ValueError(f"x has {x.size(0)} rows, but the line graph has {line_graph.num_nodes} nodes")
    line_graph.check_same_edges(edge_index)
    return line_graph


def check_edge_attr(edge_attr: Tensor | None, edge_index: Tensor, edge_dim: int | None) -> Tensor | None:
    """Edge features as a layer needs them.

    Args:
        edge_attr: ``[E, D]``, or ``[E]`` for one feature.
        edge_index: ``[2, E]``
        edge_dim: What the layer was made with.

    Returns:
        ``[E, edge_dim]``, or None.

    Raises:
        ValueError: If they are missing or not expected, or have another shape.
    """
    if (edge_attr is None) != (edge_dim is None):
        raise ValueError(
            f"this layer was made with edge_dim={edge_dim}, so it needs edge_attr"
            if edge_attr is None
            else "this layer was made without edge_dim, so it cannot use edge_attr"
        )
    if edge_attr is None:
        return None
    if edge_attr.size(0) != edge_index.size(1):
        raise ValueError(f"edge_attr has {edge_attr.size(0)} rows, but edge_index has {edge_index.size(1)} edges")
    edge_attr = edge_attr.unsqueeze(-1) if edge_attr.dim() == 1 else edge_attr
    if edge_attr.size(1) != edge_dim:
        raise ValueError(
            f"edge_attr has {edge_attr.size(1)} features, but this layer was made with edge_dim={edge_dim}"
        )
    return edge_attr
