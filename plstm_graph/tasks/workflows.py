"""How long workflows take, from what is known before they run, beside what planners compute."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.config.fitting import fitting
from plstm_graph.datasets.workflows.plans import COLUMNS, Planner, PlanTarget
from plstm_graph.datasets.workflows.workflows import Workflows
from plstm_graph.nn.encoders import start_unknown
from plstm_graph.tasks.graph_task import GraphTask, regression
from plstm_graph.tasks.metrics import rmse
from plstm_graph.tasks.task import Row


def workflows(
    root: str | Path,
    applications: Sequence[str],
    train: dict[str, Any],
    valid: Sequence[dict[str, Any]],
    tests: dict[str, dict[str, Any]],
    target: PlanTarget = "makespan",
    bias: float = 0.2,
    noise: float = 0.05,
    loss: Literal["mse", "l1"] = "l1",
) -> GraphTask:
    """Makespans on few machines, or finish times on as many as there are tasks.

    Args:
        root: Folder of all data sets.
        applications: Of training and validation.
        train: Arguments ``num_graphs`` (of each application), ``smallest`` and ``largest`` of
            :class:`~plstm_graph.datasets.Workflows`, of the training part.
        valid: Those of the validation part; several, so that it may hold larger workflows than training has.
        tests: Those of each test, by its name, in an order that decides their seeds; ``applications`` may say
            which others they are of.
        target: ``"makespan"`` or ``"critical_path"``.
        bias: As of :class:`~plstm_graph.datasets.workflows.plans.Planner`, and so is ``noise``.
        noise: See there.
        loss: ``"mse"`` or ``"l1"``.

    Raises:
        ValueError: If there is no such application, or a size cannot be had.
        ImportError: If workflows have to be made and wfcommons is not installed.
    """
    sizes = {"train": [train], "valid": list(valid)} | {f"test_{name}": [size] for name, size in tests.items()}
    found = {
        part: [workflow for size in of_part for workflow in _make(root, applications, size, part, seed)]
        for seed, (part, of_part) in enumerate(sizes.items())
    }
    known = sorted({int(category) for workflow in found["train"] for category in workflow.x.unique()})
    parts: dict[str, Sequence[Data]] = {}
    for seed, (part, graphs) in enumerate(found.items()):
        planner = Planner(known, target, bias, noise, seed)
        parts[part] = [planner.plan(workflow, number) for number, workflow in enumerate(graphs)]
    inputs = [planner.num_categories, *[0] * (parts["train"][0].x.size(1) - 1)]
    task = regression("workflows", parts, "graph" if target == "makespan" else "node", inputs, None, loss, "standard")
    task.monitor, task.column_names = {"mape": "min"}, {"x": COLUMNS, "y": (target,)}
    task.made = start_unknown  # category 0, which training does not have
    if target == "critical_path":
        task.metrics, task.columns = _finish_metrics, ("y", "is_last", "planned", "informed")
        return task
    weights = fit_bounds(parts["train"])
    for graph in (graph for graphs in parts.values() for graph in graphs):
        graph.bounds = (_bounds([graph]) @ weights).view(1, 1)
    task.metrics, task.columns = _makespan_metrics, ("y", "planned", "informed", "bounds")
    return task


def _make(root: str | Path, usual: Sequence[str], size: dict[str, Any], part: str, seed: int) -> Iterator[Data]:
    """Workflows of one size, of the usual applications or of those that the size names."""

    def make(num_graphs: int, smallest: int, largest: int, applications: Sequence[str] = usual) -> Iterator[Data]:
        if not applications or len(set(applications)) < len(applications):
            raise ValueError(f"applications must be one or more, each once, got {list(applications)} for {part}")
        for name in applications:
            yield from Workflows(name, num_graphs, smallest, largest, seed, root)

    return make(**fitting(make, size, "the task workflows", part))


def fit_bounds(graphs: Sequence[Data]) -> Tensor:
    """The combination of Graham's two bounds, as planned, that has the least squared relative error.

    Args:
        graphs: Plans of makespans.

    Returns:
        Weights of the load of each machine, which is 1, and of the critical path, ``[2]`` float64.
    """
    true = torch.cat([graph.y for graph in graphs]).double()
    weights = np.linalg.lstsq((_bounds(graphs) / true).numpy(), np.ones(len(graphs)), rcond=None)[0]
    return torch.from_numpy(weights)


def _bounds(graphs: Sequence[Data]) -> Tensor:
    critical = torch.cat([graph.critical for graph in graphs])
    return torch.cat([torch.ones_like(critical), critical], dim=1)


def _makespan_metrics(output: Tensor, y: Tensor, planned: Tensor, informed: Tensor, bounds: Tensor) -> Row:
    return _errors(output, y) | {
        "bounds": _percent(bounds, y),
        "planned": _percent(planned, y),
        "informed": _percent(informed, y),
    }


def _finish_metrics(output: Tensor, y: Tensor, is_last: Tensor, planned: Tensor, informed: Tensor) -> Row:
    row = _errors(output[is_last], y[is_last]) | {"rmse": rmse(output, y)}
    return row | {
        "planned": _percent(planned[is_last], y[is_last]),
        "informed": _percent(informed[is_last], y[is_last]),
    }


def _errors(output: Tensor, y: Tensor) -> Row:
    return {"mape": _percent(output, y), "rmse": rmse(output, y)}


def _percent(predicted: Tensor, true: Tensor) -> float:
    """Mean of absolute errors in percent of what is true."""
    return float(100 * ((predicted.double() - true.double()).abs() / true.double()).mean())
