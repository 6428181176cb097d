"""Chains and grids node by node, as one reads them in the paper: slow, short, and what every other form must equal."""

from collections.abc import Sequence

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
        q, k, v = query[..., step, :, :], key[..., step, :, :], value[..., step, :, :]
        read = (q.unsqueeze(-1) * state).sum(dim=-2)
        outputs.append(mark[..., step, :, None] * read + direct_only(q, k, v, direct[..., step, :]))
        state = _scaled(transition[..., step, :], state) + _scaled(source[..., step, :], outer[..., step, :, :, :])
    return (torch.stack(outputs, dim=-3) if outputs else direct_only(query, key, value, direct)), state


def grid2d_naive(query: Tensor, key: Tensor, value: Tensor, gates: Sequence[Tensor], direct: Tensor) -> Tensor:
    """Outputs of a grid.

    Args:
        query: ``[..., X, Y, H, K]``
        key: ``[..., X, Y, H, K]``
        value: ``[..., X, Y, H, V]``
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, each ``[..., X, Y, H]``.
        direct: ``[..., X, Y, H]``

    Returns:
        ``[..., X, Y, H, V]``
    """
    source_right, source_down, right_from_left, down_from_up, down_from_left, right_from_up, mark_left, mark_up = gates
    width, height = query.shape[-4:-2]
    right: dict[tuple[int, int], Tensor] = {}
    down: dict[tuple[int, int], Tensor] = {}
    none = value.new_zeros(*query.shape[:-4], *query.shape[-2:], value.size(-1))
    columns = []
    for x in range(width):
        column = []
        for y in range(height):
            at = (..., x, y, slice(None))
            q, k, v = query[..., x, y, :, :], key[..., x, y, :, :], value[..., x, y, :, :]
            outer = k.unsqueeze(-1) * v.unsqueeze(-2)
            left, up = right.get((x - 1, y), none), down.get((x, y - 1), none)
            marked = _scaled(mark_left[at], left) + _scaled(mark_up[at], up)
            column.append((q.unsqueeze(-1) * marked).sum(dim=-2) + direct_only(q, k, v, direct[at]))
            right[x, y] = (
                _scaled(right_from_left[at], left) + _scaled(right_from_up[at], up) + _scaled(source_right[at], outer)
            )
            down[x, y] = (
                _scaled(down_from_left[at], left) + _scaled(down_from_up[at], up) + _scaled(source_down[at], outer)
            )
        columns.append(torch.stack(column, dim=-3) if column else value[..., x, :, :, :])
    return torch.stack(columns, dim=-4) if columns else torch.zeros_like(value)


def grid2d_oriented_naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Sequence[tuple[bool, bool]],
) -> Tensor:
    """Several orientations by definition: one after the other, each on a flipped grid.

    Args:
        query: ``[..., X, Y, H, K]``
        key: ``[..., X, Y, H, K]``
        value: ``[..., X, Y, H, V]``
        gates: All gates but direct, each ``[..., X, Y, O, H]``.
        direct: ``[..., X, Y, H]``
        flips: Whether each orientation runs against the first and the second axis.

    Returns:
        ``[..., X, Y, H, V]``
    """
    out = direct_only(query, key, value, direct)
    for o, flip in enumerate(flips):
        axes = [axis for axis, against in zip((-4, -3), flip, strict=True) if against]
        q, k, v = (tensor.flip(axes) for tensor in (query, key, value))
        own = [gate.select(-2, o).flip([axis + 1 for axis in axes]) for gate in gates]
        out = out + grid2d_naive(q, k, v, own, torch.zeros_like(own[0])).flip(axes)
    return out


def direct_only(query: Tensor, key: Tensor, value: Tensor, direct: Tensor) -> Tensor:
    """What nodes read of themselves, ``[..., H, V]``."""
    return direct.unsqueeze(-1) * (query * key).sum(dim=-1, keepdim=True) * value


def _scaled(gate: Tensor, state: Tensor) -> Tensor:
    """A gate of each head ``[..., H]`` times its state ``[..., H, K, V]``."""
    return gate[..., None, None] * state
