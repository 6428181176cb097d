"""Which pairs of the line graph D-mode keeps, so that at most one path leads from any edge to any other."""

import torch
from torch import Tensor

from plstm_graph.graph.multitree_blocks import one_per_block
from plstm_graph.graph.multitree_component import (
    Component,
    Pair,
    count_reached,
    greedy_cuts,
    is_multitree,
    restore,
)
from plstm_graph.graph.multitree_search import least_loss_cuts

# Bit sets take E^2 / 8 bytes: 32 MiB here. Larger connected components fall back to a rule in linear time.
_MAX_SEARCH_EDGES = 2**14


def multitree_mask(
    edge_index: Tensor, num_nodes: int, pairs: Tensor, level: Tensor, rank: Tensor | None = None
) -> Tensor:
    r"""Choose the pairs that D-mode keeps: a multitree that loses as little reachability as we can find.

    In D-mode (section 3 of the paper) entries of the Transition are only bounded by one each, which is stable as long
    as the line graph is a *multitree*: at most one directed path between any two of its vertices. Which pairs to cut
    is free. An ordered pair of nodes (u, w) stays connected if some edge out of u reaches some edge into w; this
    function cuts where the fewest node pairs get disconnected. Nothing is lost on grids of any size and dimension
    and on most molecules; it never keeps less than the greedy rule of keeping a pair unless it closes a second path.

    Each connected component is treated on its own, so the mask of a batch is that of its graphs, one after the other.
    The order of the edges does not matter (but for parallel ones); node numbers, or ``rank``, only break ties. With
    ranks that do not depend on how the graph was written down, neither does the mask. Runs in plain Python on the host.
    A component of more than 16,384 edges is cut by a rule in linear time that loses more, except on trees: an edge
    keeps at most one in-edge out of every block (biconnected component).

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64, in any order; parallel edges are legal.
        num_nodes: Number of nodes.
        pairs: Pairs (e, f) with ``end(e) == start(f)``, ``[2, P]``, int64; in any order, possibly not all, each once.
        level: Longest-path level of each node, ``[N]``, of :func:`~plstm_graph.graph.levels.longest_path_levels`.
        rank: A number for each node, all different, that decides between equals, ``[N]``. (default: the node numbers)

    Returns:
        Whether each pair is kept, ``[P]``, bool, on the device of ``pairs``.
    """
    num_edges = edge_index.size(1)
    keep = torch.ones(pairs.size(1), dtype=torch.bool, device=pairs.device)
    if pairs.size(1) == 0:
        return keep
    ranked = edge_index if rank is None else rank.argsort().argsort()[edge_index]
    order = torch.argsort(ranked[0] * num_nodes + ranked[1], stable=True)
    order = order[torch.argsort(level[edge_index[0, order]], stable=True)]
    position = torch.empty_like(order)
    position[order] = torch.arange(num_edges, device=order.device)
    start, end = edge_index[:, order].tolist()
    key = position[pairs[1]] * num_edges + position[pairs[0]]
    preds: list[list[int]] = [[] for _ in range(num_edges)]
    for value in key.sort().values.tolist():
        preds[value // num_edges].append(value % num_edges)

    cuts = []
    for edges in _cyclic_components(start, end, num_nodes):
        cuts += [f * num_edges + e for e, f in _component_cuts(edges, start, end, preds)]
    if cuts:
        keep = torch.isin(key, key.new_tensor(cuts), invert=True)
    return keep


def _cyclic_components(start: list[int], end: list[int], num_nodes: int) -> list[list[int]]:
    """The edges of each connected component that is no tree; only there can two paths meet again."""
    parent = list(range(num_nodes))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    closing = []
    for u, w in zip(start, end, strict=True):
        u, w = root(u), root(w)
        if u == w:
            closing.append(u)
        else:
            parent[u] = w
    members: dict[int, list[int]] = {root(node): [] for node in closing}
    if members:
        for e, u in enumerate(start):
            component = members.get(root(u))
            if component is not None:
                component.append(e)
    return list(members.values())


def _component_cuts(edges: list[int], start: list[int], end: list[int], preds: list[list[int]]) -> set[Pair]:
    """The pairs to cut in the component with the given edges, in the numbering of ``edges``."""
    local = {e: i for i, e in enumerate(edges)}
    nodes: dict[int, int] = {}
    component = Component(
        [nodes.setdefault(start[e], len(nodes)) for e in edges],
        [nodes.setdefault(end[e], len(nodes)) for e in edges],
        [[local[d] for d in preds[e]] for e in edges],
        len(nodes),
    )
    if len(edges) > _MAX_SEARCH_EDGES:
        cuts = one_per_block(component)
    elif is_multitree(component):
        return set()
    else:
        cuts = _best_cuts(component)
    return {(edges[e], edges[f]) for e, f in cuts}


def _best_cuts(component: Component) -> set[Pair]:
    """The best of the search from above, the search from below and the greedy rule, without its needless cuts."""
    goal = count_reached(component)
    best = least_loss_cuts(component)
    kept = count_reached(component.without(best))
    if kept < goal:
        last = len(component.start) - 1
        upward = {(last - f, last - e) for e, f in least_loss_cuts(component.reversed())}
        for cuts in (upward, greedy_cuts(component)):
            reached = count_reached(component.without(cuts))
            if reached > kept:
                best, kept = cuts, reached
    return restore(component, best)
