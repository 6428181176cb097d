"""The longest path of a DAG."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import longest_path_levels


def longest_path(edge_index: Tensor, num_nodes: int, level: Tensor | None = None) -> Tensor:
    """The nodes of a longest directed path, from a source on; its number of edges is the depth of the DAG.

    Of several longest paths the one that ends in the lowest-numbered node is taken, and of the edges into a node that
    could be its last the one that comes last in ``edge_index``. Time is linear in nodes and edges.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
        level: Longest-path level of each node, ``[N]``, if it is known already.

    Returns:
        Nodes in the order of the path, ``[L + 1]`` for a path of ``L`` edges, int64; empty for a graph without nodes.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    if level is None:
        level = longest_path_levels(edge_index, num_nodes)
    if num_nodes == 0:
        return level
    start, end = edge_index
    last = (level[end] == level[start] + 1).nonzero().view(-1)
    column = torch.full_like(level, -1).scatter_reduce_(0, end[last], last, "amax")
    predecessor = torch.where(column >= 0, start[column.clamp(min=0)], column).tolist() if last.numel() else []
    node = int(level.argmax())
    path = [node]
    for _ in range(int(level[node])):
        node = predecessor[node]
        path.append(node)
    return torch.tensor(path[::-1], device=edge_index.device)
