"""What a trained model makes of a graph or of its nodes before it predicts: vectors for other uses."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import torch
import torch_geometric.nn as pyg_nn
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.utils import scatter

from plstm_graph.nn.ensemble import Ensemble
from plstm_graph.nn.graph_model import GraphModel
from plstm_graph.predict.predictor import Predictor

#: What has vectors.
Of = Literal["graphs", "nodes"]
#: Where they are taken: what enters the head, or the head's hidden layer.
Layer = Literal["body", "head"]


def default_of(model: nn.Module) -> Of:
    """What a model predicts something of, graphs or nodes; nodes for one that predicts edges."""
    member = _members(model)[0]
    return "graphs" if getattr(member, "predict", "graph") == "graph" else "nodes"


@torch.no_grad()
def embeddings(
    predictor: Predictor, graphs: Sequence[Data], of: Of, layer: Layer | None = None, batch_size: int = 256
) -> Tensor:
    """Vectors of graphs, or of all their nodes, in their order.

    Those of an ensemble are the vectors of its members, one behind the other. Nodes that a transform made of edges have
    none.

    Args:
        predictor: The model.
        graphs: Prepared as in training.
        of: ``"graphs"``, or ``"nodes"``.
        layer: ``"body"``: what enters the head. Of a graph that is what pooling makes of its nodes (their mean, where
            the model predicts nodes or edges), of a node what the layers make of it. ``"head"``: what the last linear
            map reads, the head's hidden layer. (default: ``"body"`` of a
            :class:`~plstm_graph.nn.graph_model.GraphModel`, ``"head"`` of any other model)
        batch_size: Graphs per batch; fewer of large ones.

    Returns:
        ``[n, C]``, float32 at least, on the CPU; ``[0, 0]`` without graphs.

    Raises:
        ValueError: If the model has no such vectors; it says which it has.
    """
    predictor.eval()
    members, parts = _members(predictor.model), []
    for batch in predictor.batches(graphs, batch_size):
        with ExitStack() as recordings:
            taken = [recordings.enter_context(_recording(member, of, layer)) for member in members]
            predictor(batch)
        found = [_rows_of(rows, member, batch, of) for rows, member in zip(taken, members, strict=True)]
        vectors = torch.cat(found, dim=1)
        parts.append((vectors.float() if vectors.dtype.itemsize < 4 else vectors).cpu())
    return torch.cat(parts) if parts else torch.empty(0, 0)


def _members(model: nn.Module) -> list[nn.Module]:
    return list(model.members) if isinstance(model, Ensemble) else [model]


@contextmanager
def _recording(model: nn.Module, of: Of, layer: Layer | None) -> Iterator[list[Tensor]]:
    """Have the rows that are asked for in a list, once the model has run within this context."""
    taken: list[Tensor] = []

    def take(module: nn.Module, args: tuple[Any, ...]) -> None:
        taken[:] = [args[0].detach()]

    name = type(model).__name__
    hooks = []
    if not isinstance(model, GraphModel):
        if layer == "body":
            raise ValueError(
                f"{name} is no GraphModel of this package, so nobody can tell its head from its body: --layer head "
                "gives what its last linear layer reads"
            )
        linears = [module for module in model.modules() if isinstance(module, nn.Linear | pyg_nn.Linear)]
        hooks = [module.register_forward_pre_hook(take) for module in linears]
    elif layer == "head":
        if model.predict != of.removesuffix("s"):
            raise ValueError(
                f"the head of this model is of {model.predict}s, so it has no hidden layer of {of}: leave out --layer"
            )
        hooks = [model.head[-1].register_forward_pre_hook(take)]
    elif of == "graphs" and model.predict == "graph":
        hooks = [model.head.register_forward_pre_hook(take)]
    else:
        # In front of the method of the class, for as long as this context lasts.
        model.read_out = partial(_read_out, model, taken)  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        model.__dict__.pop("read_out", None)
        for hook in hooks:
            hook.remove()


def _read_out(model: GraphModel, taken: list[Tensor], nodes: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The method of a model, which first keeps the nodes that it is given."""
    taken[:] = [nodes.detach()]
    return type(model).read_out(model, nodes, *args, **kwargs)


def _rows_of(taken: list[Tensor], model: nn.Module, batch: Batch, of: Of) -> Tensor:
    """A row for each graph or node of a batch."""
    name = type(model).__name__
    if not taken:
        raise ValueError(f"{name} has no linear layer of class torch.nn.Linear that runs, so it has no embeddings")
    rows = taken[0]
    graphs, nodes = batch.num_graphs, batch.num_nodes
    if isinstance(model, GraphModel) and of == "graphs" and model.predict != "graph":
        return scatter(rows, batch.batch, dim_size=graphs, reduce="mean")
    if rows.dim() != 2 or len(rows) != (graphs if of == "graphs" else nodes):
        raise ValueError(
            f"the last linear layer of {name} reads {list(rows.shape)} for {graphs} graphs of {nodes} nodes, so it "
            f"has no embedding of {of}"
        )
    return rows[~batch.is_edge] if of == "nodes" and "is_edge" in batch else rows
