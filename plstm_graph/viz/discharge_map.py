"""A map of discharge over hills: true, predicted, and how far apart they are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

Grid = NDArray[np.floating]
Extent = tuple[float, float, float, float]


def draw_discharge_map(height: Grid, true: Grid, predicted: Grid, cell: tuple[float, float], title: str = "") -> Figure:
    """Draw ``log10(1 + q)`` over hillshade, true beside predicted beside the difference.

    Args:
        height: Metres, ``[R, C]``.
        true: Discharge, ``[R, C]``, not negative.
        predicted: The same as a model predicts it.
        cell: Width and depth of a cell in metres.
        title: Stands above.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: If the grids differ in shape.
    """
    if not height.shape == true.shape == predicted.shape or height.ndim != 2:
        shapes = ", ".join(str(list(grid.shape)) for grid in (height, true, predicted))
        raise ValueError(f"height, true and predicted must be grids of one shape [R, C], got {shapes}")
    width, depth = cell
    rows, columns = height.shape
    extent = (0, columns * width / 1000, rows * depth / 1000, 0)
    size = 9.6, min(3.0 * (rows * depth) / (columns * width), 12.0) + 1.6
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    shade = LightSource(315, 45).hillshade(height, vert_exag=2, dx=width, dy=depth)
    logs = [np.log10(1 + np.maximum(values, 0)) for values in (true, predicted)]
    error = logs[1] - logs[0]
    widest = max(float(np.quantile(np.abs(error), 0.995)), 1e-3)
    for axes, values, name in zip(panels[:2], logs, ("true", "predicted"), strict=True):
        image = _layer(axes, shade, values, extent, name, "Blues", 0.0, max(float(logs[0].max()), 1e-3))
    figure.colorbar(image, ax=panels[:2], location="bottom", shrink=0.6, label="log10(1 + discharge), mm on a cell")
    image = _layer(panels[2], shade, error, extent, "predicted - true", "RdBu", -widest, widest)
    figure.colorbar(image, ax=panels[2], location="bottom", label="difference of log10")
    panels[0].set_ylabel("km")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _layer(
    axes: Axes, shade: Grid, values: Grid, extent: Extent, name: str, colours: str, low: float, high: float
) -> AxesImage:
    axes.imshow(shade, cmap="gray", extent=extent, vmin=-0.4, vmax=1.2, interpolation="bilinear")
    image = axes.imshow(values, cmap=colours, extent=extent, vmin=low, vmax=high, alpha=0.75, interpolation="nearest")
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("km")
    return image
