"""Search for the cuts that make one connected line graph a multitree at the least loss of reachability."""

import heapq

from plstm_graph.graph.multitree.component import Component, Pair

# Set operations that one search may take (a second or two); after that, conflicts are cut without a look. Each counts
# for more where sets are large.
_BUDGET = 8_000_000
_SET_SIZE = 4096


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
    that :func:`_unsorted_corners` names, last one at x or f, where more paths meet.
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
            self.reached[e] = 1 << component.end[e]
            for f in self.succs[e]:
                self.reached[e] |= self.reached[f]
        self.corners = _unsorted_corners(component)
        self.cuts: set[Pair] = set()
        self.budget = _BUDGET // (1 + len(self.preds) // _SET_SIZE)

    def run(self) -> set[Pair]:
        for f in range(len(self.preds)):
            conflict = self._visit(f)
            while conflict is not None and self.budget > 0:
                self._resolve(f, *conflict)
                conflict = self._visit(f)
            if conflict is not None:
                self._cut_conflicts(f)
        return self.cuts

    def _visit(self, f: int) -> Pair | None:
        """Collect the ancestors of ``f``; returns the first two of its in-edges that have one in common."""
        seen = 1 << f
        self.budget -= len(self.preds[f])
        for e in self.preds[f]:
            if self.ancestors[e] & seen:
                return next(d for d in self.preds[f] if self.ancestors[d] & self.ancestors[e]), e
            seen |= self.ancestors[e]
        self.ancestors[f] = seen
        return None

    def _cut_conflicts(self, f: int) -> None:
        """Cut every in-edge of ``f`` that has an ancestor in common with those before it."""
        seen, kept = 1 << f, []
        for e in self.preds[f]:
            if self.ancestors[e] & seen:
                self.cuts.add((e, f))
            else:
                seen |= self.ancestors[e]
                kept.append(e)
        self.preds[f], self.ancestors[f] = kept, seen

    def _resolve(self, f: int, d: int, e: int) -> None:
        origin = (self.ancestors[d] & self.ancestors[e]).bit_length() - 1
        paths = [self._path(origin, d, f), self._path(origin, e, f)]
        inner = [pair for path in paths for pair in path[1:-1]]
        outer = [pair for path in paths for pair in (path[0], path[-1])]
        lost_at = {pair: self._lost_at(*pair) for pair in inner + outer}
        # Cheap guesses first, so that a cut without loss is found before the expensive ones are worked out.
        guess = {(c, g): lost.bit_count() * self.ancestors[c].bit_count() for (c, g), lost in lost_at.items()}
        best: tuple[int, Pair, dict[int, int]] | None = None
        for pair in sorted(lost_at, key=lambda pair: (pair not in self.corners, guess[pair])):
            lost_by = self._spread(pair[0], lost_at[pair])
            loss = self._loss(lost_by)
            if best is None or loss < best[0]:
                best = loss, pair, lost_by
            if loss == 0:
                break
        assert best is not None
        self._cut(best[1], best[2], f)

    def _path(self, origin: int, e: int, f: int) -> list[Pair]:
        """The pairs of the one path from ``origin`` over ``e`` to ``f``, last pair first."""
        path = [(e, f)]
        while e != origin:
            self.budget -= len(self.preds[e])
            previous = next(d for d in self.preds[e] if self.ancestors[d] >> origin & 1)
            path.append((previous, e))
            e = previous
        return path

    def _lost_at(self, e: int, f: int) -> int:
        """The nodes that edge ``e`` would no longer reach without the pair (e, f)."""
        self.budget -= len(self.succs[e])
        lost = self.reached[f] & ~(1 << self.component.end[e])
        for g in self.succs[e]:
            if g != f:
                lost &= ~self.reached[g]
        return lost

    def _spread(self, e: int, lost: int) -> dict[int, int]:
        """If edge ``e`` no longer reaches the nodes ``lost``: what each edge no longer reaches, where that is any."""
        if not lost:
            return {}
        lost_by = {e: lost}
        at_risk = dict.fromkeys(self.preds[e], lost)
        heap = [-d for d in at_risk]
        heapq.heapify(heap)
        while heap:
            d = -heapq.heappop(heap)
            self.budget -= 1 + len(self.succs[d]) + len(self.preds[d])
            lost = at_risk.pop(d) & ~(1 << self.component.end[d])
            for f in self.succs[d]:
                lost &= ~self.reached[f] | lost_by.get(f, 0)
            if lost:
                lost_by[d] = lost
                for c in self.preds[d]:
                    if c not in at_risk:
                        heapq.heappush(heap, -c)
                    at_risk[c] = at_risk.get(c, 0) | lost
        return lost_by

    def _loss(self, lost_by: dict[int, int]) -> int:
        """Number of node pairs that are disconnected if edges lose the nodes ``lost_by``."""
        at_risk: dict[int, int] = {}
        for e, lost in lost_by.items():
            node = self.component.start[e]
            at_risk[node] = at_risk.get(node, 0) | lost
        loss = 0
        for node, lost in at_risk.items():
            self.budget -= len(self.out_edges[node])
            for e in self.out_edges[node]:
                lost &= ~self.reached[e] | lost_by.get(e, 0)
                if not lost:
                    break
            loss += lost.bit_count()
        return loss

    def _cut(self, pair: Pair, lost_by: dict[int, int], current: int) -> None:
        e, f = pair
        self.cuts.add(pair)
        self.preds[f].remove(e)
        self.succs[e].remove(f)
        for d, lost in lost_by.items():
            self.reached[d] &= ~lost
        heap = [f]
        while heap:
            g = heapq.heappop(heap)
            if g >= current:  # not visited yet, or to be visited again
                break
            ancestors = 1 << g
            self.budget -= 1 + len(self.preds[g])
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
