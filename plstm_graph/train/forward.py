"""Calling a graph model on a batch with whatever its ``forward`` asks for."""

import inspect

from torch import Tensor, nn
from torch_geometric.data import Batch

from plstm_graph.graph import LineGraph

_ARGUMENTS = ("x", "edge_index", "edge_attr", "batch", "line_graph", "batch_size")


def model_arguments(model: nn.Module) -> list[str]:
    """Those of ``x, edge_index, edge_attr, batch, line_graph, batch_size`` that the model's ``forward`` names."""
    parameters = inspect.signature(model.forward).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return [name for name in _ARGUMENTS if takes_all or name in parameters]


def attach_line_graph(batch: Batch, arguments: list[str]) -> Batch:
    """Build the batch's line graph where it lies, once for all layers, if the model asks for it.

    Args:
        batch: Graphs with what :class:`~plstm_graph.transforms.ToDAG` attached.
        arguments: Of the model, see :func:`model_arguments`.

    Returns:
        ``batch`` with ``batch.line_graph``.
    """
    if "line_graph" in arguments:
        batch.line_graph = LineGraph.from_data(batch).prepare()
    return batch


def call_model(model: nn.Module, batch: Batch, arguments: list[str]) -> Tensor:
    """The model's output for a batch, ``[B, T]``.

    Args:
        model: A graph-level model.
        batch: Prepared by :func:`attach_line_graph`.
        arguments: Of the model, see :func:`model_arguments`.
    """
    values = {
        "x": batch.x,
        "edge_index": batch.edge_index,
        "edge_attr": batch.edge_attr,
        "batch": batch.batch,
        "line_graph": getattr(batch, "line_graph", None),
        "batch_size": batch.num_graphs,
    }
    return model(**{name: values[name] for name in arguments})
