"""Chains and grids node by node, as one reads them in the paper: slow, short, and what every other form must equal."""

import torch
from torch import Tensor


def chain_naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor,
) -> tuple[Tensor, Tensor]:
    """Outputs and final state of a chain.

    Args:
        query: ``[..., L, H, K]``
        key: ``[..., L, H, K]``
        value: ``[..., L, H, V]``
        source: ``[..., L, H]``
        transition: ``[..., L, H]``
        mark: ``[..., L, H]``
        direct: ``[..., L, H]``
        initial_state: ``[..., H, K, V]``

    Returns:
        ``[..., L, H, V]`` and ``[..., H, K, V]``
    """
    outer = key.unsqueeze(-1) * value.unsqueeze(-2)
    state, outputs = initial_state, []
    for step in range(query.size(-3)):
        read = (query[..., step, :, :, None] * state).sum(dim=-2)
        own = (query[..., step, :, :] * key[..., step, :, :]).sum(dim=-1, keepdim=True) * value[..., step, :, :]
        outputs.append(mark[..., step, :, None] * read + direct[..., step, :, None] * own)
        state = _scaled(transition[..., step, :], state) + _scaled(source[..., step, :], outer[..., step, :, :, :])
    return (torch.stack(outputs, dim=-3) if outputs else torch.zeros_like(value)), state


def grid2d_naive(
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
    """Outputs of a grid, ``[..., X, Y, H, V]``; arguments as for :func:`~plstm_graph.ops.plstm_grid2d`."""
    width, height = query.shape[-4:-2]
    right: dict[tuple[int, int], Tensor] = {}
    down: dict[tuple[int, int], Tensor] = {}
    none = value.new_zeros(*query.shape[:-4], *query.shape[-2:], value.size(-1))
    columns = []
    for x in range(width):
        column = []
        for y in range(height):
            at = (..., x, y, slice(None))
            q, k, v = (tensor[(*at, slice(None))] for tensor in (query, key, value))
            outer = k.unsqueeze(-1) * v.unsqueeze(-2)
            left, up = right.get((x - 1, y), none), down.get((x, y - 1), none)
            marked = _scaled(mark_left[at], left) + _scaled(mark_up[at], up)
            own = direct[at].unsqueeze(-1) * (q * k).sum(dim=-1, keepdim=True) * v
            column.append((q.unsqueeze(-1) * marked).sum(dim=-2) + own)
            right[x, y] = (
                _scaled(right_from_left[at], left) + _scaled(right_from_up[at], up) + _scaled(source_right[at], outer)
            )
            down[x, y] = (
                _scaled(down_from_left[at], left) + _scaled(down_from_up[at], up) + _scaled(source_down[at], outer)
            )
        columns.append(torch.stack(column, dim=-3) if column else value[..., x, :, :, :])
    return torch.stack(columns, dim=-4) if columns else torch.zeros_like(value)


def _scaled(gate: Tensor, state: Tensor) -> Tensor:
    """A gate of each head ``[..., H]`` times its state ``[..., H, K, V]``."""
    return gate[..., None, None] * state
