"""Water over terrain: error against size and depth of trained models, and flow accumulation, the classical estimate.

    python -m results.terrain                              # the classical estimate alone, in validation
    python -m results.terrain --run runs/terrain      # also the figure docs/dags/terrain_sizes.png

The classical estimate counts the cells upslope of each cell, or adds up their rain, and turns that into discharge by a
regression of logarithms, fitted on the training tiles. The figure is of squares of the unseen half, and that half.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.terrain import Terrain
from plstm_graph.datasets.terrain.hydrology import accumulate
from plstm_graph.graph import longest_path_levels
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.terrain import discharge_metrics, numbered
from plstm_graph.train.study import TrainedModel
from results import DOCS
from results.by_size import config_of, over_graphs, save, two_panels

SIDES = (20, 40, 80, 120, 160, 200)  # of squares, in cells
EACH = 4  # squares of a size
MOST = 10_000  # cells of a graph for models that skip tests


def upslope(graph: Data, ways: str, of: str) -> np.ndarray:
    """Logarithms of the cells, or of the rain, upslope of each cell, ``[N]``."""
    edges, (_, relative, diagonal) = graph.edge_index.numpy(), graph.edge_attr.double().numpy().T
    start, cells = edges[0], graph.num_nodes
    if ways == "D8":  # all takes the steepest way, the first of several
        share = np.zeros(len(start))
        share[np.lexsort((-relative, start))[np.unique(np.sort(start), return_index=True)[1]]] = 1.0
    else:  # multiple flow direction with the exponent of Freeman (1991)
        weight = np.where(diagonal > 0, 0.354, 0.5) * np.exp(1.1 * relative)
        share = weight / np.bincount(start, weight, cells)[start]
    ones = np.ones(cells)
    return np.log(accumulate(edges, share, ones, rain_of(graph) if of == "rain" else ones)[1])


def rain_of(graph: Data) -> np.ndarray:
    """Millimetres of rain, from the feature."""
    return graph.x[:, 5].double().numpy() * 30 + 60


def classical(task: GraphTask) -> None:
    """Print how well flow accumulation with a fitted regression does in validation."""
    for ways in ("D8", "MFD"):
        for of in ("cells", "rain"):

            def inputs(graph: Data, ways: str = ways, of: str = of) -> np.ndarray:
                columns = [upslope(graph, ways, of), np.ones(graph.num_nodes)]
                return np.stack([*columns, np.log(rain_of(graph))][: 2 + (of == "rain")], axis=1)

            train, valid = (task.parts[part] for part in ("train", "valid"))
            target = np.concatenate([graph.y.view(-1).double().log1p().numpy() for graph in train])
            weights, *_ = np.linalg.lstsq(np.concatenate([inputs(graph) for graph in train]), target, rcond=None)
            predicted = np.expm1(np.concatenate([inputs(graph) for graph in valid]) @ weights)
            columns = {name: torch.cat([graph[name] for graph in valid]) for name in task.columns}
            row = discharge_metrics(torch.from_numpy(predicted).view(-1, 1), **columns)
            print(f"{ways}, {of} upslope: " + ", ".join(f"valid/{name} {value:.4f}" for name, value in row.items()))


def squares(land: Terrain) -> Iterator[Data]:
    """Squares of the unseen half, a few of each size, and the half itself."""
    rows, columns = land.shape
    half = columns // 2
    event = 600_000
    for side in SIDES:
        for row in np.linspace(0, rows - side, EACH):
            event += 1
            yield numbered(land.graph((int(row), half, side, side), event), 0)
    yield numbered(land.graph((0, half, rows, columns - half), event + 1), 0)


def error(trained: TrainedModel, graph: Data) -> float:
    """``1 - NSE`` of a model on a graph."""
    return 1 - trained.score([graph])["nse"]


def draw(sizes: Tensor, depths: Tensor, found: dict[str, np.ndarray], trained: tuple[int, int]) -> Figure:
    """Two panels: over cells and over levels."""
    figure, panels = two_panels()
    for axes, across, label, mark in zip(panels, (sizes, depths), ("cells", "levels"), trained, strict=True):
        for name, values in found.items():
            order = across.argsort().numpy()
            axes.plot(across.numpy()[order], values[order], marker="o", markersize=3, linewidth=1, label=name)
        axes.axvline(mark, color="0.6", linestyle="--", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=f"{label} of the DAG (dashed: in training)")
    figure.axes[0].set_ylabel("1 - NSE of log discharge")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a run of configs/dags/terrain.yaml")
    parser.add_argument("--output", type=Path, default=DOCS / "dags" / "terrain_sizes.png")
    options = parser.parse_args()
    if options.run is None:
        classical(load_task("terrain"))
        return
    graphs = list(squares(Terrain()))
    depths = torch.tensor([int(longest_path_levels(each.edge_index, each.num_nodes).max()) + 1 for each in graphs])
    sizes = torch.tensor([graph.num_nodes for graph in graphs])
    tiles = sizes == 40 * 40
    trained = 40 * 40, int(depths[tiles].float().median())
    task = load_task(**config_of(options.run)["task"])
    found = over_graphs([options.run], task, graphs, error, MOST)
    save(draw(sizes, depths, found, trained), options.output)
    for name, values in found.items():
        rows = ", ".join(f"{int(size)}: {np.mean(values[sizes.numpy() == int(size)]):.4f}" for size in sizes.unique())
        print(f"{name}, 1 - NSE by cells: {rows}")


if __name__ == "__main__":
    main()
