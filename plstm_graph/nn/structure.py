"""The line graph that a layer or model runs on: the one it was given, if it fits, or a new one."""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph


def line_graph_of(x: Tensor, edge_index: Tensor, line_graph: LineGraph | None) -> LineGraph:
    """The line graph of ``edge_index``.

    Args:
        x: Node features, ``[N, F]``.
        edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
        line_graph: Its line graph, if it was built already.

    Raises:
        TypeError: If node features are no tensor, or the line graph is none.
        ValueError: If the given line graph has another number of nodes, or other edges.
    """
    if not isinstance(x, Tensor):
        raise TypeError(
            f"x must be a tensor [N, F] of the features of all nodes, got {type(x).__name__}; bipartite graphs have no "
            "line graph"
        )
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
