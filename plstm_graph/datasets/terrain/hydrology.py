"""The hidden formula: how much rain runs off, how water is shared among lower cells, and what seeps away.

Everything here is made for the task. Models see what goes into the formulas, and the discharge that comes out.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from plstm_graph.datasets.terrain.elevation import Grid
from plstm_graph.datasets.terrain.flow import Flow, Numbers
from plstm_graph.graph import longest_path_levels


@dataclass(frozen=True)
class Ground:
    """What the ground of each cell is like, ``[N]`` each.

    Attributes:
        sand (ndarray): 0 for clay to 1 for sand.
        cover (ndarray): 0 for bare ground to 1 for forest.
        slope (ndarray): Steepest way down, metres per metre.
    """

    sand: Grid
    cover: Grid
    slope: Grid


@dataclass(frozen=True)
class Discharge:
    """Water of one event, in millimetres on a cell, ``[N]`` each.

    Attributes:
        runoff (ndarray): Rain that does not infiltrate where it falls.
        seepage (ndarray): What infiltrates of the water that runs on to a cell.
        total (ndarray): What passes through a cell: its runoff and what runs on to it, less seepage.
    """

    runoff: Grid
    seepage: Grid
    total: Grid


def curve_number(ground: Ground) -> Grid:
    """The curve number of the Soil Conservation Service, from soil, cover and slope, ``[N]``.

    Bare ground has 94 on clay to 77 on sand, forest 79 to 36, and between them all is linear; on slopes it is higher
    (Sharpley and Williams 1990).
    """
    flat = (1 - ground.cover) * (94 - 17 * ground.sand) + ground.cover * (79 - 43 * ground.sand)
    wet = flat * np.exp(0.00673 * (100 - flat))
    return flat + (wet - flat) / 3 * (1 - 2 * np.exp(-13.86 * ground.slope))


def runoff_of(rain: Grid, ground: Ground) -> Grid:
    """Runoff of each cell by the method of curve numbers, ``[N]`` in millimetres.

    Args:
        rain: Millimetres of the event, ``[N]``.
        ground: Of the cells.
    """
    storage = 25400 / curve_number(ground) - 254
    excess = np.maximum(rain - 0.2 * storage, 0)
    return excess**2 / (rain + 0.8 * storage)


def seepage_of(ground: Ground) -> Grid:
    """Part of the water running on to a cell that infiltrates there, ``[N]``: more in sand, and where water is slow."""
    slow = (0.5 + ground.cover) / np.sqrt(np.maximum(ground.slope, 0.02))
    return -np.expm1(-0.0006 * np.exp(2 * (ground.sand - 0.5)) * slow)


def shares_of(flow: Flow, slope: Grid) -> Grid:
    """Part of a cell's water that takes each edge, ``[E]``; the parts of a cell add up to one.

    Proportional to a length of contour and a power of the slope (multiple flow direction, Quinn et al. 1991); the
    steeper the cell, the higher the power and the narrower the stream (Qin et al. 2007).

    Args:
        flow: The edges.
        slope: Steepest way down of each cell, ``[N]``.
    """
    start = flow.edges[0]
    power = 1.1 + 8.9 * np.minimum(slope, 1)
    relative = flow.drop / flow.distance / slope[start]
    weight = np.where(flow.diagonal, 0.354, 0.5) * relative ** power[start]
    return weight / np.bincount(start, weight, len(slope))[start]


def discharge_of(flow: Flow, rain: Grid, ground: Ground) -> Discharge:
    """Discharge of every cell, exactly.

    ``q_n = runoff_n + (1 - seepage_n) * sum of share_e * q_u``, over all edges ``e = (u, n)``.

    Args:
        flow: The edges.
        rain: Millimetres of the event, ``[N]``.
        ground: Of the cells.
    """
    runoff, lost = runoff_of(rain, ground), seepage_of(ground)
    onto, total = accumulate(flow.edges, shares_of(flow, ground.slope), 1 - lost, runoff)
    return Discharge(runoff, lost * onto, total)


def accumulate(edges: Numbers, share: Grid, kept: Grid, runoff: Grid) -> tuple[Grid, Grid]:
    """Solve the recurrence level by level in float64: what runs on to each cell, and what passes through it, ``[N]``.

    Args:
        edges: ``[2, E]``, of a DAG.
        share: Part of the water at its start that takes each edge, ``[E]``.
        kept: Part of the water running on to a cell that stays above ground, ``[N]``.
        runoff: What each cell adds, ``[N]``.
    """
    level = longest_path_levels(torch.from_numpy(edges), len(runoff)).numpy()
    order = np.argsort(level[edges[1]], kind="stable")
    bounds = np.cumsum(np.bincount(level[edges[1]], minlength=1))
    start, end, share = edges[0][order], edges[1][order], share[order]
    onto, total = np.zeros(len(runoff)), runoff.astype(np.float64)
    for first, last in itertools.pairwise(bounds):
        at = slice(first, last)
        cells, place = np.unique(end[at], return_inverse=True)
        onto[cells] = np.bincount(place, total[start[at]] * share[at])
        total[cells] += kept[cells] * onto[cells]
    return onto, total
