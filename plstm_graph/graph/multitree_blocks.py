"""A multitree in linear time, for components too large to search: one in-edge per edge and block."""

from plstm_graph.graph.multitree_component import Component, Pair


def one_per_block(component: Component) -> set[Pair]:
    """Cut pairs until every edge keeps at most one in-edge out of each block.

    A block is a biconnected component of the undirected graph. Blocks hang together like a tree, so the way back from
    an edge f to an ancestor x leaves ``start(f)`` through one block only, and the in-edge kept there is the one way to
    go: at most one path. Nothing is cut on trees. Of several in-edges the one that starts on the highest level stays;
    its history is the longest.

    Args:
        component: The graph.

    Returns:
        The pairs to cut.
    """
    block = edge_blocks(component)
    cuts = set()
    for f, es in enumerate(component.preds):
        kept: set[int] = set()
        for e in reversed(es):  # edges are numbered by level
            if block[e] in kept:
                cuts.add((e, f))
            kept.add(block[e])
    return cuts


def edge_blocks(component: Component) -> list[int]:
    """Number of the block of each edge, from one depth-first search without recursion.

    Args:
        component: The graph; its edges are taken without their direction, parallel ones form a block.

    Returns:
        One number for each edge, equal within a block.
    """
    incident: list[list[int]] = [[] for _ in range(component.num_nodes)]
    for e, (u, w) in enumerate(zip(component.start, component.end, strict=True)):
        incident[u].append(e)
        incident[w].append(e)
    block = [-1] * len(component.start)
    depth = [-1] * component.num_nodes
    lowest = [0] * component.num_nodes  # the least depth that the subtree below a node has an edge to
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
            other = component.start[e] + component.end[e] - node
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
