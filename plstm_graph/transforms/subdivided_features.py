"""Features of nodes and edges in the same columns."""

import torch
from torch import Tensor


def join_features(x: Tensor | None, edge_attr: Tensor | None, num_nodes: int, edge_index: Tensor) -> Tensor:
    """Rows of nodes, then of edges; columns of nodes, of edges, and one that is 1 for edges.

    Args:
        x: ``[N, F]`` or ``[N]``, of numbers or categories.
        edge_attr: ``[E, D]`` or ``[E]``.
        num_nodes: ``N``
        edge_index: ``[2, E]``

    Returns:
        ``[N + E, F + D + 1]``; of whole numbers, int64, if both are of them.

    Raises:
        TypeError: If one is no dense tensor of real numbers.
        ValueError: If one has another shape, or categories that the dtype of the other cannot tell apart.
    """
    num_edges = edge_index.size(1)
    nodes = edge_index.new_zeros(num_nodes, 0) if x is None else _columns("x", x, num_nodes, "nodes")
    edges = (
        edge_index.new_zeros(num_edges, 0)
        if edge_attr is None
        else _columns("edge_attr", edge_attr, num_edges, "edges")
    )
    dtype = torch.promote_types(nodes.dtype, edges.dtype)
    for name, each in (("x", nodes), ("edge_attr", edges)):
        if dtype.is_floating_point and not each.is_floating_point() and each.numel():
            largest = int(each.abs().max())
            if largest > 2 / torch.finfo(dtype).eps:
                raise ValueError(f"{name} has the category {largest}, which {dtype} beside it cannot tell from others")
    nodes, edges = nodes.to(dtype), edges.to(dtype)
    return torch.cat(
        [
            torch.cat([nodes, nodes.new_zeros(num_nodes, edges.size(1)), nodes.new_zeros(num_nodes, 1)], dim=1),
            torch.cat([edges.new_zeros(num_edges, nodes.size(1)), edges, edges.new_ones(num_edges, 1)], dim=1),
        ]
    )


def _columns(name: str, values: Tensor, rows: int, what: str) -> Tensor:
    if not isinstance(values, Tensor) or values.layout != torch.strided or values.is_complex():
        raise TypeError(f"{name} must be a dense tensor of real numbers, one row for each of the {rows} {what}")
    if values.dim() not in (1, 2) or values.size(0) != rows:
        raise ValueError(f"{name} must be [{rows}, F], one row for each of the {what}, got {list(values.shape)}")
    values = values.unsqueeze(1) if values.dim() == 1 else values
    return values if values.is_floating_point() else values.long()
