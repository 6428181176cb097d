"""A multitree in linear time, for components too large to search: one in-edge per edge and block."""

import torch
from torch import Tensor


def one_per_block(in_edge: Tensor, out_edge: Tensor, block: Tensor) -> Tensor:
    """Keep pairs so that every edge has at most one in-edge out of each block.

    A block is a biconnected component of the undirected graph. Blocks hang together like a tree, so the way back from
    an edge f to an ancestor x leaves ``start(f)`` through one block only, and the in-edge kept there is the one way to
    go: at most one path. Nothing is cut on trees. Of several in-edges the one that starts on the highest level stays;
    its history is the longest.

    Args:
        in_edge: In-edge of each pair, ``[P]``; edges are numbered by level.
        out_edge: Out-edge of each pair, ``[P]``; pairs are sorted by it, then by in-edge.
        block: Block of each edge, ``[E]``, between 0 and ``E - 1``.

    Returns:
        Which pairs stay, ``[P]``, bool.
    """
    group, by_group = torch.sort(out_edge * block.numel() + block[in_edge], stable=True)
    keep = torch.zeros_like(in_edge, dtype=torch.bool)
    last = torch.ones_like(keep)
    last[:-1] = group[1:] != group[:-1]
    keep[by_group[last]] = True
    return keep


def edge_blocks(start: list[int], end: list[int], num_nodes: int) -> list[int]:
    """Number of the block of each edge of a connected graph, from one depth-first search without recursion.

    Args:
        start: Start node of each edge; edges are taken without their direction, parallel ones form a block.
        end: End node of each edge.
        num_nodes: Number of nodes.

    Returns:
        One number for each edge, equal within a block.
    """
    incident: list[list[int]] = [[] for _ in range(num_nodes)]
    for e, (u, w) in enumerate(zip(start, end, strict=True)):
        incident[u].append(e)
        incident[w].append(e)
    block = [-1] * len(start)
    depth = [-1] * num_nodes
    lowest = [0] * num_nodes  # the least depth that the subtree below a node has an edge to
    pending: list[int] = []  # edges seen whose block is not closed yet
    seen = [False] * len(block)
    stack = [(0, -1, 0)]  # node, edge it was entered by, number of pending edges before that
    depth[0] = 0
    while stack:
        node, entry, height = stack[-1]
        if incident[node]:
            e = incident[node].pop()
            if seen[e]:
                continue
            seen[e] = True
            other = start[e] + end[e] - node
            if depth[other] < 0:
                depth[other] = lowest[other] = depth[node] + 1
                stack.append((other, e, len(pending)))
            else:
                lowest[node] = min(lowest[node], depth[other])
            pending.append(e)
            continue
        stack.pop()
        if not stack:
            break
        above = stack[-1][0]
        lowest[above] = min(lowest[above], lowest[node])
        if lowest[node] >= depth[above]:
            for e in pending[height:]:
                block[e] = entry
            del pending[height:]
    return block
