"""Edges through nodes: the structure on which a transition that factorises at the node costs O(E), not O(P)."""

import torch
from torch import Tensor


def split_graph(edge_index: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    r"""Split every node in two, one where edges arrive and one where they leave, and join the two by an edge.

    A transition :math:`T_{ef} = a_e b_f` takes the state of in-edge :math:`e` to the *through edge* of the node by
    :math:`a_e`, and on to out-edge :math:`f` by :math:`b_f`. With no Source and no Mark on the through edges, nothing
    else changes. A node of :math:`i` in-edges and :math:`o` out-edges then has :math:`i + o` pairs instead of
    :math:`i\,o`.

    Node ``u`` becomes ``u``, where its in-edges end, and ``N + u``, where its out-edges start.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        level: Longest-path level of each node, ``[N]``, int64.

    Returns:
        Edges of the split graph, ``[2, E + R]``: the given ones in their order, then one through each of the ``R``
        nodes that have both in-edges and out-edges, in the order of the nodes; and the level of each node, ``[2 N]``.
    """
    num_nodes = level.numel()
    start, end = edge_index
    has_out, has_in = (torch.bincount(ends, minlength=num_nodes) > 0 for ends in (start, end))
    through = (has_out & has_in).nonzero().view(-1)
    split = torch.stack([torch.cat([start + num_nodes, through]), torch.cat([end, through + num_nodes])])
    # Edges into a node of level l come from out-halves of level 2 (l - 1) at most.
    return split, torch.cat([(2 * level - 1).clamp(min=0), 2 * level])
