"""M-mode as one reads it, edge by edge: slow, short, and the ground truth of its other forms."""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph


def max_plus_naive(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype."""
    start, end = line_graph.edge_index.tolist()
    level = line_graph.level.tolist()
    into: list[list[tuple[int, int]]] = [[] for _ in start]
    for pair, (e, f) in enumerate(line_graph.pairs.t().tolist()):
        into[f].append((pair, e))

    sums: dict[int, Tensor] = {}
    for f in sorted(range(len(start)), key=lambda edge: level[start[edge]]):
        sums[f] = _largest([source[f], *(sums[e] + transition[pair] for pair, e in into[f])], temperature)
    read: list[list[Tensor]] = [[own] for own in direct]
    for e, n in enumerate(end):
        read[n].append(sums[e] + mark[e])
    return torch.stack([_largest(terms, temperature) for terms in read]) if read else direct.clone()


def _largest(terms: list[Tensor], temperature: float) -> Tensor:
    """The largest of some terms, the first of equal ones; minus infinity has no gradient."""
    stacked = torch.stack(terms)
    nothing = (stacked == -torch.inf).all(dim=0)
    # What is not there takes no part in the gradient, so that 0 times infinity is never asked for.
    stacked = stacked.masked_fill(nothing, 0.0)
    if temperature > 0:
        largest = temperature * torch.logsumexp(stacked / temperature, dim=0)
    else:
        largest = stacked.max(dim=0).values
    return largest.masked_fill(nothing, -torch.inf)
