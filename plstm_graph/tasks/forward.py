"""Calling a graph model on a batch with whatever its ``forward`` asks for."""

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from plstm_graph.graph import LineGraph
from plstm_graph.nn import Ensemble, GatedCell, MatrixTransitionGate, PLSTMConv, SequenceHead

_ARGUMENTS = ("x", "edge_index", "edge_attr", "batch", "line_graph", "batch_size")


@dataclass(frozen=True)
class Arguments:
    """What a model asks of a batch.

    Attributes:
        names: Those of ``x, edge_index, edge_attr, batch, line_graph, batch_size`` that its ``forward`` names.
        multitree: Whether it has D-mode layers, which run on the line graph cut to a multitree.
        nodes: Whether it has layers that update nodes level by level.
        rows: Most rows of the matrices between edges, if it has layers with such.
    """

    names: tuple[str, ...]
    multitree: bool
    nodes: bool = False
    rows: int = 1


def model_arguments(model: nn.Module) -> Arguments:
    """What the model asks of a batch."""
    parameters = inspect.signature(_inner(model).forward).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return Arguments(
        names=tuple(name for name in _ARGUMENTS if takes_all or name in parameters),
        multitree=any(isinstance(module, PLSTMConv) and module.mode == "D" for module in model.modules()),
        nodes=any(isinstance(module, GatedCell) for module in model.modules()),
        rows=max((module.size for module in model.modules() if isinstance(module, MatrixTransitionGate)), default=1),
    )


def _inner(model: nn.Module) -> nn.Module:
    """The model that names its arguments, inside those that pass on whatever they get."""
    while isinstance(model, Ensemble | SequenceHead):
        model = model.members[0] if isinstance(model, Ensemble) else model.model
    return model


def attach_line_graph(batch: Batch, arguments: Arguments) -> Batch:
    """Build the batch's line graph where it lies, once for all layers, if the model asks for it.

    Args:
        batch: Graphs with what :class:`~plstm_graph.transforms.ToDAG` attached.
        arguments: Of the model, see :func:`model_arguments`.

    Returns:
        ``batch`` with ``batch.line_graph``.
    """
    if "line_graph" in arguments.names:
        batch.line_graph = LineGraph.from_data(batch).prepare(
            multitree=arguments.multitree, nodes=arguments.nodes, rows=arguments.rows
        )
    return batch


def call_model(model: nn.Module, batch: Batch, arguments: Arguments) -> Tensor:
    """The model's output for a batch, ``[B, T]``, in float32 at least: losses and metrics are not rounded to less.

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
    return widened(model(**{name: values[name] for name in arguments.names}))


def widened(output: Tensor) -> Tensor:
    """An output in float32 if it is of half precision."""
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
