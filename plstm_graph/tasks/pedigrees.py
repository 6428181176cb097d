"""Breeding values in pedigrees, beside their best linear unbiased prediction."""

import math
from typing import Any

import torch
from torch import Tensor

from plstm_graph.datasets.pedigrees.blup import blup
from plstm_graph.datasets.pedigrees.pedigrees import Pedigrees
from plstm_graph.tasks.graph_task import GraphTask, drawn_parts, regression
from plstm_graph.tasks.metrics import pearson, rmse
from plstm_graph.tasks.task import Row


def pedigrees(
    train: dict[str, Any], valid: dict[str, Any], tests: dict[str, dict[str, Any]], heritability: float = 0.3
) -> GraphTask:
    """Breeding values of all animals; metrics are of those without records.

    Args:
        train: Arguments ``num_graphs``, ``generations``, ``size`` and perhaps others of
            :class:`~plstm_graph.datasets.Pedigrees`, of the training part.
        valid: Those of the validation part.
        tests: Those of each test, by its name, in an order that decides their seeds.
        heritability: Of all records. Models are not told; the prediction that they are compared with is.

    Raises:
        ValueError: If an option is out of range, or leaves a pedigree to validate or test with no record.
    """
    sizes = {"train": train, "valid": valid} | {f"test_{name}": size for name, size in tests.items()}
    parts = drawn_parts(Pedigrees, sizes, "the task pedigrees", heritability=heritability)
    for name, graphs in parts.items():
        for number, graph in enumerate(graphs if name != "train" else []):
            if not graph.has_record.any():
                raise ValueError(
                    f"pedigree {number} of {name} has no record, and so no prediction to compare with: among "
                    f"{graph.num_nodes} animals, a larger option 'recorded' or 'size' than in {sizes[name]} gives some"
                )
            graph.blup = blup(graph, heritability)
            graph.pedigree = torch.full((graph.num_nodes,), number)
    task = regression("pedigrees", parts, "node", in_channels=2, edge_dim=[2])
    task.metrics, task.monitor, task.columns = _metrics, {"accuracy": "max"}, ("y", "has_record", "blup", "pedigree")
    task.column_names = {"x": ["record", "has_record"], "edge_attr": ["parent"], "y": ["breeding_value"]}
    return task


def _metrics(output: Tensor, y: Tensor, has_record: Tensor, blup: Tensor, pedigree: Tensor) -> Row:
    """Correlations within pedigrees: animals are chosen among those of their own. NaN where nothing varies."""
    without = ~has_record
    pedigree = pedigree[without]
    predicted, true, best = (_deviation(values[without].view(-1), pedigree) for values in (output, y, blup))
    accuracy, optimum = pearson(predicted, true), pearson(best, true)
    return {
        "accuracy": accuracy,
        "of_blup": accuracy / optimum if optimum else math.nan,
        "with_blup": pearson(predicted, best),
        "rmse": rmse(output[without], y[without]),
        "blup": optimum,
    }


def _deviation(values: Tensor, pedigree: Tensor) -> Tensor:
    """Values less the mean of their pedigree, float64."""
    values = values.double()
    total = values.new_zeros(int(pedigree.max()) + 1 if pedigree.numel() else 0)
    number = torch.zeros_like(total).index_add(0, pedigree, torch.ones_like(values))
    return values - (total.index_add(0, pedigree, values) / number.clamp(min=1))[pedigree]
