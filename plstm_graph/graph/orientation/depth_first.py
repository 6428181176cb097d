"""Depth-first orientation: one long thread through each connected component."""

import torch
from torch import Tensor

from plstm_graph.graph.orientation.centre import centre_distance


def depth_first_rank(edge_index: Tensor, num_nodes: int, tie: Tensor | None = None) -> Tensor:
    """Nodes ranked in the order of a depth-first search from the rim of each connected component.

    In a depth-first tree every edge joins an ancestor and a descendant, so each component gets a single source, and
    nodes have about twice as many ancestors as under :func:`~plstm_graph.graph.centre_rank`: the paths are
    long, and the levels many. Roots and branches are chosen by ``tie``, last by number; with a ``tie`` that does not
    depend on the numbering (canonical atom ranks) neither do the ranks.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64; directions are ignored.
        num_nodes: Number of nodes ``N``.
        tie: Ranks that decide which node comes first, ``[N]``.

    Returns:
        A permutation of ``0, ..., N - 1``, ``[N]``, int64.

    Raises:
        ValueError: If ``tie`` has not one entry per node.
    """
    if tie is not None and tie.shape != (num_nodes,):
        raise ValueError(f"tie must be [N] = [{num_nodes}], got {list(tie.shape)}")
    first = list(range(num_nodes)) if tie is None else tie.tolist()
    neighbours: list[list[int]] = [[] for _ in range(num_nodes)]
    for start, end in edge_index.t().tolist():
        neighbours[start].append(end)
        neighbours[end].append(start)
    for reachable in neighbours:
        reachable.sort(key=first.__getitem__, reverse=True)

    distance = centre_distance(edge_index, num_nodes).tolist()
    rank = [-1] * num_nodes
    found = 0
    # The farthest node of a component comes first among its nodes, so each component is entered at its rim.
    for root in sorted(range(num_nodes), key=lambda node: (-distance[node], first[node])):
        stack = [root]
        while stack:
            node = stack.pop()
            if rank[node] < 0:
                rank[node] = found
                found += 1
                stack.extend(neighbour for neighbour in neighbours[node] if rank[neighbour] < 0)
    return torch.tensor(rank, dtype=torch.long, device=edge_index.device)
