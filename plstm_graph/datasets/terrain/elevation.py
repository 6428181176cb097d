"""The elevation model that matplotlib carries, and its depressions filled so that all water leaves it."""

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]

_FILE = "jacksboro_fault_dem.npz"
_DEGREE = 111_195.0  # metres of a degree of latitude
#: Rows and columns to the eight neighbours of a cell.
NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class Elevation:
    """Heights of the cells of a grid.

    Attributes:
        height (ndarray): Metres, ``[R, C]``, float64.
        width (float): Metres from a cell to the next one in its row.
        depth (float): Metres from a cell to the next one in its column.
    """

    height: Grid
    width: float
    depth: float


def load_elevation() -> Elevation:
    """The hills along the Jacksboro fault in Tennessee, 344 x 403 cells of about 74 x 93 metres.

    Raises:
        FileNotFoundError: If this installation of matplotlib comes without its sample data.
    """
    from matplotlib.cbook import get_sample_data

    try:
        with np.load(str(get_sample_data(_FILE, asfileobj=False))) as data:
            height = data["elevation"].astype(np.float64)
            ends, dx, dy = (float(data["ymin"]), float(data["ymax"])), float(data["dx"]), float(data["dy"])
    except OSError as error:
        raise FileNotFoundError(
            f"matplotlib's sample data {_FILE} cannot be read ({error}): the elevation model is a part of the wheel of "
            "matplotlib, which some distributions leave out; `pip install --force-reinstall matplotlib` brings it"
        ) from error
    return Elevation(height, dx * _DEGREE * math.cos(math.radians(sum(ends) / 2)), dy * _DEGREE)


def fill_depressions(height: Grid, rise: float = 0.01) -> Grid:
    """Raise cells as little as it takes for each to have a lower neighbour, down to the border (priority flood).

    Args:
        height: Metres, ``[R, C]``.
        rise: Least drop from a cell that was raised to the one that it drains to, in metres.

    Returns:
        Heights ``[R, C]``, not below ``height``; every cell that is not at the border has a strictly lower neighbour.

    Raises:
        ValueError: If heights are no grid of finite numbers, or ``rise`` is not positive.
    """
    if height.ndim != 2 or not np.isfinite(height).all():
        raise ValueError(f"height must be a grid [R, C] of finite numbers, got shape {list(height.shape)}")
    if not rise > 0:
        raise ValueError(f"rise must be positive, or water would stand still, got {rise}")
    rows, columns = height.shape
    filled: list[list[float]] = height.tolist()
    done = [[row in (0, rows - 1) or column in (0, columns - 1) for column in range(columns)] for row in range(rows)]
    # Lowest first; what stands at the border stays as it is.
    waiting = [
        (filled[row][column], row, column) for row in range(rows) for column in range(columns) if done[row][column]
    ]
    heapq.heapify(waiting)
    while waiting:
        level, row, column = heapq.heappop(waiting)
        for down, right in NEIGHBOURS:
            at, to = row + down, column + right
            if 0 <= at < rows and 0 <= to < columns and not done[at][to]:
                done[at][to] = True
                filled[at][to] = max(filled[at][to], level + rise)
                heapq.heappush(waiting, (filled[at][to], at, to))
    return np.array(filled, dtype=np.float64).reshape(rows, columns)
