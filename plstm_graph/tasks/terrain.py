"""Water over terrain: the discharge of every cell, learnt on tiles of one half of a map, tested on the other half."""

from collections.abc import Sequence
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.terrain import EDGE_FEATURES, NODE_FEATURES, Terrain
from plstm_graph.datasets.terrain.terrain import Window, map_shape
from plstm_graph.datasets.terrain.tiles import windows_of_parts
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.metrics import rmse
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.task import Row
from plstm_graph.viz.discharge_map import draw_discharge_map

# Events of the parts are numbered from here, so that none rains twice.
_EVENTS = {"train": 0, "valid": 100_000, "test_tiles": 200_000, "test_half": 300_000, "test_whole": 400_000}


def terrain(
    train: int = 120,
    valid: int = 24,
    test_tiles: int = 48,
    side: int = 40,
    large: int = 0,
    large_side: int = 120,
    seed: int = 0,
    size: int | None = None,
) -> GraphTask:
    """Discharge of every cell after rain.

    Tiles of the left half train, those of a strip between the halves validate; tests are tiles of the right half, that
    half as one graph and the whole map as one. Each graph has an event of rain of its own.

    Args:
        train: Number of tiles for training, at random places.
        valid: Number of tiles in the strip.
        test_tiles: Number of tiles of the right half.
        side: Rows and columns of a tile.
        large: Number of larger tiles for training beside those, in which rivers are longer.
        large_side: Rows and columns of these.
        seed: Of soils, land cover, rain and places.
        size: Rows and columns of a corner of the map to which all is confined, for a quick look. (default: all of it)

    Raises:
        ValueError: If numbers are not positive, or the map has no room for the tiles.
        FileNotFoundError: If the elevation model is missing.
    """
    rows, columns = (length if size is None else min(size, length) for length in map_shape())
    places = windows_of_parts((rows, columns), train, valid, test_tiles, side, large, large_side, seed)
    land = Terrain(seed)
    parts: dict[str, Sequence[Data]] = {
        part: [numbered(land.graph(place, _EVENTS[part] + number), number) for number, place in enumerate(windows)]
        for part, windows in places.items()
    }
    return GraphTask(
        name="terrain",
        parts=parts,
        target_level="node",
        out_channels=1,
        in_channels=len(NODE_FEATURES),
        edge_dim=len(EDGE_FEATURES),
        objective="mse",
        metrics=discharge_metrics,
        monitor={"rmse": "min"},
        columns=("y", "outlet_of"),
        target=TargetScale.of_graphs("log", parts["train"]),
        column_names={"x": NODE_FEATURES, "edge_attr": EDGE_FEATURES, "y": ("discharge",)},
        draw=partial(_draw, land, places["test_half"][0], parts["test_half"][0]),
    )


def numbered(graph: Data, number: int) -> Data:
    """The graph with ``outlet_of`` ``[N]``: its number at outlets, -1 elsewhere."""
    graph.outlet_of = torch.where(graph.outlet, number, -1)
    return graph


def discharge_metrics(output: Tensor, y: Tensor, outlet_of: Tensor) -> Row:
    """Error and efficiency of logarithms, and the mass balance at the outlets.

    Args:
        output: Discharge, ``[M, 1]``; what is negative is taken for none.
        y: True discharge, ``[M, 1]``.
        outlet_of: The number of its graph for each outlet, -1 for other cells, ``[M]``.

    Returns:
        ``rmse`` of ``log(1 + q)``; ``nse``, the Nash-Sutcliffe efficiency of the same over all cells; ``balance``, how
        far the sum of the discharge at all outlets of a graph is off, as a part of the true sum, averaged over graphs.
    """
    predicted, true = (values.double().view(-1).clamp(min=0) for values in (output, y))
    logarithm = true.log1p()
    missed = (predicted.log1p() - logarithm).square().sum() / (logarithm - logarithm.mean()).square().sum()
    known = outlet_of >= 0
    graph = outlet_of[known]
    at_outlets, true_at_outlets = (
        values.new_zeros(int(graph.max()) + 1).index_add_(0, graph, values[known]) for values in (predicted, true)
    )
    wet = true_at_outlets > 0
    balance = ((at_outlets - true_at_outlets)[wet].abs() / true_at_outlets[wet]).mean()
    return {"rmse": rmse(predicted.log1p(), logarithm), "nse": 1 - float(missed), "balance": float(balance)}


def _draw(land: Terrain, window: Window, graph: Data, outputs: dict[str, Tensor]) -> dict[str, Figure]:
    """A map of the unseen half; none if a model was not tested on it."""
    if "test_half" not in outputs:
        return {}
    output, shape = outputs["test_half"].cpu(), window[2:]
    row = discharge_metrics(output, graph.y, graph.outlet_of)
    title = f"Discharge of the unseen half: efficiency of its logarithm {row['nse']:.4f}, balance {row['balance']:.2%}"
    cell = land.elevation.width, land.elevation.depth
    true, predicted = (values.view(shape).numpy() for values in (graph.y, output))
    return {"terrain.png": draw_discharge_map(land.height(window), true, predicted, cell, title)}
