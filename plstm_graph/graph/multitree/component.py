"""One connected line graph in plain lists, and what the search for a multitree asks of it.

Sets are Python integers used as bit sets (bit ``i`` stands for edge or node ``i``): on the small graphs this is meant
for they beat tensors by far, and an intersection of two sets of thousands of edges is still one operation.
"""

from collections.abc import Iterator
from dataclasses import dataclass

# Set operations that taking cuts back may cost (a fraction of a second); the cuts not looked at by then stay.
_BUDGET = 500_000

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
        budget -= 1
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
            budget -= upper.bit_count() + lower.bit_count()
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
