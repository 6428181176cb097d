"""Which attributes of a graph are of its edges, and so follow them when edges are dropped."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.typing import TensorFrame
from torch_geometric.utils import select

# Words of a name that say what an attribute is of. Length alone does not: a molecule may have as many bonds as a
# data set has targets.
_OF_EDGES = ("edge", "bond")
_NOT_OF_EDGES = frozenset(
    "x y z pos norm normal time batch ptr face adj level kept checksum canonical rank node nodes atom atoms graph "
    "graphs mask target targets label labels task tasks smiles name names id ids".split()
)


def select_edges(data: Data, columns: Tensor, edge_keys: Sequence[str] = ()) -> Data:
    """Keep some edges of a graph, in a copy; the attributes of edges follow them.

    An attribute with one entry per edge is one of edges if its name says so (it has the word ``edge`` or ``bond``), or
    if it is listed. A ``y`` of two dimensions is one too, as that of a graph would have one row. Names of nodes and
    graphs (``x``, ``y`` of one dimension, masks, ``pos``, ...) never are, whatever their length. Node pairs
    (``edge_label_index`` and its ``edge_label``) follow only if they are those of ``edge_index``.

    Args:
        data: The graph.
        columns: Columns of ``edge_index`` to keep, int64, ``[E']``, or a mask of them, bool, ``[E]``.
        edge_keys: Names of further attributes of edges.

    Raises:
        ValueError: If the length of an attribute is that of the edges, its name does not say what it is of, and edges
            are dropped; or if a listed one has another length. Names the attribute.
    """
    selected = copy.copy(data)
    keys = [key for key, _ in data if key != "edge_index" and _follows(data, key, edge_keys)]
    edges = torch.arange(data.edge_index.size(1), device=columns.device)
    if torch.equal(edges[columns], edges):
        return selected
    for key in keys:
        if not says_edge(key) and key not in edge_keys and "index" not in key and key != "y":
            raise ValueError(
                f"data.{key} has as many entries as the graph has edges, {edges.numel()}, and some of these are "
                "dropped, but its name does not say whether it is one of edges. If it is, call it "
                f"edge_{key} or list it in the transform's edge_keys; if not, call it graph_{key} or node_{key}"
            )
    for key in ["edge_index", *keys]:
        selected[key] = _select(data[key], edges[columns], data.__cat_dim__(key, data[key]))
    return selected


def _select(value: Any, columns: Tensor, dim: int) -> Any:
    if isinstance(value, np.ndarray):
        return value.take(columns.numpy(force=True), axis=dim)
    chosen = select(value, columns, dim)
    return tuple(chosen) if isinstance(value, tuple) else chosen


def _follows(data: Data, key: str, edge_keys: Sequence[str]) -> bool:
    """Whether an attribute may be one of edges; where its name tells nothing, by its length."""
    value, num_edges = data[key], data.edge_index.size(1)
    rows = count_rows(data, key, value)
    if key in edge_keys:
        if rows != num_edges:
            raise ValueError(f"edge_keys names data.{key}, which has {rows} entries; the graph has {num_edges} edges")
        return True
    if rows != num_edges:
        return False
    if "index" in key:
        return isinstance(value, Tensor) and torch.equal(value, data.edge_index)
    if f"{key}_index" in data:  # edge_label belongs to the node pairs of edge_label_index
        return _follows(data, f"{key}_index", edge_keys)
    if says_edge(key):
        return True
    if key == "y":
        return isinstance(value, Tensor) and value.dim() > 1 and num_edges not in (1, data.num_nodes)
    return _NOT_OF_EDGES.isdisjoint(key.lower().split("_")) and rows != data.num_nodes


def says_edge(key: str) -> bool:
    """Whether a name says that an attribute is one of edges."""
    return any(word.startswith(_OF_EDGES) for word in key.lower().split("_"))


def count_rows(data: Data, key: str, value: Any) -> int | None:
    """Number of entries of an attribute along the dimension that batches concatenate."""
    if isinstance(value, list | tuple | TensorFrame):
        return len(value)
    if isinstance(value, Tensor | np.ndarray) and value.ndim > 0:
        dim = data.__cat_dim__(key, value)
        return value.shape[dim] if isinstance(dim, int) else None
    return None
