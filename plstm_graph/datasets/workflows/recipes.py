"""Workflows by the recipes of wfcommons: of which traces, how large, and with what draws."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

#: Applications with traces of dependent tasks. The tasks of a tenth, rnaseq, do not depend on each other in 1.6.
APPLICATIONS = ("blast", "bwa", "cycles", "epigenomics", "genome", "montage", "seismology", "soykb", "srasearch")
# A recipe adds a first and a last node to the tasks while it makes a graph.
_ENDS = 2
# Traces of about the size asked for are closest to it; more than one, so that not all graphs grow from the same.
_CLOSEST = 5


class Recipe:
    """The recipe of an application, from wfcommons.

    Args:
        application (str): One of :data:`APPLICATIONS`.

    Attributes:
        traces (list[tuple[int, str]]): Number of tasks and name of the traces, smallest first.
        categories (list[str]): Names of the categories of its tasks.

    Raises:
        ValueError: If there is no such application.
        ImportError: If wfcommons is not installed; it says how to install it.
    """

    def __init__(self, application: str) -> None:
        if application not in APPLICATIONS:
            raise ValueError(f"application must be one of {', '.join(APPLICATIONS)}, got {application!r}")
        try:
            recipes = import_module("wfcommons.wfchef.recipes")
            self._duplicate = import_module("wfcommons.wfchef.duplicate").duplicate
        except ImportError as error:
            raise ImportError(
                f"workflows are made by wfcommons, which cannot be imported ({error}): "
                "pip install 'plstm_graph[workflows]', with Python 3.11 or later"
            ) from error
        self._make = getattr(recipes, f"{application.capitalize()}Recipe")
        self.application = application
        folder = Path(import_module(f"wfcommons.wfchef.recipes.{application}").__file__ or "").parent
        self._structures = folder / "microstructures"
        graphs = json.loads((self._structures / "summary.json").read_text(encoding="utf-8"))["base_graphs"]
        self.traces = sorted((int(graph["order"]) - _ENDS, name) for name, graph in graphs.items())
        self.categories = sorted(json.loads((folder / "task_type_stats.json").read_text(encoding="utf-8")))

    def make(self, tasks: int, seed: list[int], vocabulary: dict[str, int]) -> Data:
        """A workflow of about so many tasks: a trace, of which parts are repeated, with runtimes and files drawn anew.

        Args:
            tasks: Largest number of tasks; a few less may be all that repeated parts give.
            seed: Decides the workflow.
            vocabulary: Number of each category.

        Returns:
            As :class:`~plstm_graph.datasets.Workflows` describes it.

        Raises:
            ValueError: If no trace is as small as that.
        """
        draws = np.random.default_rng(seed)
        fitting = [name for size, name in self.traces if size <= tasks]
        if not fitting:
            raise ValueError(f"{self.application} has no trace of {tasks} tasks or less: {self.traces[0][0]} at least")
        base = fitting[-_CLOSEST:][int(draws.integers(len(fitting[-_CLOSEST:])))]
        recipe = self._make(num_tasks=tasks + _ENDS)
        recipe.generate_nx_graph = lambda: self._duplicate(self._structures, base, tasks + _ENDS)
        with _seeded(int(draws.integers(2**32))):
            workflow = recipe.build_workflow()
        return _data(workflow, vocabulary)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators that a whole process shares, on which wfcommons draws; leave them as they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def _data(workflow: Any, vocabulary: dict[str, int]) -> Data:
    number = {name: row for row, name in enumerate(workflow.nodes)}
    tasks = [workflow.nodes[name]["task"] for name in number]
    edges = [(number[before], number[behind]) for before, behind in workflow.edges]

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.double)

    return Data(
        x=torch.tensor([[vocabulary[task.name]] for task in tasks]),
        edge_index=torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous(),
        runtime=column([task.runtime for task in tasks]),
        read=column([sum(file.size for file in task.input_files) for task in tasks]),
        written=column([sum(file.size for file in task.output_files) for task in tasks]),
    )
