"""Grids whose transitions are matrices, as :mod:`plstm_graph.ops.chain.matrix` has them on chains."""

import torch
from torch import Tensor

from plstm_graph.ops.regular_naive import direct_only
from plstm_graph.ops.shapes import check_features, check_same, widened


def plstm_grid2d_matrix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source_right: Tensor,
    source_down: Tensor,
    right_from_left: Tensor,
    down_from_up: Tensor,
    down_from_left: Tensor,
    right_from_up: Tensor,
    mark_left: Tensor,
    mark_up: Tensor,
    direct: Tensor,
) -> Tensor:
    """:func:`~plstm_graph.ops.plstm_grid2d` with a matrix for each transition, one anti-diagonal after the other.

    Args:
        query: ``[..., X, Y, H, K]``
        key: ``[..., X, Y, H, K]``
        value: ``[..., X, Y, H, V]``
        source_right: ``[..., X, Y, H, J]``, as the other source and both marks.
        source_down: As in :func:`~plstm_graph.ops.plstm_grid2d`.
        right_from_left: To the first index from the second, ``[..., X, Y, H, J, J]``, as all transitions.
        down_from_up: As in :func:`~plstm_graph.ops.plstm_grid2d`.
        down_from_left: As in :func:`~plstm_graph.ops.plstm_grid2d`.
        right_from_up: As in :func:`~plstm_graph.ops.plstm_grid2d`.
        mark_left: As in :func:`~plstm_graph.ops.plstm_grid2d`.
        mark_up: As in :func:`~plstm_graph.ops.plstm_grid2d`.
        direct: ``[..., X, Y, H]``

    Returns:
        ``[..., X, Y, H, V]``

    Raises:
        ValueError: If a shape does not fit, naming the argument.
    """
    shape = check_features(query, key, value, "X, Y", 2)
    size = source_right.size(-1)
    vectors = {"source_right": source_right, "source_down": source_down, "mark_left": mark_left, "mark_up": mark_up}
    matrices = {
        **{"right_from_left": right_from_left, "down_from_up": down_from_up},
        **{"down_from_left": down_from_left, "right_from_up": right_from_up},
    }
    check_same("[..., X, Y, H, J]", (*shape, size), vectors)
    check_same("[..., X, Y, H, J, J]", (*shape, size, size), matrices)
    check_same("[..., X, Y, H]", shape, {"direct": direct})
    q, k, v, d, *gates = widened(query, key, value, direct, *vectors.values(), *matrices.values())
    with torch.autocast(q.device.type, enabled=False):
        out = direct_only(q, k, v, d)
        if value.numel() > 0:
            first = query.dim() - 4
            q, k, v, *gates = (tensor.movedim((first, first + 1), (0, 1)) for tensor in (q, k, v, *gates))
            out = out + _diagonals(q, k, v, gates).movedim((0, 1), (first, first + 1))
    return out.to(value.dtype)


def _diagonals(query: Tensor, key: Tensor, value: Tensor, gates: list[Tensor]) -> Tensor:
    """What nodes read of others, ``[X, Y, ..., V]``; sources, marks and transitions in the order of arguments."""
    source_right, source_down, mark_left, mark_up, right_left, down_up, down_left, right_up = gates
    width, height = query.shape[:2]
    outs, places = [], []
    right = down = query.new_zeros(0, *source_right.shape[2:], query.size(-1) * value.size(-1))
    # Edges into the nodes of a diagonal, by x: R of node x - 1 and D of node x of the diagonal before.
    low = 0
    for diagonal in range(width + height - 1):
        first, last = max(0, diagonal - height + 1), min(width - 1, diagonal)
        x = torch.arange(first, last + 1, device=query.device)
        y = diagonal - x
        none = right.new_zeros(1, *right.shape[1:])
        left = torch.cat([none, right]) if first == 0 else right
        left = left[first - low if first == 0 else first - low - 1 :][: x.numel()]
        up = torch.cat([down, none])[first - low :][: x.numel()]
        put = key[x, y].unsqueeze(-1) * value[x, y].unsqueeze(-2)
        marked = mark_left[x, y].unsqueeze(-1) * left + mark_up[x, y].unsqueeze(-1) * up
        state = marked.sum(dim=-2).unflatten(-1, put.shape[-2:])
        outs.append((query[x, y].unsqueeze(-1) * state).sum(dim=-2))
        places.append(x * height + y)
        flat = put.flatten(-2).unsqueeze(-2)
        right = right_left[x, y] @ left + right_up[x, y] @ up + source_right[x, y].unsqueeze(-1) * flat
        down = down_left[x, y] @ left + down_up[x, y] @ up + source_down[x, y].unsqueeze(-1) * flat
        low = first
    order = torch.cat(places).argsort()
    return torch.cat(outs)[order].unflatten(0, (width, height))
