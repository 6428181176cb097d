"""Drawing a DAG level by level."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from plstm_graph.graph import generations
from plstm_graph.text import plot_label

_SWEEPS = 8


def layered_layout(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Places for the nodes of a DAG: levels from left to right, and in each level nodes beside what they are joined to.

    Within a level, nodes are ordered by the mean place of their neighbours, in a few sweeps there and back, which
    leaves few crossings on small graphs.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        ``[N, 2]``, float: level, and place in the level around 0.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    levels = [nodes.tolist() for nodes in generations(edge_index, num_nodes)]
    before: list[list[int]] = [[] for _ in range(num_nodes)]
    after: list[list[int]] = [[] for _ in range(num_nodes)]
    for start, end in edge_index.t().tolist():
        before[end].append(start)
        after[start].append(end)
    place = [0.0] * num_nodes
    for nodes in levels:
        _spread(nodes, place)
    for sweep in range(_SWEEPS):
        neighbours, order = (before, levels) if sweep % 2 == 0 else (after, levels[::-1])
        for nodes in order:
            mean = {n: sum(place[m] for m in neighbours[n]) / len(neighbours[n]) for n in nodes if neighbours[n]}
            nodes.sort(key=lambda n, mean=mean: mean.get(n, place[n]))  # type: ignore[misc]
            _spread(nodes, place)
    column = [0] * num_nodes
    for number, nodes in enumerate(levels):
        for node in nodes:
            column[node] = number
    return torch.tensor([*zip(column, place, strict=True)], dtype=torch.float).view(-1, 2)


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
    """
    places = layered_layout(edge_index, num_nodes)
    x, y = places.unbind(1)
    words = [str(node) for node in range(num_nodes)] if labels is None else labels
    for column, (start, end) in enumerate(edge_index.t().tolist()):
        is_strong = strong is None or bool(strong[column])
        # An edge over several levels bends, so that it does not hide behind nodes between.
        bend = 0.18 if x[end] - x[start] > 1 else 0.0
        arrow = FancyArrowPatch(
            (float(x[start]), float(y[start])),
            (float(x[end]), float(y[end])),
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=10,
            shrinkB=10,
            connectionstyle=f"arc3,rad={bend}",
            color="0.25" if is_strong else "0.8",
            linewidth=1.2 if is_strong else 0.8,
            linestyle="-" if is_strong else "--",
        )
        axes.add_patch(arrow)
    look: dict[str, Any] = {"c": colors}
    if colors is None:
        # The first level is not white, and words can be read on the last one.
        look = {"c": x.tolist(), "cmap": "Blues", "vmin": -1, "vmax": 1.6 * float(x.max()) + 1}
    widths = [3.0 if node in marked else 1.0 for node in range(num_nodes)]
    axes.scatter(x.tolist(), y.tolist(), s=330, edgecolors="0.3", linewidths=widths, zorder=2, **look)
    for node, word in enumerate(words):
        axes.annotate(
            plot_label(word), (float(x[node]), float(y[node])), ha="center", va="center", fontsize=8, zorder=3
        )
    axes.set(title=plot_label(title))
    axes.margins(0.12)
    axes.set_axis_off()


def _spread(nodes: Sequence[int], place: list[float]) -> None:
    """Give the nodes of a level neighbouring places around 0, in their order."""
    for number, node in enumerate(nodes):
        place[node] = number - (len(nodes) - 1) / 2
