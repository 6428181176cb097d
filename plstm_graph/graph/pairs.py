"""Pairs of the line graph: every in-edge of a node with every out-edge of the same node."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges


def line_graph_pairs(edge_index: Tensor, num_nodes: int) -> Tensor:
    """All pairs (e, f) of edges with ``end(e) == start(f)``, the arcs of the line graph (eq. 5 of the paper).

    They come sorted by ``e``, then by ``f``. The pairs of a batch of disjoint graphs are therefore those of its
    graphs one after the other, so anything stored per pair can be concatenated.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64, in any order.
        num_nodes: Number of nodes.

    Returns:
        Pairs as columns of ``edge_index``, ``[2, P]``, int64.
    """
    start, end = edge_index
    out_degree = torch.bincount(start, minlength=num_nodes)
    by_start = torch.argsort(start, stable=True)
    first = out_degree.cumsum(0) - out_degree
    count = out_degree[end]
    in_edge = torch.repeat_interleave(torch.arange(end.numel(), device=end.device), count)
    return torch.stack([in_edge, by_start[expand_ranges(first[end], count)]])


def num_line_graph_pairs(edge_index: Tensor, num_nodes: int) -> int:
    """Number of pairs that :func:`line_graph_pairs` would return, without building them.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes.
    """
    return int(torch.bincount(edge_index[0], minlength=num_nodes)[edge_index[1]].sum())
