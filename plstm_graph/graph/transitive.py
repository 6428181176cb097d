"""Ancestors, descendants, transitive closure and reduction of a DAG."""

from collections.abc import Sequence

import torch
from torch import Tensor

from plstm_graph.graph.generations import heights
from plstm_graph.graph.levels import NARROW, expand_ranges, longest_path_levels
from plstm_graph.graph.reachability import ancestor_pairs

# Long edges of the reduction are looked at in groups whose searches stay about this large.
_GROUP = 2**22

# Sets of ancestors as bits take N^2 / 8 bytes: 128 MiB here. Larger graphs are searched instead.
_MAX_NODES_IN_BITS = 2**15


def ancestors(edge_index: Tensor, num_nodes: int, nodes: Tensor | Sequence[int] | int) -> Tensor:
    """Which nodes have a directed path to one of some nodes, these nodes not counted unless such a path exists.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64; cycles are legal.
        num_nodes: Number of nodes ``N``.
        nodes: One node, or several.

    Returns:
        ``[N]``, bool.
    """
    return descendants(edge_index.flip(0), num_nodes, nodes)


def descendants(edge_index: Tensor, num_nodes: int, nodes: Tensor | Sequence[int] | int) -> Tensor:
    """Which nodes have a directed path from one of some nodes, these nodes not counted unless such a path exists.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64; cycles are legal.
        num_nodes: Number of nodes ``N``.
        nodes: One node, or several.

    Returns:
        ``[N]``, bool.
    """
    start, end = edge_index
    frontier = torch.as_tensor(nodes, device=edge_index.device).view(-1)
    out_degree = torch.bincount(start, minlength=num_nodes)
    ends = end[torch.argsort(start)]
    first = out_degree.cumsum(0) - out_degree
    found = torch.zeros(num_nodes, dtype=torch.bool, device=edge_index.device)
    while frontier.numel() >= NARROW:
        targets = ends[expand_ranges(first[frontier], out_degree[frontier])]
        frontier = torch.unique(targets[~found[targets]])
        found[frontier] = True
    if frontier.numel() == 0:
        return found
    ends_, first_, out_degree_, found_ = ends.tolist(), first.tolist(), out_degree.tolist(), found.tolist()
    stack = frontier.tolist()
    while stack:
        node = stack.pop()
        for target in ends_[first_[node] : first_[node] + out_degree_[node]]:
            if not found_[target]:
                found_[target] = True
                stack.append(target)
    return torch.tensor(found_, device=edge_index.device)


def transitive_closure(edge_index: Tensor, num_nodes: int) -> Tensor:
    """An edge from every node to each of its descendants.

    Args:
        edge_index: Start and end node of each edge of a DAG, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        ``[2, A]``, int64, each edge once, sorted by end, then by start. ``A`` can be near ``N**2 / 2``; time and memory
        are about those of the result.

    Raises:
        CycleError: If the graph has a directed cycle.
        ValueError: If there are more than :data:`~plstm_graph.graph.reachability.MAX_ANCESTOR_PAIRS`.
    """
    return ancestor_pairs(edge_index, num_nodes)


def transitive_reduction(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Which edges are needed to reach what is reached: those that no longer path and no equal edge before replaces.

    Up to 32,768 nodes, sets of ancestors are kept as bits, one operation on two of them for each edge. In larger graphs
    only edges over several levels are searched for a longer path, all at once: backwards from the end, over nodes
    whose longest paths lie strictly between. Local graphs take time about linear in their edges.

    Args:
        edge_index: Start and end node of each edge of a DAG, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        Mask of the edges that stay, ``[E]``, bool; ``edge_index[:, mask]`` is the reduction, which is unique up to the
        choice among equal edges.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    start, end = edge_index
    level = longest_path_levels(edge_index, num_nodes)
    keep = _first_of_equals(start * max(num_nodes, 1) + end)
    if num_nodes <= _MAX_NODES_IN_BITS:
        different = keep.nonzero().view(-1)
        keep[different] = ~_has_longer_path_in_bits(edge_index[:, different], level)
        return keep
    height = heights(edge_index, num_nodes)
    long = (keep & (level[end] - level[start] > 1)).nonzero().view(-1)
    in_degree = torch.bincount(end, minlength=num_nodes)
    starts = start[torch.argsort(end)]
    first = in_degree.cumsum(0) - in_degree
    size = 1024
    while long.numel() > 0:
        group, long = long[:size], long[size:]
        by_path, largest = _has_longer_path(group, edge_index, level, height, starts, first, in_degree)
        keep[group[by_path]] = False
        # As many edges at a time as a search of the last group's extent allows.
        size = max(1, min(4 * size, size * _GROUP // max(largest, 1)))
    return keep


def _has_longer_path_in_bits(edge_index: Tensor, level: Tensor) -> Tensor:
    """Which edges start at an ancestor of another start of an edge with the same end, ``[E]``; all are different."""
    position = torch.empty_like(level)
    position[torch.argsort(level, stable=True)] = torch.arange(level.numel(), device=level.device)
    start, end = position[edge_index]
    # Ends in topological order; of the edges into one, those from the farthest on the way first.
    order = torch.argsort(end * level.numel() + (level.numel() - 1 - start))
    above = [0] * level.numel()  # ancestors of each node, numbered by position
    found = []
    for source, target in zip(start[order].tolist(), end[order].tolist(), strict=True):
        beside = above[target] >> source & 1
        found.append(beside)
        if not beside:
            above[target] |= above[source] | 1 << source
    longer = torch.empty_like(start, dtype=torch.bool)
    longer[order] = torch.tensor(found, dtype=torch.bool, device=start.device)
    return longer


def _has_longer_path(
    edges: Tensor, edge_index: Tensor, level: Tensor, height: Tensor, starts: Tensor, first: Tensor, in_degree: Tensor
) -> tuple[Tensor, int]:
    """Which edges have a path of at least two edges beside them, ``[G]``; and how large the search became."""
    num_nodes = level.numel()
    low, high = edge_index[:, edges]
    found = torch.zeros_like(edges, dtype=torch.bool)
    item = torch.arange(edges.numel(), device=edges.device)
    node, seen, steps = high, item[:0], 0
    while item.numel() > 0:
        count = in_degree[node]
        before = starts[expand_ranges(first[node], count)]
        item = torch.repeat_interleave(item, count)
        if steps > 0:
            found[item[before == low[item]]] = True
        source = low[item]
        between = (level[before] > level[source]) & (height[before] < height[source]) & ~found[item]
        key = torch.unique(item[between] * num_nodes + before[between])
        if seen.numel() > 0:
            position = torch.searchsorted(seen, key).clamp(max=seen.numel() - 1)
            key = key[seen[position] != key]
        seen = torch.cat([seen, key]).sort().values
        item, node = key // num_nodes, key % num_nodes
        steps += 1
    return found, seen.numel()


def _first_of_equals(key: Tensor) -> Tensor:
    """Whether each entry is the first of its value, ``[M]`` -> ``[M]``, bool."""
    order = torch.argsort(key, stable=True)
    sorted_key = key[order]
    is_first = torch.ones_like(key, dtype=torch.bool)
    is_first[order[1:]] = sorted_key[1:] != sorted_key[:-1]
    return is_first
