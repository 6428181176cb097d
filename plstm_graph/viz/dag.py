"""Drawing a DAG level by level."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from torch import Tensor

from plstm_graph.graph import longest_path_levels
from plstm_graph.text import plot_label

Point = tuple[float, float]
_SWEEPS = 8
_LANE = 0.5  # height that an edge takes in a level that it passes, where a node takes 1
_LETTERS = 14  # of a line of words on a node


def layered_layout(edge_index: Tensor, num_nodes: int, late: bool = False) -> Tensor:
    """Places for the nodes of a DAG: levels from left to right, and in each level nodes beside what they are joined to.

    Within a level, nodes are ordered by the mean place of their neighbours, in a few sweeps there and back, which
    leaves few crossings on small graphs. Edges over several levels have places between the nodes of these levels.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
        late: Put nodes without in-edges right before the first of those that they lead to, not at the far left.

    Returns:
        ``[N, 2]``, float: level, and place in the level around 0.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    places, _ = routed_layout(edge_index, num_nodes, late)
    return torch.tensor(places, dtype=torch.float).view(-1, 2)


def node_columns(edge_index: Tensor, num_nodes: int, late: bool) -> Tensor:
    """Column of each node, ``[N]``: its level, or, if it has no in-edges and ``late`` is set, the one right before the
    first node that it leads to."""
    level = longest_path_levels(edge_index, num_nodes)
    if not late or not num_nodes:
        return level
    start, end = edge_index
    first = torch.full_like(level, num_nodes).scatter_reduce(0, start, level[end], "amin")
    is_source = torch.bincount(end, minlength=num_nodes) == 0
    return torch.where(is_source & (first < num_nodes), first - 1, level)


def routed_layout(edge_index: Tensor, num_nodes: int, late: bool = False) -> tuple[list[Point], list[list[Point]]]:
    """As :func:`layered_layout`, with the ways of edges between the nodes that they pass.

    Returns:
        The place of each node, and for each edge its places in the levels between its ends, in order. Edges that leave
        the same node share them.
    """
    column = node_columns(edge_index, num_nodes, late).tolist()
    levels: list[list[int]] = [[] for _ in range(max(column, default=-1) + 1)]
    for node, number in enumerate(column):
        levels[number].append(node)
    joined: list[tuple[int, int]] = []
    lanes: dict[tuple[int, int], int] = {}  # by the node that an edge leaves, and the level that it passes
    ways: list[list[int]] = []
    for start, end in edge_index.t().tolist():
        way = []
        for level in range(column[start] + 1, column[end]):
            if (start, level) not in lanes:
                lanes[start, level] = len(column)
                levels[level].append(len(column))
                column.append(level)
            way.append(lanes[start, level])
        ways.append(way)
        joined += pairwise([start, *way, end])
    before: list[list[int]] = [[] for _ in column]
    after: list[list[int]] = [[] for _ in column]
    for start, end in joined:
        before[end].append(start)
        after[start].append(end)
    place = [0.0] * len(column)
    for nodes in levels:
        _spread(nodes, place, num_nodes)
    for sweep in range(_SWEEPS):
        neighbours, order = (before, levels) if sweep % 2 == 0 else (after, levels[::-1])
        for nodes in order:
            mean = {n: sum(place[m] for m in neighbours[n]) / len(neighbours[n]) for n in nodes if neighbours[n]}
            nodes.sort(key=lambda n, mean=mean: mean.get(n, place[n]))  # type: ignore[misc]
            _spread(nodes, place, num_nodes)
    points = [*zip(map(float, column), place, strict=True)]
    return points[:num_nodes], [[points[lane] for lane in way] for way in ways]


