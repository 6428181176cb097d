"""Timing of circuits: error of trained models against the number of gates and of levels.

    python -m results.timing --run runs/timing    # draws docs/dags/timing_sizes.png, prints a table

Graphs are pieces of the six test circuits, of more and more gates, and the circuits themselves. Models are averaged
over seeds. The error is that of arrival times over the latest arrival of the graph.
"""

import numpy as np
from matplotlib.figure import Figure
from torch_geometric.data import Data

from plstm_graph.datasets.circuits.pieces import timing_pieces
from plstm_graph.graph import longest_path_levels
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.study import TrainedModel
from results.by_size import config_of, options_of, over_graphs, save, two_panels

SIZES = (100, 300, 1_000, 3_000, 10_000)  # gates of a piece at most
EACH = 12  # pieces of a size, two of each circuit
MOST = 6_000  # nodes of a graph for models that skip tests


def graphs_of(task: GraphTask) -> list[Data]:
    """Pieces of test circuits, by size, and those circuits."""
    whole = [graph for part, graphs in task.parts.items() if part.startswith("test_") for graph in graphs]
    pieces = [piece for number, size in enumerate(SIZES) for piece in timing_pieces(whole, EACH, size, 10 + number)]
    # A piece of a small circuit is no larger than that circuit, and one of a single gate tells nothing.
    return [piece for piece in pieces if int(piece.y.isfinite().sum()) > 10] + whole


def error(trained: TrainedModel, graph: Data) -> float:
    """Of a model on a graph."""
    plain = Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, y=graph.y)
    return trained.score([plain])["relative"]


def draw(gates: np.ndarray, levels: np.ndarray, found: dict[str, np.ndarray], trained: tuple[int, int]) -> Figure:
    """Two panels, over gates and over levels, with the median of graphs of about the same size as a line."""
    figure, panels = two_panels()
    for axes, (across, label), mark in zip(panels, ((gates, "gates"), (levels, "levels")), trained, strict=True):
        axes.axvspan(across.min(), mark, color="0.93", linewidth=0)
        bins = np.unique(np.round(2 * np.log10(across)))
        for name, values in found.items():
            (dots,) = axes.plot(across, values, ".", markersize=3, alpha=0.5)
            of_bin = [np.round(2 * np.log10(across)) == each for each in bins]
            known = [
                (np.median(across[each]), np.nanmedian(values[each]))
                for each in of_bin
                if np.isfinite(values[each]).any()
            ]
            axes.plot(*zip(*known, strict=True), color=dots.get_color(), linewidth=1.2, label=name)
        axes.set(xscale="log", yscale="log", xlabel=f"{label} (grey: in training)")
    return figure


def main() -> None:
    options = options_of("timing", __doc__)
    data = config_of(options.run[0])["task"]
    task = load_task(**data)
    graphs = graphs_of(task)
    gates, levels = (
        np.array([measure(graph) for graph in graphs])
        for measure in (
            lambda graph: int(graph.y.isfinite().sum()),
            lambda graph: int(longest_path_levels(graph.edge_index, graph.num_nodes).max()),
        )
    )
    pieces = task.parts["train"]
    deepest = max(int(longest_path_levels(graph.edge_index, graph.num_nodes).max()) for graph in pieces)
    found = over_graphs(options.run, task, graphs, error, MOST)
    save(draw(gates, levels, found, (data.get("nodes", 300), deepest)), options.output, "mean error / latest arrival")
    for name, values in found.items():
        print(f"{name}: median {np.nanmedian(values):.5f}, of the six circuits", np.round(values[-6:], 5).tolist())


if __name__ == "__main__":
    main()
