"""Pairs of the line graph: every in-edge of a node with every out-edge of the same node."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges

#: More pairs than this are never built; they would take more than a gigabyte before any gate is evaluated.
MAX_PAIRS = 2**26


def count_pairs(edge_index: Tensor, num_nodes: int) -> int:
    """How many pairs a DAG has, from its degrees alone.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes.
    """
    return int(torch.bincount(edge_index[0], minlength=num_nodes)[edge_index[1]].sum())


def line_graph_pairs(edge_index: Tensor, num_nodes: int) -> Tensor:
    """All pairs (e, f) of edges with ``end(e) == start(f)``, the arcs of the line graph (eq. 5 of the paper).

    They come sorted by ``e``, then by ``f``. The pairs of a batch of disjoint graphs are therefore those of its
    graphs one after the other, so anything stored per pair can be concatenated.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64, in any order.
        num_nodes: Number of nodes.

    Returns:
        Pairs as columns of ``edge_index``, ``[2, P]``, int64.

    Raises:
        ValueError: If there are more than :data:`MAX_PAIRS`; names the node that has most.
    """
    start, end = edge_index
    out_degree = torch.bincount(start, minlength=num_nodes)
    by_start = torch.argsort(start, stable=True)
    first = out_degree.cumsum(0) - out_degree
    count = out_degree[end]
    if int(count.sum()) > MAX_PAIRS:
        in_degree = torch.bincount(end, minlength=num_nodes)
        hub = int((in_degree * out_degree).argmax())
        raise ValueError(
            f"the line graph would have {int(count.sum())} pairs, more than {MAX_PAIRS}; node {hub} alone, with "
            f"{int(in_degree[hub])} in-edges and {int(out_degree[hub])} out-edges, has "
            f"{int(in_degree[hub] * out_degree[hub])}. Use a transition that factorises at the node "
            "(PLSTMConv(transition='node'), plstm_factorized), give LineGraph the pairs to keep, or split the hub"
        )
    in_edge = torch.repeat_interleave(torch.arange(end.numel(), device=end.device), count)
    return torch.stack([in_edge, by_start[expand_ranges(first[end], count)]])
