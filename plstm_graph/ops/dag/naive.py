"""The operator as one reads it in the paper, edge by edge: slow, short, and the ground truth of every other form."""

from collections.abc import Iterator

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph


def edges_by_level(line_graph: LineGraph) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Every edge, behind all that lead to it, with the pairs that enter it and the edges that these come from."""
    start = line_graph.edge_index[0].tolist()
    level = line_graph.level.tolist()
    into: list[list[tuple[int, int]]] = [[] for _ in start]
    for pair, (e, f) in enumerate(line_graph.pairs.t().tolist()):
        into[f].append((pair, e))
    for f in sorted(range(len(start)), key=lambda edge: level[start[edge]]):
        yield f, into[f]


def edge_states_naive(key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph) -> Tensor:
    r"""Cell states, :math:`C_f = \sum_{(e,f)} T_{ef} C_e + S_f k_u v_u^\top` with :math:`u = start(f)` (eq. 5).

    Args:
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H]``
        transition: ``[P, H]``
        line_graph: The DAG's line graph.

    Returns:
        ``[E, H, K, V]``
    """
    start = line_graph.edge_index[0].tolist()
    states: dict[int, Tensor] = {}
    for f, into in edges_by_level(line_graph):
        u = start[f]
        state = source[f, :, None, None] * key[u, :, :, None] * value[u, :, None, :]
        for pair, e in into:
            state = state + transition[pair, :, None, None] * states[e]
        states[f] = state
    if not states:
        return value.new_zeros(0, *key.shape[1:], value.size(-1))
    return torch.stack([states[f] for f in range(len(start))])
