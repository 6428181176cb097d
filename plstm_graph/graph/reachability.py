"""Which nodes reach which, in the DAG or through chosen pairs of its line graph."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges, longest_path_levels

#: More pairs of nodes than this are never listed; they take a gigabyte, and several while they are found.
MAX_ANCESTOR_PAIRS = 2**26

# Sets are kept as bits if labels are gathered so many times as often as they are kept, and so often at least, or if
# sets are larger than this part of all labels; and if the bits take no more bytes than this.
_GATHERS, _FEW_GATHERS = 8, 2**20
_SPARSE = 64
_MAX_BIT_BYTES = 2**28
_ROWS_AT_ONCE = 256


def ancestor_pairs(edge_index: Tensor, num_nodes: int, pairs: Tensor | None = None) -> Tensor:
    """All ordered node pairs (ancestor, descendant).

    Without ``pairs``, u is an ancestor of w if a directed path leads from u to w. With ``pairs``, the path may only go
    on from an edge e to an edge f if (e, f) is among them; single edges always count. All pairs of the line graph give
    the same as no pairs. Sets grow level by level for all graphs of a batch at once; on dense graphs, where many sets
    have much in common, they are kept as bits. Time and memory are about those of the result.

    Args:
        edge_index: Start and end node of each edge of a DAG, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
        pairs: Pairs (e, f) of edges with ``end(e) == start(f)``, ``[2, P]``, int64, in any order.

    Returns:
        Ancestor and descendant, each pair of nodes once, ``[2, A]``, int64, sorted by descendant, then by ancestor.

    Raises:
        CycleError: If the graph has a directed cycle.
        ValueError: If there are more than :data:`MAX_ANCESTOR_PAIRS`.
    """
    level = longest_path_levels(edge_index, num_nodes)
    start, end = edge_index
    if pairs is None:
        # A node of level l has l ancestors at least.
        if int(level.sum()) > MAX_ANCESTOR_PAIRS:
            raise _too_many()
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
    used = gathered = 0
    for items, (source, target) in zip(items_of_level, arcs_of_level, strict=True):
        gathered += int(count[source].sum())
        is_dense = gathered > max(_GATHERS * used, _FEW_GATHERS) or used * _SPARSE > num_items * num_labels
        if is_dense and num_items * num_labels <= 8 * _MAX_BIT_BYTES:
            return _collect_bits(arcs[:, by_level], label, num_labels)
        if gathered > _GATHERS * MAX_ANCESTOR_PAIRS or used - num_items > MAX_ANCESTOR_PAIRS:
            raise _too_many()
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
    if used - num_items > MAX_ANCESTOR_PAIRS:
        raise _too_many()
    found = found[:used].sort().values
    return found // num_labels, found % num_labels


def _collect_bits(arcs: Tensor, label: Tensor, num_labels: int) -> tuple[Tensor, Tensor]:
    """What :func:`_collect` returns, by one operation on two sets for each arc; arcs come by the level of their end."""
    sets = [1 << number for number in label.tolist()]
    for source, target in zip(*arcs.tolist(), strict=True):
        sets[target] |= sets[source]
    if sum(each.bit_count() for each in sets) - len(sets) > MAX_ANCESTOR_PAIRS:
        raise _too_many()
    size = -(-num_labels // 8)
    items, labels = [], []
    for first in range(0, len(sets), _ROWS_AT_ONCE):
        rows = b"".join(each.to_bytes(size, "little") for each in sets[first : first + _ROWS_AT_ONCE])
        octets = torch.frombuffer(bytearray(rows), dtype=torch.uint8).view(-1, size, 1)
        item, number = (
            (octets >> torch.arange(8, dtype=torch.uint8, device="cpu") & 1).flatten(1).nonzero(as_tuple=True)
        )
        items.append(item + first)
        labels.append(number)
    return torch.cat(items).to(label.device), torch.cat(labels).to(label.device)


def _too_many() -> ValueError:
    return ValueError(
        f"to list which nodes reach each other takes more than {MAX_ANCESTOR_PAIRS} pairs, too many; ask for the "
        "ancestors or descendants of the nodes in question (plstm_graph.graph.ancestors), or of smaller graphs"
    )
