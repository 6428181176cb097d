"""Nodes of a DAG level by level."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import longest_path_levels


def generations(edge_index: Tensor, num_nodes: int, level: Tensor | None = None) -> list[Tensor]:
    """The nodes of each longest-path level: first those without in-edges, then those whose in-edges all come from them.

    Their concatenation is a topological order.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
        level: Longest-path level of each node, ``[N]``, if it is known already.

    Returns:
        Nodes of each level in rising order; no level is empty.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    if level is None:
        level = longest_path_levels(edge_index, num_nodes)
    return list(torch.argsort(level, stable=True).split(torch.bincount(level).tolist())) if num_nodes else []


def heights(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Number of edges on the longest directed path that begins in each node: the levels of the reversed DAG.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        Height of each node, ``[N]``, int64; 0 for nodes without out-edges.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    return longest_path_levels(edge_index.flip(0), num_nodes)
