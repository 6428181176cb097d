"""Every edge once for each row of its state: matrices between edges as numbers between rows."""

import torch
from torch import Tensor


def edge_rows(edge_index: Tensor, pairs: Tensor, size: int) -> tuple[Tensor, Tensor]:
    r"""Repeat every edge ``size`` times, and join each of the copies to each copy of the edges behind it.

    A transition by matrices, :math:`C_{fi} = \sum_{(e,f)} \sum_j T_{efij} C_{ej}`, is one by scalars among the copies,
    :math:`(e, j)` to :math:`(f, i)`. So whatever evaluates the one evaluates the other.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        pairs: In-edge and out-edge of each pair, ``[2, P]``, int64.
        size: Number of copies, ``J``.

    Returns:
        Edges ``[2, E J]``, copy ``j`` of edge ``e`` in column ``e J + j``; and pairs ``[2, P J J]``, from copy ``j`` to
        copy ``i`` of pair ``p`` in column ``(p J + i) J + j``, the order of the entries of a matrix.
    """
    row = torch.arange(size, device=pairs.device)
    first, second = (pairs * size).unsqueeze(-1).unsqueeze(-1)
    shape = (pairs.size(1), size, size)
    rows = torch.stack([(first + row).expand(shape), (second + row.unsqueeze(-1)).expand(shape)])
    return edge_index.repeat_interleave(size, dim=1), rows.flatten(1)
