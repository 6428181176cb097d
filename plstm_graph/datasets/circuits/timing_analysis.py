"""Static timing analysis: when signals arrive, when they must, and which path is the slowest.

Exact longest paths over a DAG whose edges have delays, in float64, one level after the other.
"""

import numpy as np
import torch
from torch import Tensor

from plstm_graph.graph.levels import longest_path_levels
from plstm_graph.graph.node_levels import NodeLevels


def arrival_times(edge_index: Tensor, delay: Tensor, num_nodes: int) -> Tensor:
    """The latest time at which a signal can arrive at each node, when all sources switch at 0.

    Args:
        edge_index: Start and end of each edge of a DAG, ``[2, E]``.
        delay: Delay of each edge, ``[E]``, in any unit of time.
        num_nodes: Number of nodes ``N``.

    Returns:
        ``[N]`` float64, the largest sum of delays along any path to each node; 0 at sources.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    start = torch.full((num_nodes,), -torch.inf, dtype=torch.double)
    start[torch.bincount(edge_index[1], minlength=num_nodes) == 0] = 0.0
    return _largest_sums(edge_index, delay, start)


def required_times(edge_index: Tensor, delay: Tensor, is_endpoint: Tensor, period: float) -> Tensor:
    """The latest time at which a signal may arrive at each node, so that all endpoints are reached in time.

    What is left to it from the arrival time is the slack: 0 along the critical path, if the period is its delay.

    Args:
        edge_index: As of :func:`arrival_times`, and so is ``delay``.
        delay: ``[E]``
        is_endpoint: Where signals must have arrived by the end of the period, ``[N]``, bool.
        period: Time that is allowed.

    Returns:
        ``[N]`` float64; infinite where no endpoint follows.
    """
    start = torch.where(is_endpoint, 0.0, -torch.inf).double()
    return period - _largest_sums(edge_index.flip(0), delay, start)


def latest_path(edge_index: Tensor, arrival: Tensor, end: int) -> Tensor:
    """The path to a node that follows, from there back, the predecessor at which the signal arrives last.

    With exact arrival times and delays that do not depend on which input of a gate switches, it is a critical path.
    With predicted ones it is the path that a prediction takes for critical.

    Args:
        edge_index: Start and end of each edge of a DAG, ``[2, E]``.
        arrival: Arrival time of each node, ``[N]``.
        end: The node in which the path ends.

    Returns:
        Columns of ``edge_index`` in the order of the path, from a source on; of equal predecessors that of the first
        column. Empty if ``end`` is a source.
    """
    before, after = edge_index.numpy()
    columns = np.arange(before.size)
    order = np.lexsort((columns, -arrival.numpy()[before], after))
    is_first = np.ones(order.size, dtype=bool)
    is_first[1:] = after[order][1:] != after[order][:-1]
    best = np.full(len(arrival), -1)
    best[after[order][is_first]] = order[is_first]
    path, node = [], end
    while best[node] >= 0:
        path.append(int(best[node]))
        node = before[path[-1]]
    return torch.tensor(path[::-1], dtype=torch.long)


def _largest_sums(edge_index: Tensor, delay: Tensor, start: Tensor) -> Tensor:
    """The largest of a value at the start of a path and the delays along it, over all paths to each node, ``[N]``."""
    levels = NodeLevels.build(edge_index, longest_path_levels(edge_index, len(start)))
    times, delays = start[levels.node_order].numpy(), delay.double()[levels.edge_order].numpy()
    before, after = levels.start.numpy(), levels.end.numpy()
    for first, _, edge, last_edge in levels.levels:
        if edge == last_edge:
            continue
        sums = times[before[edge:last_edge]] + delays[edge:last_edge]
        # Every node of a level has an edge, and edges are sorted by their end.
        node = after[edge:last_edge]
        begin = np.flatnonzero(np.concatenate([[True], node[1:] != node[:-1]]))
        here = slice(first, first + begin.size)
        times[here] = np.maximum(times[here], np.maximum.reduceat(sums, begin))
    return torch.from_numpy(times)[levels.node_position]