def draw_dag(
    axes: Axes,
    edge_index: Tensor,
    num_nodes: int,
    *,
    labels: Sequence[str] | None = None,
    colors: Sequence[object] | None = None,
    strong: Tensor | None = None,
    marked: Sequence[int] = (),
    title: str = "",
    ways: Tensor | None = None,
    hidden: Sequence[int] = (),
    late: bool = False,
) -> None:
    """Draw a DAG of up to some hundred nodes.

    Args:
        axes: Where to draw.
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.
        labels: Words on the nodes. (default: their numbers)
        colors: Colour of each node. (default: by level)
        strong: Edges to draw strongly, the others faintly, ``[E]``, bool. (default: all)
        marked: Nodes with a thick border.
        title: Title of the picture.
        ways: Start and end of ways through nodes that are not drawn, ``[2, w]``; they are dotted.
        hidden: Number of nodes on each of them, which stands beside it.
        late: As of :func:`layered_layout`.
    """
    every = edge_index if ways is None else torch.cat([edge_index, ways], dim=1)
    places, routes = routed_layout(every, num_nodes, late)
    x, y = [place[0] for place in places], [place[1] for place in places]
    words = [str(node) for node in range(num_nodes)] if labels is None else labels
    for column, (start, end) in enumerate(every.t().tolist()):
        is_way = column >= edge_index.size(1)
        is_strong = not is_way and (strong is None or bool(strong[column]))
        look: dict[str, Any] = {
            "color": "0.25" if is_strong else "0.45" if is_way else "0.8",
            "linewidth": 1.2 if is_strong else 0.8,
            "linestyle": "-" if is_strong else ":" if is_way else "--",
            "zorder": 1.5 if is_strong else 1.0,
        }
        # An edge over several levels goes between the nodes there, not behind them.
        passed = [places[start], *routes[column]]
        if is_way:
            _count(axes, hidden[column - edge_index.size(1)], [*passed, places[end]])
        if len(passed) > 1:
            axes.plot(*zip(*passed, strict=True), solid_joinstyle="round", **look)
        joins = 0 if len(passed) > 1 else 10
        arrow = FancyArrowPatch(
            passed[-1], places[end], arrowstyle="-|>", mutation_scale=11, shrinkA=joins, shrinkB=10, **look
        )
        axes.add_patch(arrow)
    look = {"c": colors}
    if colors is None:
        # The first level is not white, and words can be read on the last one.
        look = {"c": x, "cmap": "Blues", "vmin": -1, "vmax": 1.6 * max(x, default=0.0) + 1}
    widths = [3.0 if node in marked else 1.0 for node in range(num_nodes)]
    axes.scatter(x, y, s=330, edgecolors="0.3", linewidths=widths, zorder=2, **look)
    for node, word in enumerate(words):
        text = axes.annotate(plot_label(_shortened(word)), places[node], ha="center", va="center", fontsize=8, zorder=3)
        text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
    axes.set(title=plot_label(title))
    if places:  # room for words and circles, as much beside many nodes as beside few
        axes.set(xlim=(min(x) - 0.6, max(x) + 0.6), ylim=(min(y) - 0.8, max(y) + 0.8))
    axes.set_axis_off()


def _count(axes: Axes, hidden: int, passed: Sequence[Point]) -> None:
    """How many nodes are on a way that is drawn, in its middle."""
    middle = len(passed) // 2
    (x0, y0), (x1, y1) = passed[middle - 1], passed[middle]
    place = (x0 + x1) / 2, (y0 + y1) / 2
    text = axes.annotate(f"+{hidden:,}", place, ha="center", va="center", fontsize=7, color="0.35", zorder=1.8)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _spread(nodes: Sequence[int], place: list[float], num_nodes: int) -> None:
    """Give the nodes of a level, and edges that pass it, neighbouring places around 0, in their order."""
    heights = [1.0 if node < num_nodes else _LANE for node in nodes]
    below = -sum(heights) / 2
    for node, height in zip(nodes, heights, strict=True):
        place[node] = below + height / 2
        below += height


def _shortened(words: str) -> str:
    """Words on a node, whose lines have room until the next level."""
    lines = str(words).split("\n")
    return "\n".join(line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1]}\u2026" for line in lines)
