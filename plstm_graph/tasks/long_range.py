"""Synthetic tasks on DAGs, at any distance."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from plstm_graph.datasets.long_range import SYMBOLS, LongRange, Shape, Task
from plstm_graph.tasks.graph_task import GraphTask, drawn_parts, regression
from plstm_graph.tasks.task import Row


def long_range(
    task: Task,
    train: dict[str, Any],
    valid: dict[str, Any],
    tests: dict[str, dict[str, Any]],
    shape: Shape = "chain",
) -> GraphTask:
    """A synthetic task.

    Args:
        task: Of :class:`~plstm_graph.datasets.LongRange`.
        train: Arguments ``num_graphs``, ``size`` and perhaps ``smallest`` of the training part.
        valid: Those of the validation part.
        tests: Those of each test, by its name, in an order that decides their seeds.
        shape: Of the copy task.
    """
    sizes = {"train": train, "valid": valid} | {f"test_{name}": size for name, size in tests.items()}
    parts = drawn_parts(LongRange, sizes, f"the task {task}", task=task, shape=shape)
    if task == "longest_path":
        return regression(task, parts, "node", [2], None, "l1")
    classes = SYMBOLS if task == "copy" else 2
    return GraphTask(
        name=task,
        parts=parts,
        target_level="node",
        out_channels=classes,
        in_channels=[SYMBOLS, 3] if task == "copy" else [2],
        edge_dim=None,
        objective="cross_entropy",
        metrics=_accuracy,
        # The surer of two models that make no error is the better one on graphs unlike those of training.
        monitor={"accuracy": "max", "cross_entropy": "min"},
    )


def _accuracy(output: Tensor, y: Tensor) -> Row:
    known = y.view(-1).isfinite()
    output, label = output[known].double(), y.view(-1)[known].long()
    return {
        "accuracy": float((output.argmax(dim=1) == label).double().mean()),
        "cross_entropy": float(F.cross_entropy(output, label)),
    }
