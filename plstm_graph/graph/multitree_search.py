"""Search for the cuts that make one connected line graph a multitree at the least loss of reachability.

Sets are Python integers used as bit sets (bit ``i`` stands for edge or node ``i``): on the small graphs this is meant
for they beat tensors by far, and an intersection of two sets of thousands of edges is still one instruction or two.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

# Steps of loss propagation that one search may take (under a second); after that, conflicts are cut without a look.
_BUDGET = 250_000

Pair = tuple[int, int]


@dataclass
class Component:
    """A connected DAG with its line graph, in plain lists.

    Edges are numbered in topological order: ``e < f`` for every pair (e, f).

    Attributes:
        start: Start node of each edge, numbered from 0.
        end: End node of each edge.
        preds: For each edge f, the edges e of its pairs (e, f), ascending.
        num_nodes: Number of nodes.
    """

    start: list[int]
    end: list[int]
    preds: list[list[int]]
    num_nodes: int

    def reversed(self) -> "Component":
        """The same graph with every edge turned round; edge ``i`` becomes ``E - 1 - i``."""
        last = len(self.start) - 1
        preds: list[list[int]] = [[] for _ in self.start]
        for f in range(last, -1, -1):
            for e in self.preds[f]:
                preds[last - e].append(last - f)
        return Component(self.end[::-1], self.start[::-1], preds, self.num_nodes)

    def without(self, cuts: set[Pair]) -> "Component":
        """The same graph with the pairs ``cuts`` taken out."""
        preds = [[e for e in es if (e, f) not in cuts] for f, es in enumerate(self.preds)]
        return Component(self.start, self.end, preds, self.num_nodes)


def is_multitree(component: Component) -> bool:
    """Whether at most one path of pairs leads from any edge to any other."""
    ancestors: list[int] = []
    for f, es in enumerate(component.preds):
        seen = 1 << f
        for e in es:
            if ancestors[e] & seen:
                return False
            seen |= ancestors[e]
        ancestors.append(seen)
    return True


def count_reached(component: Component) -> int:
    """Number of ordered node pairs (u, w) such that an edge out of u reaches an edge into w."""
    sources: list[int] = []
    into = [0] * component.num_nodes
    for start, end, es in zip(component.start, component.end, component.preds, strict=True):
        seen = 1 << start
        for e in es:
            seen |= sources[e]
        sources.append(seen)
        into[end] |= seen
    return sum(seen.bit_count() for seen in into)


def greedy_cuts(component: Component) -> set[Pair]:
    """Cut every pair that would close a second path, going through edges and their in-edges in topological order."""
    cuts = set()
    ancestors: list[int] = []
    for f, es in enumerate(component.preds):
        seen = 1 << f
        for e in es:
            if ancestors[e] & seen:
                cuts.add((e, f))
            else:
                seen |= ancestors[e]
        ancestors.append(seen)
    return cuts


def restore(component: Component, cuts: set[Pair]) -> set[Pair]:
    """Take back, one after the other, every cut that closes no second path any more.

    Args:
        component: The graph with all its pairs.
        cuts: Pairs whose removal makes it a multitree.

    Returns:
        The cuts that are left. None of them is needless: putting any of them back would close a second path.
    """
    kept = component.without(cuts)
    size = len(kept.preds)
    above, below = [1 << e for e in range(size)], [1 << e for e in range(size)]
    for f, es in enumerate(kept.preds):
        for e in es:
            above[f] |= above[e]
    for f in range(size - 1, -1, -1):
        for e in kept.preds[f]:
            below[e] |= below[f]
    left = set()
    budget = _BUDGET
    for e, f in sorted(cuts):
        upper = above[e]
        while upper and budget > 0:  # from the nearest ancestor on, where a second path is most likely
            top = upper.bit_length() - 1
            if below[top] & below[f]:
                break
            upper ^= 1 << top
            budget -= 1
        if upper:
            left.add((e, f))
        else:
            upper, lower = above[e], below[f]
            for d in _members(upper):
                below[d] |= lower
            for g in _members(lower):
                above[g] |= upper
    return left


def _members(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def least_loss_cuts(component: Component) -> set[Pair]:
    """Go through the edges in topological order and resolve each second path by the cut that loses least.

    See :class:`_LeastLoss` for the rule.
    """
    return _LeastLoss(component).run()


class _LeastLoss:
    """State of one search.

    When edge f is reached, all edges before it form a multitree already. If two of its in-edges have an ancestor in
    common, the last such ancestor x starts two disjoint paths that meet in f, and one of their pairs has to go. The one
    whose removal disconnects the fewest node pairs (in the graph as it is cut so far) is taken; among equals first one
    that :func:`_unsorted_corners` names, then one inside the paths rather than at x or f, where more paths meet.
    """

    def __init__(self, component: Component) -> None:
        self.component = component
        self.preds = [list(es) for es in component.preds]
        self.succs: list[list[int]] = [[] for _ in self.preds]
        for f, es in enumerate(self.preds):
            for e in es:
                self.succs[e].append(f)
        self.out_edges: list[list[int]] = [[] for _ in range(component.num_nodes)]
        for e, node in enumerate(component.start):
            self.out_edges[node].append(e)
        self.ancestors = [0] * len(self.preds)  # edges that reach e, with e
        self.reached = [0] * len(self.preds)  # end nodes of the edges that e reaches, with its own
        for e in range(len(self.preds) - 1, -1, -1):
            self.reached[e] = self._reached_through(e, self.succs[e])
        self.corners = _unsorted_corners(component)
        self.cuts: set[Pair] = set()
        self.budget = _BUDGET

    def run(self) -> set[Pair]:
        for f in range(len(self.preds)):
            conflict = self._visit(f)
            while conflict is not None:
                self._resolve(f, *conflict)
                conflict = self._visit(f)
        return self.cuts

    def _visit(self, f: int) -> Pair | None:
        """Collect the ancestors of ``f``; returns the first two of its in-edges that have one in common."""
        seen = 1 << f
        for e in self.preds[f]:
            if self.ancestors[e] & seen:
                return next(d for d in self.preds[f] if self.ancestors[d] & self.ancestors[e]), e
            seen |= self.ancestors[e]
        self.ancestors[f] = seen
        return None

    def _resolve(self, f: int, d: int, e: int) -> None:
        if self.budget <= 0:
            self._cut((e, f), {}, f)
            return
        origin = (self.ancestors[d] & self.ancestors[e]).bit_length() - 1
        paths = [self._path(origin, d, f), self._path(origin, e, f)]
        inner = [pair for path in paths for pair in path[1:-1]]
        outer = [pair for path in paths for pair in (path[0], path[-1])]
        candidates = sorted(inner + outer, key=lambda pair: pair not in self.corners)
        best: tuple[int, Pair, dict[int, int]] | None = None
        for pair in candidates:
            change = self._change(pair)
            loss = self._loss(change)
            if best is None or loss < best[0]:
                best = loss, pair, change
            if loss == 0:
                break
        assert best is not None
        self._cut(best[1], best[2], f)

    def _path(self, origin: int, e: int, f: int) -> list[Pair]:
        """The pairs of the one path from ``origin`` over ``e`` to ``f``, last pair first."""
        path = [(e, f)]
        while e != origin:
            previous = next(d for d in self.preds[e] if self.ancestors[d] >> origin & 1)
            path.append((previous, e))
            e = previous
        return path

    def _reached_through(self, e: int, succs: list[int]) -> int:
        reached = 1 << self.component.end[e]
        for f in succs:
            reached |= self.reached[f]
        return reached

    def _change(self, pair: Pair) -> dict[int, int]:
        """What ``reached`` would become without ``pair``, for the edges where it differs."""
        e, cut = pair
        changed: dict[int, int] = {}
        reached = self._reached_through(e, [f for f in self.succs[e] if f != cut])
        self.budget -= 1
        if reached == self.reached[e]:
            return changed
        changed[e] = reached
        heap = [-d for d in self.preds[e]]
        heapq.heapify(heap)
        while heap:
            d = -heapq.heappop(heap)
            self.budget -= 1
            if d in changed:
                continue
            reached = 1 << self.component.end[d]
            for f in self.succs[d]:
                reached |= changed.get(f, self.reached[f])
            if reached != self.reached[d]:
                changed[d] = reached
                for c in self.preds[d]:
                    heapq.heappush(heap, -c)
        return changed

    def _loss(self, changed: dict[int, int]) -> int:
        """Number of node pairs that a change would disconnect."""
        loss = 0
        for node in {self.component.start[e] for e in changed}:
            before = after = 0
            for e in self.out_edges[node]:
                before |= self.reached[e]
                after |= changed.get(e, self.reached[e])
            loss += (before & ~after).bit_count()
        return loss

    def _cut(self, pair: Pair, changed: dict[int, int], current: int) -> None:
        e, f = pair
        self.cuts.add(pair)
        self.preds[f].remove(e)
        self.succs[e].remove(f)
        for d, reached in changed.items():
            self.reached[d] = reached
        heap = [f]
        while heap:
            g = heapq.heappop(heap)
            if g >= current:  # not visited yet, or to be visited again
                break
            ancestors = 1 << g
            for d in self.preds[g]:
                ancestors |= self.ancestors[d]
            if ancestors != self.ancestors[g]:
                self.ancestors[g] = ancestors
                for h in self.succs[g]:
                    heapq.heappush(heap, h)


def _unsorted_corners(component: Component) -> set[Pair]:
    """For every diamond, the one of its two paths that goes against a common order of directions.

    A diamond is two paths of two edges between the same nodes. Its opposite edges point the same way; all edges linked
    like this are one *direction*, ranked by its first edge. One path of a diamond takes the lower direction first, the
    other the higher: that is the unsorted corner. On a grid of any dimension, the paths without unsorted corners are
    those that take their directions in sorted order, and between two nodes there is exactly one of them.
    """
    by_ends: dict[Pair, list[Pair]] = {}
    for f, es in enumerate(component.preds):
        for e in es:
            by_ends.setdefault((component.start[e], component.end[f]), []).append((e, f))
    parent = list(range(len(component.preds)))

    def direction(e: int) -> int:
        while parent[e] != e:
            parent[e] = parent[parent[e]]
            e = parent[e]
        return e

    diamonds = [
        pairs
        for pairs in by_ends.values()
        if len(pairs) == 2 and component.end[pairs[0][0]] != component.end[pairs[1][0]]
    ]
    for (e, f), (g, h) in diamonds:
        for side, opposite in ((e, h), (g, f)):
            low, high = sorted((direction(side), direction(opposite)))
            parent[high] = low
    return {first if direction(first[0]) > direction(first[1]) else second for first, second in diamonds}
