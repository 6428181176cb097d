"""M-mode as one reads it, edge by edge: slow, short, and the ground truth of its other forms."""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.naive import edges_by_level
from plstm_graph.ops.max_plus_terms import largest_term
from plstm_graph.ops.precision import without_autocast


@without_autocast
def max_plus_naive(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype."""
    sums: dict[int, Tensor] = {}
    for f, into in edges_by_level(line_graph):
        sums[f] = largest_term([source[f], *(sums[e] + transition[pair] for pair, e in into)], temperature)
    read: list[list[Tensor]] = [[own] for own in direct]
    for e, n in enumerate(line_graph.edge_index[1].tolist()):
        read[n].append(sums[e] + mark[e])
    return torch.stack([largest_term(terms, temperature) for terms in read]) if read else direct.clone()
