"""Where water can go from each cell: to all of its lower neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plstm_graph.datasets.terrain.elevation import NEIGHBOURS, Elevation, Grid

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Flow:
    """A DAG of cells, which are numbered row by row.

    Attributes:
        edges (ndarray): From a cell to a strictly lower neighbour, ``[2, E]``, int64.
        drop (ndarray): Metres down each edge, ``[E]``, positive.
        distance (ndarray): Metres along it, ``[E]``.
        diagonal (ndarray): Whether it leads to a cell that shares but a corner, ``[E]``.
    """

    edges: Numbers
    drop: Grid
    distance: Grid
    diagonal: NDArray[np.bool_]


def flow_of(elevation: Elevation) -> Flow:
    """Edges from every cell to all of its lower neighbours; what reaches the border leaves the map there.

    Args:
        elevation: Filled, see :func:`~plstm_graph.datasets.terrain.elevation.fill_depressions`; a cell inside that has
            no lower neighbour keeps what it receives, as a lake does.
    """
    height = elevation.height
    rows, columns = height.shape
    number = np.arange(rows * columns).reshape(rows, columns)
    inside = number[1:-1, 1:-1]
    found = []
    for down, right in NEIGHBOURS:
        to = number[1 + down : rows - 1 + down, 1 + right : columns - 1 + right]
        fall = height.flat[inside] - height.flat[to]
        falls = fall > 0
        length = np.hypot(down * elevation.depth, right * elevation.width)
        edges = np.stack([inside[falls], to[falls]])
        count = edges.shape[1]
        found.append((edges, fall[falls], np.full(count, length), np.full(count, bool(down and right))))
    edges, drop, distance, diagonal = (np.concatenate(part, axis=-1) for part in zip(*found, strict=True))
    order = np.argsort(edges[0], kind="stable")
    return Flow(edges[:, order], drop[order], distance[order], diagonal[order])


def steepest(flow: Flow, cells: int) -> Grid:
    """The largest drop over distance down from each cell, ``[N]``; 0 where nothing leads down."""
    slope = np.zeros(cells)
    np.maximum.at(slope, flow.edges[0], flow.drop / flow.distance)
    return slope
