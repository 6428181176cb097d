"""Which nodes reach which, in the DAG or through chosen pairs of its line graph."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges, longest_path_levels


def ancestor_pairs(edge_index: Tensor, num_nodes: int, pairs: Tensor | None = None) -> Tensor:
    """All ordered node pairs (ancestor, descendant).

    Without ``pairs``, u is an ancestor of w if a directed path leads from u to w. With ``pairs``, the path may only go
    on from an edge e to an edge f if (e, f) is among them; single edges always count. All pairs of the line graph give
    the same as no pairs. Sets grow level by level for all graphs of a batch at once; memory is that of the result.

    Args:
        edge_index: Start and end node of each edge of a DAG, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
        pairs: Pairs (e, f) of edges with ``end(e) == start(f)``, ``[2, P]``, int64, in any order.

    Returns:
        Ancestor and descendant, each pair of nodes once, ``[2, A]``, int64, sorted by descendant, then by ancestor.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    level = longest_path_levels(edge_index, num_nodes)
    start, end = edge_index
    if pairs is None:
        node = torch.arange(num_nodes, device=edge_index.device)
        descendant, ancestor = _collect(edge_index, level, node)
        strict = ancestor != descendant
        return torch.stack([ancestor[strict], descendant[strict]])
    edge, ancestor = _collect(pairs, level[start], start)
    key = torch.unique(end[edge] * num_nodes + ancestor)
    return torch.stack([key % num_nodes, key // num_nodes])


def _collect(arcs: Tensor, level: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """For each item, the labels of itself and of all items that lead to it.

    Args:
        arcs: From item to item, ``[2, A]``, from a lower to a higher level.
        level: Level of each item, ``[I]``.
        label: Label of each item, ``[I]``, from 0.

    Returns:
        Items and their labels, each combination once, sorted by item, then by label.
    """
    num_items = level.numel()
    num_labels = int(label.max()) + 1 if num_items else 1
    key = torch.arange(num_items, device=level.device) * num_labels + label
    by_level = torch.argsort(level[arcs[1]], stable=True)
    sizes = torch.bincount(level)
    steps = torch.bincount(level[arcs[1]], minlength=sizes.numel()).tolist()
    arcs_of_level = arcs[:, by_level].split(steps, dim=1)
    items_of_level = torch.argsort(level, stable=True).split(sizes.tolist())

    found = key.new_empty(max(4 * num_items, 1))  # grows by doubling
    first, count = torch.zeros_like(level), torch.zeros_like(level)
    used = 0
    for items, (source, target) in zip(items_of_level, arcs_of_level, strict=True):
        inherited = found[expand_ranges(first[source], count[source])] % num_labels
        inherited += target.repeat_interleave(count[source]) * num_labels
        keys = torch.unique(torch.cat([key[items], inherited]))
        if used + keys.numel() > found.numel():
            found = torch.cat([found[:used], found.new_empty(used + 2 * keys.numel())])
        found[used : used + keys.numel()] = keys
        size = torch.bincount(torch.searchsorted(items, keys // num_labels), minlength=items.numel())
        count[items] = size
        first[items] = used + size.cumsum(0) - size
        used += keys.numel()
    found = found[:used].sort().values
    return found // num_labels, found % num_labels
