"""Edges of a graph without which it has no cycle."""

import heapq
from collections import deque

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def edges_on_cycles(edge_index: np.ndarray, num_nodes: int) -> np.ndarray:
    """Which edges lie on a directed cycle: those between nodes that reach each other.

    Args:
        edge_index: Start and end of each edge, ``[2, E]``.
        num_nodes: Number of nodes ``N``.

    Returns:
        ``[E]``, bool.
    """
    return _on_cycles(edge_index, _components(edge_index, num_nodes))


def feedback_edges(edge_index: np.ndarray, num_nodes: int) -> np.ndarray:
    """Few edges that all cycles of a graph pass, by the heuristic of Eades, Lin and Smyth (1993).

    In each strongly connected component nodes are put into an order one by one: one that no edge leaves comes last, one
    that no edge enters first, and else first the one with the most edges out, less edges in, of which the one with the
    lowest number. Edges that lead back in this order are the result. The time is linear in the number of edges, but for
    a logarithm.

    Args:
        edge_index: Start and end of each edge, ``[2, E]``. Parallel edges count as many.
        num_nodes: Number of nodes ``N``.

    Returns:
        ``[E]``, bool; without these edges there is no cycle. Edges that are on none are never among them.
    """
    inside = np.flatnonzero(edges_on_cycles(edge_index, num_nodes))
    back = np.zeros(edge_index.shape[1], dtype=bool)
    if len(inside):
        # Nodes in no cycle, and edges between components, would only be in the way.
        nodes, ends = np.unique(edge_index[:, inside], return_inverse=True)
        ends = ends.reshape(2, -1)
        place = _order(ends, len(nodes))
        back[inside] = place[ends[0]] >= place[ends[1]]
    return back


def _components(edge_index: np.ndarray, num_nodes: int) -> np.ndarray:
    ones = np.ones(edge_index.shape[1], dtype=np.int64)  # parallel edges are summed
    matrix = csr_array((ones, (edge_index[0], edge_index[1])), shape=(num_nodes, num_nodes))
    return connected_components(matrix, directed=True, connection="strong")[1] if num_nodes else np.zeros(0, int)


def _on_cycles(edge_index: np.ndarray, component: np.ndarray) -> np.ndarray:
    start, end = edge_index
    return component[start] == component[end]


def _order(edge_index: np.ndarray, num_nodes: int) -> np.ndarray:
    """Place of each node in the order of the heuristic, ``[N]``. Components do not meet, so one run does for all."""
    after, before = (_neighbours(ends, num_nodes) for ends in (edge_index, edge_index[::-1]))
    outs, ins = (np.bincount(ends, minlength=num_nodes).tolist() for ends in edge_index)
    sinks = deque(node for node in range(num_nodes) if outs[node] == 0)
    sources = deque(node for node in range(num_nodes) if ins[node] == 0)
    heap = [(ins[node] - outs[node], node) for node in range(num_nodes)]
    heapq.heapify(heap)
    first: list[int] = []
    last: list[int] = []
    taken = [False] * num_nodes
    while len(first) + len(last) < num_nodes:
        if sinks:
            node, into = sinks.popleft(), last
        elif sources:
            node, into = sources.popleft(), first
        else:
            surplus, node = heapq.heappop(heap)
            into = first
            if not taken[node] and surplus != ins[node] - outs[node]:
                continue  # its edges have changed, and it stands there once more
        if taken[node]:
            continue
        taken[node] = True
        into.append(node)
        for other in after[node]:
            ins[other] -= 1
            if not taken[other]:
                _update(other, ins, outs, sources, heap)
        for other in before[node]:
            outs[other] -= 1
            if not taken[other]:
                _update(other, outs, ins, sinks, heap, sign=-1)
    place = np.empty(num_nodes, dtype=np.int64)
    place[first + last[::-1]] = np.arange(num_nodes)
    return place


def _update(
    node: int,
    changed: list[int],
    other: list[int],
    ready: deque[int],
    heap: list[tuple[int, int]],
    sign: int = 1,
) -> None:
    """A node has lost an edge: it may be ready, and has a new surplus."""
    if changed[node] == 0:
        ready.append(node)
    else:
        heapq.heappush(heap, (sign * (changed[node] - other[node]), node))


def _neighbours(edge_index: np.ndarray, num_nodes: int) -> list[list[int]]:
    """Ends of the edges that leave each node."""
    order = np.argsort(edge_index[0], kind="stable")
    bounds = np.concatenate([[0], np.bincount(edge_index[0], minlength=num_nodes).cumsum()]).tolist()
    ends = edge_index[1][order].tolist()
    return [ends[bounds[node] : bounds[node + 1]] for node in range(num_nodes)]
