"""Which line graph belongs to an ``edge_index``, so that a layer that is given the tensor alone need not build one."""

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from plstm_graph.graph.line_graph import LineGraph

# By the object, not by its content; with the version, which counts changes in place. Kept as long as the tensor is.
_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def remember(edge_index: Tensor, line_graph: LineGraph) -> None:
    """Let layers that are given this very tensor, and no line graph, run on this one.

    Args:
        edge_index: ``[2, E]``. A copy of it, on another device too, is another tensor.
        line_graph: Its line graph; whether it is, layers check as ever.
    """
    if not edge_index.is_inference():  # Tensors of inference mode do not tell when they are changed.
        _KNOWN[edge_index] = line_graph, edge_index._version


def remembered(edge_index: Tensor) -> LineGraph | None:
    """The line graph that was remembered for this very tensor, unless it has changed in place since then."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or edge_index.is_inference():
        return None
    line_graph, version = _KNOWN.get(edge_index, (None, None))
    return line_graph if version == edge_index._version else None
