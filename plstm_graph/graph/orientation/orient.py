"""Turning an undirected graph into a DAG: every edge leads from the lower to the higher rank of its two nodes."""

import torch
from torch import Tensor


def orient(edge_index: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Direct every edge from the lower to the higher rank, which leaves no directed cycle.

    An undirected edge may be given in both directions, as PyG does, or in one. Of two columns that are each other's
    inverse, the rising one is kept; a falling column without an inverse is flipped. Parallel edges stay parallel.
    The kept edges come in the order of their columns.

    .. code-block:: python

        edge_index, columns = orient(edge_index, numbering_rank(num_nodes))
        edge_attr = edge_attr[columns]  # features follow their edge

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        rank: Rank of each node, ``[N]``; the two ends of an edge must differ.

    Returns:
        The directed edges, ``[2, E']``, and the column of ``edge_index`` that each comes from, ``[E']``.

    Raises:
        ValueError: If an edge is a self-loop, or joins two nodes of equal rank; it names the column and the nodes.
    """
    start, end = edge_index
    _check_ranks_differ(edge_index, rank)
    rising = rank[start] < rank[end]
    low, high = torch.where(rising, start, end), torch.where(rising, end, start)
    keep = rising.clone()
    falling = (~rising).nonzero().view(-1)
    if falling.numel() > 0:
        _, edge = torch.unique(low * rank.numel() + high, return_inverse=True)
        num_rising = torch.bincount(edge[rising], minlength=edge.numel())
        keep[falling] = _occurrence(edge[falling]) >= num_rising[edge[falling]]
    columns = keep.nonzero().view(-1)
    return torch.stack([low, high])[:, columns], columns


def is_symmetric(edge_index: Tensor, num_nodes: int) -> bool:
    """Whether every edge has its inverse, parallel edges counted: the form in which PyG stores undirected graphs.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
    """
    start, end = edge_index
    forward, backward = start * num_nodes + end, end * num_nodes + start
    return torch.equal(forward.sort().values, backward.sort().values)


def numbering_rank(num_nodes: int, device: torch.device | str | None = None) -> Tensor:
    """Nodes ranked as they are numbered. The DAG then depends on how the graph happened to be written down.

    Args:
        num_nodes: Number of nodes ``N``.
        device: Where to put the ranks.

    Returns:
        ``0, ..., N - 1``, ``[N]``, int64.
    """
    return torch.arange(num_nodes, device=device)


def _check_ranks_differ(edge_index: Tensor, rank: Tensor) -> None:
    start, end = edge_index
    loops = (start == end).nonzero()
    if loops.numel() > 0:
        column = int(loops[0])
        raise ValueError(
            f"node {int(start[column])} has a self-loop (column {column} of edge_index); a self-loop is a cycle in "
            "every orientation. Remove it first (torch_geometric.transforms.RemoveSelfLoops)"
        )
    equal = (rank[start] == rank[end]).nonzero()
    if equal.numel() > 0:
        column = int(equal[0])
        raise ValueError(
            f"nodes {int(start[column])} and {int(end[column])} are joined (column {column} of edge_index) but have "
            f"the same rank {rank[start[column]].item()}, so their edge has no direction"
        )


def _occurrence(group: Tensor) -> Tensor:
    """How many earlier entries are in the same group as each entry, ``[M]`` -> ``[M]``."""
    order = torch.argsort(group, stable=True)
    _, size = torch.unique_consecutive(group[order], return_counts=True)
    first = torch.repeat_interleave(size.cumsum(0) - size, size)
    occurrence = torch.empty_like(order)
    occurrence[order] = torch.arange(order.numel(), device=order.device) - first
    return occurrence
