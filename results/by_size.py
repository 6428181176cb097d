"""How errors of trained models grow with size: what the figures of several tasks share."""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch_geometric.data import Data
from tqdm import tqdm

from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.tasks.task import Row, Task
from plstm_graph.train.study import TrainedModel, trained_models
from results import DOCS


def config_of(run: Path) -> dict[str, Any]:
    """The configuration of a finished run."""
    return json.loads((run / "report.json").read_text(encoding="utf-8"))["config"]


def over_graphs(
    runs: Sequence[Path], task: Task, graphs: Sequence[Data], error: Callable[[TrainedModel, Data], float], most: int
) -> dict[str, np.ndarray]:
    """Error of each model on each graph, averaged over seeds.

    Args:
        runs: Folders of finished runs.
        task: Their task.
        graphs: What to evaluate on.
        error: Of a model on a graph.
        most: Nodes of a graph for models that skip tests, as attention to pairs of nodes does; NaN beyond.
    """
    models = {name: model for run in runs for name, model in config_of(run)["models"].items()}
    found: dict[str, list[list[float]]] = {}
    for trained in tqdm(of_runs(runs, task)):
        small = bool(models[trained.name].get("skip_tests"))
        row = [np.nan if small and (graph.num_nodes or 0) > most else error(trained, graph) for graph in graphs]
        found.setdefault(trained.name, []).append(row)
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def of_runs(runs: Sequence[Path], task: Task) -> Iterator[TrainedModel]:
    """The trained models of runs of one task."""
    return chain.from_iterable(trained_models(run, task) for run in runs)


def over_tests(
    runs: Sequence[Path], task: Task, batch_size: int, curves: Callable[[str, Row], dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Numbers of each curve on each test, averaged over seeds.

    Args:
        runs: Folders of finished runs.
        task: Their task, whose tests are of the sizes in question.
        batch_size: Graphs at a time.
        curves: Of the name of a model and its metrics on a test, a number for each curve.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for trained in tqdm(of_runs(runs, task)):
        for part in (part for part in task.parts if part.startswith("test_")):
            row = trained.score(task.parts[part], batch_size)
            for name, value in curves(trained.name, row).items():
                found.setdefault(name, {}).setdefault(part, []).append(value)
    return {name: {part: float(np.mean(values)) for part, values in row.items()} for name, row in found.items()}


def two_panels() -> tuple[Figure, tuple[Axes, Axes]]:
    """A figure of two panels that share their errors."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    return figure, (left, right)


def options_of(task: str, about: str | None) -> argparse.Namespace:
    """Options of a script that draws such a figure: ``run``, folders of runs of a task, and ``output``."""
    parser = argparse.ArgumentParser(description=str(about).splitlines()[0])
    about_runs = f"folders of runs of configs/dags/{task}.yaml"
    parser.add_argument("--run", type=Path, nargs="+", required=True, help=about_runs)
    parser.add_argument("--output", type=Path, default=DOCS / "dags" / f"{task}_sizes.png")
    return parser.parse_args()


def save(figure: Figure, path: Path, error: str = "") -> None:
    """Write a figure as PNG; of two panels, with the name of the error that they share, and a legend."""
    if error:
        figure.axes[0].set_ylabel(error)
        figure.axes[0].legend(frameon=False, fontsize=7, ncols=2)
    replace_file(path, lambda unfinished: figure.savefig(unfinished, format="png", dpi=110))
