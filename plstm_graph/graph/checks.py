"""Checks of index tensors that come from a caller. Each error names the first offending column."""

import torch
from torch import Tensor


def check_edge_index(edge_index: Tensor, num_nodes: int | None) -> int:
    """Check ``edge_index`` and return the number of nodes, inferred if it is None.

    Args:
        edge_index: Should be ``[2, E]``, int64, with entries in ``[0, num_nodes)``.
        num_nodes: Number of nodes, or None for one more than the largest index.
    """
    _check_index("edge_index", edge_index)
    if num_nodes is None:
        num_nodes = int(edge_index.max()) + 1 if edge_index.numel() else 0
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int):
        raise TypeError(f"num_nodes must be an int, got {type(num_nodes).__name__}")
    if num_nodes < 0:
        raise ValueError(f"num_nodes must not be negative, got {num_nodes}")
    _check_range("edge_index", edge_index, num_nodes, "nodes")
    return num_nodes


def check_level(level: Tensor, edge_index: Tensor, num_nodes: int) -> None:
    """Check that a given ``level`` has one entry per node and rises along every edge."""
    if level.shape != (num_nodes,):
        raise ValueError(f"level must be [N] = [{num_nodes}], got {list(level.shape)}")
    start, end = level[edge_index]
    if not bool((start < end).all()):
        column = int((start >= end).nonzero()[0])
        raise ValueError(
            f"level does not rise along edge {column} ({edge_index[:, column].tolist()}): "
            f"{int(start[column])} -> {int(end[column])}; was the graph changed after ToDAG?"
        )


def check_pairs(pairs: Tensor, edge_index: Tensor) -> None:
    """Check that ``pairs`` are columns of ``edge_index``, that each meets at a node, and stands once."""
    _check_index("pairs", pairs)
    _check_range("pairs", pairs, edge_index.size(1), "edges")
    apart = edge_index[1, pairs[0]] != edge_index[0, pairs[1]]
    if bool(apart.any()):
        column = int(apart.nonzero()[0])
        first, second = pairs[:, column].tolist()
        raise ValueError(
            f"pair {column} = ({first}, {second}) does not meet at a node: edge {first} is "
            f"{tuple(edge_index[:, first].tolist())}, edge {second} is {tuple(edge_index[:, second].tolist())}"
        )
    distinct, count = (pairs[0] * edge_index.size(1) + pairs[1]).unique(return_counts=True)
    if distinct.numel() < pairs.size(1):
        first, second = divmod(int(distinct[count > 1][0]), edge_index.size(1))
        raise ValueError(f"pair ({first}, {second}) is given {int(count.max())} times; each pair may stand once")


def _check_index(name: str, index: Tensor) -> None:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name} must be a tensor of shape [2, *], got {type(index).__name__}")
    if index.dim() != 2 or index.size(0) != 2:
        raise ValueError(f"{name} must have shape [2, *], got {list(index.shape)}")
    if index.dtype != torch.long:
        raise TypeError(f"{name} must have dtype torch.int64, got {index.dtype}")


def _check_range(name: str, index: Tensor, size: int, of: str) -> None:
    if index.numel() == 0:
        return
    low, high = (int(bound) for bound in index.aminmax())
    if low < 0 or high >= size:
        outside = (index < 0) | (index >= size)
        column = int(outside.any(dim=0).nonzero()[0])
        raise ValueError(
            f"{name} is out of range in column {column}: {index[:, column].tolist()}, but there are {size} {of}"
        )
