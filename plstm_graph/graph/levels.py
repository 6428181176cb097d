"""Longest-path levels of a directed acyclic graph, and the error for graphs that are none."""

import torch
from torch import Tensor

#: Below this many nodes a whole-frontier step costs more in launches than a plain loop costs in Python.
NARROW = 256


class CycleError(ValueError):
    """The graph has a directed cycle, so it is not a DAG.

    Attributes:
        cycle (list[int]): The nodes of one cycle in order, each once; a self-loop is a cycle of one node.
    """

    def __init__(self, cycle: list[int]) -> None:
        self.cycle = cycle
        shown = cycle if len(cycle) <= 12 else [*cycle[:6], "...", *cycle[-5:]]
        path = " -> ".join(str(node) for node in [*shown, cycle[0]])
        super().__init__(
            f"the graph is not acyclic: {path} is a cycle of {len(cycle)} node{'s' if len(cycle) > 1 else ''}. "
            "An undirected graph needs an orientation first (plstm_graph.transforms.ToDAG)"
        )


def longest_path_levels(edge_index: Tensor, num_nodes: int) -> Tensor:
    r"""Number of edges on the longest directed path that ends in each node.

    Every edge leads from a lower to a strictly higher level, so all edges that start on one level can be advanced
    together. Wide levels are peeled off with one set of tensor operations each; from the first narrow level on, the
    rest is walked in plain Python, which is faster there. Both take time linear in nodes and edges.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        Level of each node, ``[N]``, int64; 0 for nodes without in-edges.

    Raises:
        CycleError: If the graph has a directed cycle (a self-loop is one); it names the cycle's nodes.
    """
    start, end = edge_index
    levels = torch.zeros(num_nodes, dtype=torch.long, device=edge_index.device)
    if edge_index.size(1) == 0:
        return levels
    out_degree = torch.bincount(start, minlength=num_nodes)
    missing = torch.bincount(end, minlength=num_nodes)
    ends = end[torch.argsort(start)]
    first = out_degree.cumsum(0) - out_degree

    frontier = (missing == 0).nonzero().view(-1)
    level, peeled = 0, frontier.numel()
    while frontier.numel() >= NARROW:
        targets = ends[expand_ranges(first[frontier], out_degree[frontier])]
        missing.index_add_(0, targets, torch.full_like(targets, -1))
        frontier = torch.unique(targets[missing[targets] == 0])
        level, peeled = level + 1, peeled + frontier.numel()
        levels[frontier] = level
    if frontier.numel() > 0:
        peeled += _peel_narrow(levels, missing, ends, first, out_degree, frontier)
    if peeled < num_nodes:
        raise CycleError(_find_cycle(edge_index, missing))
    return levels


def expand_ranges(first: Tensor, count: Tensor) -> Tensor:
    """Concatenate the ranges ``first[i], ..., first[i] + count[i] - 1``.

    Args:
        first: First number of each range, ``[R]``, int64.
        count: Length of each range, ``[R]``, int64; 0 is legal.

    Returns:
        All numbers, ``[count.sum()]``, range after range.
    """
    offset = first - (count.cumsum(0) - count)
    expanded = torch.repeat_interleave(offset, count)
    return expanded + torch.arange(expanded.numel(), device=first.device)


def _peel_narrow(
    levels: Tensor, missing: Tensor, ends: Tensor, first: Tensor, out_degree: Tensor, frontier: Tensor
) -> int:
    """Finish the peeling from ``frontier`` on, node by node. Updates ``levels`` and ``missing``; returns the count."""
    ends_, first_, out_degree_ = ends.tolist(), first.tolist(), out_degree.tolist()
    missing_, levels_, current = missing.tolist(), levels.tolist(), frontier.tolist()
    level = peeled = 0
    if current:
        level = levels_[current[0]]
    while current:
        level += 1
        reached = []
        for node in current:
            begin = first_[node]
            for target in ends_[begin : begin + out_degree_[node]]:
                missing_[target] -= 1
                if missing_[target] == 0:
                    levels_[target] = level
                    reached.append(target)
        current = reached
        peeled += len(reached)
    levels.copy_(levels.new_tensor(levels_))
    missing.copy_(missing.new_tensor(missing_))
    return peeled


def _find_cycle(edge_index: Tensor, missing: Tensor) -> list[int]:
    """Walk backwards among nodes that were never peeled; each has such a predecessor, so the walk closes."""
    stuck = (missing > 0)[edge_index].all(dim=0)
    predecessor = torch.full_like(missing, -1)
    predecessor[edge_index[1, stuck]] = edge_index[0, stuck]
    predecessors = predecessor.tolist()
    node = int((missing > 0).nonzero()[0])
    position: dict[int, int] = {}
    walk: list[int] = []
    while node not in position:
        position[node] = len(walk)
        walk.append(node)
        node = predecessors[node]
    return walk[position[node] :][::-1]
