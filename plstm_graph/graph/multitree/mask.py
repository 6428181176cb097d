"""Which pairs of the line graph D-mode keeps, so that at most one path leads from any edge to any other."""

import torch
from torch import Tensor

from plstm_graph.graph.multitree.by_blocks import edge_blocks, one_per_block
from plstm_graph.graph.multitree.component import (
    Component,
    Pair,
    count_reached,
    greedy_cuts,
    is_multitree,
    restore,
)
from plstm_graph.graph.multitree.search import least_loss_cuts

# Bit sets take E^2 / 8 bytes: 32 MiB here. Connected components with more edges, or with more pairs than can be looked
# at in a second or two, fall back to a rule in linear time.
_MAX_SEARCH_EDGES = 2**14
_MAX_SEARCH_PAIRS = 2**20


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
    A component of more than 16,384 edges, or a million pairs, is cut by a rule in linear time that loses more, except
    on trees: an edge keeps at most one in-edge out of every block (biconnected component).

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64, in any order; parallel edges are legal.
        num_nodes: Number of nodes.
        pairs: Pairs (e, f) with ``end(e) == start(f)``, ``[2, P]``, int64; in any order, possibly not all, each once.
        level: Longest-path level of each node, ``[N]``, of :func:`~plstm_graph.graph.longest_path_levels`.
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
    components = _cyclic_components(start, end, num_nodes)
    if not components:
        return keep
    numbers = [-1] * num_edges
    for number, edges in enumerate(components):
        for e in edges:
            numbers[e] = number
    key = position[pairs[1]] * num_edges + position[pairs[0]]
    of_pair = edge_index.new_tensor(numbers)[position[pairs[1]]]
    cyclic = (of_pair >= 0).nonzero().view(-1)
    sizes = torch.bincount(of_pair[cyclic], minlength=len(components)).tolist()
    sorted_key, by_key = key[cyclic].sort()
    sorted_key = sorted_key[torch.argsort(of_pair[cyclic][by_key], stable=True)].cpu()
    cuts = [
        _component_cuts(edges, start, end, keys)
        for edges, keys in zip(components, sorted_key.split(sizes), strict=True)
    ]
    return torch.isin(key, torch.cat(cuts).to(key.device), invert=True)


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


def _component_cuts(edges: list[int], start: list[int], end: list[int], keys: Tensor) -> Tensor:
    """The pairs to cut in the component with the given edges; pairs (e, f) are given and named by ``f * E + e``."""
    num_edges = len(start)
    nodes: dict[int, int] = {}
    starts = [nodes.setdefault(start[e], len(nodes)) for e in edges]
    ends = [nodes.setdefault(end[e], len(nodes)) for e in edges]
    if len(edges) > _MAX_SEARCH_EDGES or keys.numel() > _MAX_SEARCH_PAIRS:
        block = keys.new_zeros(num_edges)
        block[edges] = keys.new_tensor(edge_blocks(starts, ends, len(nodes)))
        return keys[~one_per_block(keys % num_edges, keys // num_edges, block)]
    local = {e: i for i, e in enumerate(edges)}
    preds: list[list[int]] = [[] for _ in edges]
    for key in keys.tolist():
        preds[local[key // num_edges]].append(local[key % num_edges])
    component = Component(starts, ends, preds, len(nodes))
    cuts = set() if is_multitree(component) else _best_cuts(component)
    return keys.new_tensor([edges[f] * num_edges + edges[e] for e, f in cuts])


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
