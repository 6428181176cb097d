"""A whole DAG of up to many thousand nodes in one view: levels from left to right, without words."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from plstm_graph.viz.dag import node_columns

_SWEEPS = 12
_EDGES = 20_000  # more edges are a grey sheet


def overview_layout(edge_index: Tensor, num_nodes: int) -> np.ndarray:
    """Places for the nodes of a large DAG, in time linear in its size: levels from left to right, nodes of a level
    spread evenly, in the order of the mean place of their neighbours.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        ``[N, 2]``: level, and place in the level, from -0.5 to 0.5 in the widest one.

    Raises:
        CycleError: If the graph has a directed cycle.
    """
    level = node_columns(edge_index, num_nodes, late=True).numpy()
    start, end = edge_index.numpy()
    count = np.bincount(level, minlength=1)
    widest = max(int(count.max(initial=1)), 1)
    place = _spread(np.arange(num_nodes, dtype=float), level, count, widest)
    for sweep in range(_SWEEPS):
        here, there = (end, start) if sweep % 2 == 0 else (start, end)
        total = np.bincount(here, weights=place[there], minlength=num_nodes)
        degree = np.bincount(here, minlength=num_nodes)
        mean = np.where(degree > 0, total / np.maximum(degree, 1), place)
        place = _spread(mean, level, count, widest)
    return np.stack([level.astype(float), place], axis=1)


def draw_overview(
    axes: Axes, edge_index: Tensor, places: np.ndarray, shown: Tensor, colors: list[tuple[float, ...]], title: str
) -> None:
    """Draw a whole DAG faintly, and some of its nodes strongly.

    Args:
        axes: Where.
        edge_index: Start and end node of each edge, ``[2, E]``.
        places: As from :func:`overview_layout`, ``[N, 2]``.
        shown: Nodes that are drawn strongly, ``[n]``.
        colors: Their colours.
        title: Above.
    """
    if edge_index.size(1) <= _EDGES:
        is_shown = torch.zeros(len(places), dtype=torch.bool).index_fill_(0, shown, True)
        strong = is_shown[edge_index].all(dim=0)
        for which, color, width in ((~strong, "0.8", 0.3), (strong, "0.3", 0.7)):
            lines = places[edge_index[:, which].t().numpy()]
            axes.add_collection(LineCollection(list(lines), zorder=1, colors=color, linewidths=width))
    dot = float(np.clip(4000 / max(len(places), 1), 0.5, 8))
    x, y = places.T
    axes.scatter(x, y, s=dot, c="0.75", linewidths=0, zorder=2)
    axes.scatter(x[shown], y[shown], s=14, c=colors, edgecolors="0.2", linewidths=0.4, zorder=3)
    axes.margins(0.03, 0.06)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _spread(order: np.ndarray, level: np.ndarray, count: np.ndarray, widest: int) -> np.ndarray:
    """Even places around 0 in each level, in an order; a level is as high as the root of its number of nodes."""
    sorted_ = np.lexsort((order, level))
    rank = np.empty(len(order))
    rank[sorted_] = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    return (rank - (count[level] - 1) / 2) / np.sqrt(count[level] * widest)
