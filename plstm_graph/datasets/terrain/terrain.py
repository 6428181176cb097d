"""Graphs of parts of the map during an event of rain."""

import functools

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.terrain.elevation import Elevation, Grid, fill_depressions, load_elevation
from plstm_graph.datasets.terrain.fields import smooth_field
from plstm_graph.datasets.terrain.flow import Flow, flow_of, steepest
from plstm_graph.datasets.terrain.hydrology import Discharge, Ground, discharge_of

#: Columns of ``x``; all but rain in standard deviations over the map.
NODE_FEATURES = ("height", "slope", "curvature", "sand", "cover", "rain")
#: Columns of ``edge_attr``.
EDGE_FEATURES = ("log_slope", "relative_slope", "diagonal")

Window = tuple[int, int, int, int]


class Terrain:
    """A landscape and the water that flows over it after rain.

    Heights are real (:func:`~plstm_graph.datasets.terrain.elevation.load_elevation`); soil, cover and rain are smooth
    random fields; discharge follows from a formula that no model is shown
    (:mod:`~plstm_graph.datasets.terrain.hydrology`).

    Args:
        seed (int): Of soil, cover and rain. (default: ``0``)
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.elevation = _filled()
        shape = self.elevation.height.shape
        self.sand, self.cover = smooth_field(shape, 12, (seed, 0)), smooth_field(shape, 8, (seed, 1))
        self.slope = steepest(flow_of(self.elevation), self.sand.size).reshape(shape)
        height = _relative_height(self.elevation.height)
        curvature = _curvature(self.elevation)
        self._local = np.stack([_standardised(each) for each in (height, self.slope, curvature, self.sand, self.cover)])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return map_shape()

    def height(self, window: Window) -> Grid:
        """Heights of a part of the map, depressions filled, ``[rows, columns]`` in metres."""
        return self.elevation.height[self._slices(window)]

    def rain(self, window: Window, event: int) -> Grid:
        """Rain on each cell of a part of the map in a storm, ``[N]`` in millimetres.

        Some rain falls everywhere, and more in an elliptical cell about some place of the map.

        Args:
            window: As of :meth:`graph`.
            event: Its number, which decides amount, place and shape.
        """
        rows, columns = self._slices(window)
        random = np.random.default_rng((self.seed, 3, event))
        amount, centre, radius, turn = (
            random.uniform(40, 120),
            random.uniform(0, self.shape),
            random.uniform(60, 240, 2),
            random.uniform(0, np.pi),
        )
        down, right = np.mgrid[rows, columns] - centre.reshape(2, 1, 1)
        along = (np.cos(turn) * down + np.sin(turn) * right) / radius[0]
        across = (np.cos(turn) * right - np.sin(turn) * down) / radius[1]
        return (amount * (0.4 + np.exp(-(along**2 + across**2) / 2))).reshape(-1)

    def graph(self, window: Window, event: int) -> Data:
        """The DAG of a part of the map in an event. Its border is an outlet: what reaches it leaves.

        Args:
            window: First row, first column, and the numbers of rows and columns.
            event: Number of the event, see :meth:`rain`.

        Returns:
            ``x`` ``[N, 6]`` (:data:`NODE_FEATURES`), ``edge_attr`` ``[E, 3]`` (:data:`EDGE_FEATURES`), ``y``
            ``[N, 1]``, the discharge in millimetres on a cell, ``outlet`` ``[N]``, bool, and ``grid`` ``[1, 2]``, its
            rows and columns.

        Raises:
            ValueError: If the window is not on the map, or has no inside.
        """
        rows, columns = self._slices(window)
        flow, ground, rain, discharge = self.water(window, event)
        cells = len(rain)
        features = np.concatenate([self._local[:, rows, columns].reshape(5, cells), ((rain - 60) / 30)[None]])
        edge_attr = np.stack(
            [
                np.log(flow.drop / flow.distance) / 2 + 1,
                np.log(flow.drop / flow.distance / ground.slope[flow.edges[0]]),
                flow.diagonal,
            ]
        )
        return Data(
            x=torch.from_numpy(features.T).float(),
            edge_index=torch.from_numpy(flow.edges),
            edge_attr=torch.from_numpy(edge_attr.T).float(),
            y=torch.from_numpy(discharge.total).float().view(-1, 1),
            outlet=_outlets(flow, cells),
            grid=torch.tensor([window[2:]]),
        )

    def water(self, window: Window, event: int) -> tuple[Flow, Ground, Grid, Discharge]:
        """What :meth:`graph` is made of: edges, ground, rain ``[N]`` and the discharge of a part of the map."""
        rows, columns = self._slices(window)
        flow = flow_of(Elevation(self.height(window), self.elevation.width, self.elevation.depth))
        ground = Ground(*(field[rows, columns].reshape(-1) for field in (self.sand, self.cover, self.slope)))
        rain = self.rain(window, event)
        return flow, ground, rain, discharge_of(flow, rain, ground)

    def _slices(self, window: Window) -> tuple[slice, slice]:
        row, column, rows, columns = window
        fits = 0 <= row <= self.shape[0] - rows and 0 <= column <= self.shape[1] - columns
        if not fits or min(rows, columns) < 3:
            raise ValueError(
                f"a window (row, column, rows, columns) of at least 3 x 3 cells must lie on the map of "
                f"{self.shape[0]} x {self.shape[1]}, got {window}"
            )
        return slice(row, row + rows), slice(column, column + columns)


def map_shape() -> tuple[int, int]:
    """Rows and columns of the map."""
    return _filled().height.shape


@functools.cache
def _filled() -> Elevation:
    raw = load_elevation()
    return Elevation(fill_depressions(raw.height), raw.width, raw.depth)


def _outlets(flow: Flow, cells: int) -> Tensor:
    return torch.from_numpy(np.bincount(flow.edges[0], minlength=cells) == 0)


def _relative_height(height: Grid, reach: int = 4) -> Grid:
    """Height above the mean of a square of neighbours."""
    side = 2 * reach + 1
    padded = np.pad(height, reach, mode="edge")
    return height - np.lib.stride_tricks.sliding_window_view(padded, (side, side)).mean(axis=(2, 3))


def _curvature(elevation: Elevation) -> Grid:
    """The Laplacian of the height: positive in hollows, negative on ridges."""
    padded = np.pad(elevation.height, 1, mode="edge")
    inside = padded[1:-1, 1:-1]
    across = (padded[1:-1, 2:] + padded[1:-1, :-2] - 2 * inside) / elevation.width**2
    return across + (padded[2:, 1:-1] + padded[:-2, 1:-1] - 2 * inside) / elevation.depth**2


def _standardised(values: Grid) -> Grid:
    return (values - values.mean()) / values.std()
