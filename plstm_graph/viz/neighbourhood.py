"""The part of a large DAG that a prediction rests on."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from plstm_graph.graph import longest_path

_SHARE = 0.95  # of what all nodes add that the chosen ones reach together
_COLUMNS = 18  # nodes of a path that have room beside each other
_LAST = 5  # edges at the end of a path that are shown in any case
_NEAR = 2  # hidden nodes of a way that are shown after all
_LOOKED_AT = 20_000  # nodes that the search for a way visits


@dataclass
class Neighbourhood:
    """Nodes of a DAG that are shown, and how they hang together.

    Attributes:
        nodes (Tensor): Their numbers in the DAG, in order, ``[n]``.
        edges (Tensor): The edges between them: columns of the DAG's ``edge_index``, ``[e]``.
        ends (Tensor): Start and end of these edges, ``[2, e]``.
        ways (Tensor): Start and end of ways through nodes that are not shown, numbered as in the DAG, ``[2, w]``.
        hidden (list[int]): Number of nodes on each of these ways.
        left_out (int): In-edges of the nodes that are asked about, which are not shown because they are too many.
    """

    nodes: Tensor
    edges: Tensor
    ends: Tensor
    ways: Tensor
    hidden: list[int]
    left_out: int = 0

    @property
    def drawn(self) -> Tensor:
        """Start and end of all edges, and then of all ways, numbered by their place in :attr:`nodes`."""
        return torch.searchsorted(self.nodes, torch.cat([self.ends, self.ways], dim=1))


def neighbourhood(
    edge_index: Tensor, values: Tensor, marked: Sequence[int] = (), path: Tensor | None = None, most: int = 60
) -> Neighbourhood:
    """Choose the nodes of a DAG to show: those that are asked about and where their in-edges come from, a path, the
    nodes that add most, and short ways between them; longer ways are told by their length. Of a path of more than 18
    nodes those that add least are left out.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``.
        values: What each node adds, ``[N]``. Nodes that add nothing are not chosen for that.
        marked: Nodes that are asked about.
        path: Columns of ``edge_index`` that lie on a path, in its order; its end comes first where there is not room.
        most: Number of nodes.
    """
    total = len(values)
    if total <= most:
        every = torch.arange(edge_index.size(1))
        return Neighbourhood(torch.arange(total), every, edge_index, edge_index[:, :0], [])
    ways = _Ways(edge_index, total, marked)
    size = values.abs().double()
    chosen: dict[int, None] = dict.fromkeys(int(node) for node in marked)
    if path is not None:
        along = edge_index[:, path].t().reshape(-1).tolist()
        chosen |= dict.fromkeys(list(dict.fromkeys(reversed(along)))[: max(most - len(chosen), 0)])
    sources = {node for item in marked for node in ways.before[item]}
    room = max(most - len(chosen), 0) if len(sources) < most // 2 or path is not None else most // 2
    chosen |= dict.fromkeys(sorted(sources, key=lambda node: (-float(size[node]), node))[:room])
    reached, needed = 0.0, _SHARE * float(size.sum())
    for node in size.argsort(descending=True, stable=True).tolist():
        if len(chosen) >= most or reached >= needed or float(size[node]) == 0:
            break
        reached += float(size[node])
        if node not in chosen:
            between = ways.of(node, chosen.keys())[1:-1]
            chosen[node] = None
            if len(between) <= min(_NEAR, most - len(chosen)):
                chosen |= dict.fromkeys(between)
    fixed = {*marked, *sources, *([] if path is None else edge_index[:, path[-_LAST:]].reshape(-1).tolist())}
    while True:
        found = _joined(edge_index, total, set(chosen), ways)
        surplus = _surplus(found, size, fixed)
        if not surplus:
            found.left_out = len(sources - set(chosen))
            return found
        for node in surplus:
            del chosen[node]


def _joined(edge_index: Tensor, total: int, chosen: set[int], ways: "_Ways") -> Neighbourhood:
    """Chosen nodes with the edges between them, and ways where edges do not lead on."""
    nodes = torch.tensor(sorted(chosen), dtype=torch.long)
    is_shown = torch.zeros(total, dtype=torch.bool).index_fill_(0, nodes, True)
    edges = is_shown[edge_index].all(dim=0).nonzero().view(-1)
    found: dict[tuple[int, int], int] = {}
    for node in nodes.tolist():
        way = ways.of(node, chosen)
        if len(way) > 2:
            found[way[0], way[-1]] = len(way) - 2
    ends = torch.tensor(list(found), dtype=torch.long).view(-1, 2).t()
    return Neighbourhood(nodes, edges, edge_index[:, edges], ends, list(found.values()))


def _surplus(found: Neighbourhood, size: Tensor, fixed: set[int]) -> list[int]:
    """Nodes of a path that is too long for a picture, those that add least; none if it is not."""
    longest = found.nodes[longest_path(found.drawn, len(found.nodes))]
    free = [node for node in longest.tolist() if node not in fixed]
    return sorted(free, key=lambda node: float(size[node]))[: max(len(longest) - _COLUMNS, 0)]


class _Ways:
    """Shortest ways between the nodes of a DAG, along its edges.

    A node before those that are asked about is joined to them, and one behind them from them; of the others each to the
    next one ahead, or from the next one behind.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int, marked: Sequence[int]) -> None:
        self.before: list[list[int]] = [[] for _ in range(num_nodes)]
        self.after: list[list[int]] = [[] for _ in range(num_nodes)]
        for start, end in edge_index.t().tolist():
            self.before[end].append(start)
            self.after[start].append(end)
        self._marked = set(marked)
        self._ahead, self._behind = _reached(marked, self.before), _reached(marked, self.after)

    def of(self, node: int, shown: Collection[int]) -> list[int]:
        """The way of a node to or from another one that is shown, in the direction of its edges; empty without one.

        Args:
            node: The node.
            shown: Nodes that are shown.
        """
        if node in self._marked:
            return []
        if node in self._ahead:
            return _way(node, shown, self.after, self._ahead)
        if node in self._behind:
            return _way(node, shown, self.before, self._behind)[::-1]
        return _way(node, shown, self.after, None) or _way(node, shown, self.before, None)[::-1]


def _reached(nodes: Sequence[int], edges: Sequence[Sequence[int]]) -> set[int]:
    """Nodes that are reached from some, themselves included."""
    found, queue = set(nodes), list(nodes)
    while queue:
        fresh = set(edges[queue.pop()]) - found
        found |= fresh
        queue += fresh
    return found


def _way(
    node: int, shown: Collection[int], edges: Sequence[Sequence[int]], within: Collection[int] | None
) -> list[int]:
    """The shortest way from a node to one that is shown, through nodes ``within``; empty if there is none nearby."""
    came: dict[int, int] = {node: -1}
    queue = deque([node])
    while queue and len(came) < _LOOKED_AT:
        here = queue.popleft()
        if here in shown and here != node:
            found = [here]
            while came[found[-1]] >= 0:
                found.append(came[found[-1]])
            return found[::-1]
        for other in edges[here]:
            if other not in came and (within is None or other in within):
                came[other] = here
                queue.append(other)
    return []
