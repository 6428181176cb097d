"""Timing of circuits: error of trained models against the number of gates and of levels.

    python -m results.timing --run runs/timing    # draws docs/dags/timing_sizes.png, prints a table

Graphs are pieces of the six test circuits, of more and more gates, and the circuits themselves. Models are averaged
over seeds. The error is that of arrival times over the latest arrival of the graph.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch_geometric.data import Data
from tqdm import tqdm

from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.graph import longest_path_levels
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.timing import timing_pieces
from plstm_graph.train.trained import TrainedModel, trained_models
from results import DOCS

SIZES = (100, 300, 1_000, 3_000, 10_000)  # gates of a piece at most
EACH = 12  # pieces of a size, two of each circuit
MOST = 6_000  # nodes of a graph for models that skip tests, as attention to pairs of nodes does


def graphs_of(task: GraphTask) -> list[Data]:
    """Pieces of test circuits, by size, and those circuits."""
    whole = [graph for part, graphs in task.parts.items() if part.startswith("test_") for graph in graphs]
    pieces = [piece for number, size in enumerate(SIZES) for piece in timing_pieces(whole, EACH, size, 10 + number)]
    # A piece of a small circuit is no larger than that circuit, and one of a single gate tells nothing.
    return [piece for piece in pieces if int(piece.y.isfinite().sum()) > 10] + whole


def errors(run: Path, task: GraphTask, graphs: Sequence[Data]) -> dict[str, np.ndarray]:
    """Error of each model on each graph, averaged over seeds; NaN where a model cannot hold the graph."""
    config = json.loads((run / "report.json").read_text(encoding="utf-8"))["config"]["models"]
    found: dict[str, list[list[float]]] = {}
    for trained in tqdm(trained_models(run, task)):
        limit = MOST if config[trained.name].get("skip_tests") else None
        row = [_error(trained, graph, limit) for graph in graphs]
        found.setdefault(trained.name, []).append(row)
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def _error(trained: TrainedModel, graph: Data, limit: int | None) -> float:
    if limit is not None and (graph.num_nodes or 0) > limit:
        return float("nan")
    plain = Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr, y=graph.y)
    return trained.score([plain])["relative"]


def draw(gates: np.ndarray, levels: np.ndarray, found: dict[str, np.ndarray], trained: tuple[int, int]) -> Figure:
    """Two panels, over gates and over levels, with the median of graphs of about the same size as a line."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = (gates, "gates"), (levels, "levels")
    for axes, (across, label), mark in zip(figure.subplots(1, 2, sharey=True), panels, trained, strict=True):
        axes.axvspan(across.min(), mark, color="0.93", linewidth=0)
        bins = np.unique(np.round(2 * np.log10(across)))
        for name, error in found.items():
            (dots,) = axes.plot(across, error, ".", markersize=3, alpha=0.5)
            of_bin = [np.round(2 * np.log10(across)) == each for each in bins]
            known = [
                (np.median(across[each]), np.nanmedian(error[each]))
                for each in of_bin
                if np.isfinite(error[each]).any()
            ]
            axes.plot(*zip(*known, strict=True), color=dots.get_color(), linewidth=1.2, label=name)
        axes.set(xscale="log", yscale="log", xlabel=f"{label} (grey: in training)")
    figure.axes[0].set_ylabel("mean error / latest arrival")
    figure.axes[0].legend(frameon=False, fontsize=7, ncols=2)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a run of configs/dags/timing.yaml")
    parser.add_argument("--output", type=Path, default=DOCS / "dags" / "timing_sizes.png")
    options = parser.parse_args()
    data = json.loads((options.run / "report.json").read_text(encoding="utf-8"))["config"]["task"]
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
    found = errors(options.run, task, graphs)
    figure = draw(gates, levels, found, (data.get("nodes", 300), deepest))
    replace_file(options.output, lambda path: figure.savefig(path, format="png", dpi=110))
    for name, error in found.items():
        print(f"{name}: median {np.nanmedian(error):.5f}, of the six circuits", np.round(error[-6:], 5).tolist())


if __name__ == "__main__":
    main()
