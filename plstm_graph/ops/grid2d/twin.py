"""Grids by operations that torch differentiates by itself: the twin of their hand-written forms.

States advance from one anti-diagonal to the next. The grid is sheared first, so that anti-diagonals become columns.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.regular_naive import direct_only


def grid2d_twin(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Sequence[Tensor],
    direct: Tensor,
    against_first: Sequence[int],
    against_second: Sequence[int],
) -> Tensor:
    """Outputs of grids in several orientations.

    Args:
        query: ``[Z, X, Y, K]`` for ``Z`` grids.
        key: ``[Z, X, Y, K]``
        value: ``[Z, X, Y, V]``
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, each ``[Z, X, Y, O]``.
        direct: ``[Z, X, Y]``
        against_first: Whether each orientation runs against the first axis.
        against_second: Whether it runs against the second axis.

    Returns:
        ``[Z, X, Y, V]``
    """
    out = direct_only(query, key, value, direct)
    for o, flip in enumerate(zip(against_first, against_second, strict=True)):
        axes = [axis for axis, against in zip((1, 2), flip, strict=True) if against]
        q, k, v = (tensor.flip(axes) for tensor in (query, key, value))
        own = [gate.select(-1, o).flip(axes) for gate in gates]
        out = out + _outputs(q, k, v, own).flip(axes)
    return out


def _outputs(query: Tensor, key: Tensor, value: Tensor, gates: Sequence[Tensor]) -> Tensor:
    """What nodes read of others, ``[Z, X, Y, V]``, with edges right and down."""
    width, height = query.shape[1:3]
    q, k, v = (_sheared(tensor) for tensor in (query, key, value))
    own = _sheared(torch.stack(list(gates), dim=-1))
    right = down = torch.zeros_like(k[:, :, 0].unsqueeze(-1) * v[:, :, 0].unsqueeze(-2))
    read = []
    for diagonal in range(width + height - 1):
        s_right, s_down, right_left, down_up, down_left, right_up, mark_left, mark_up = (
            own[:, :, diagonal, gate, None, None] for gate in range(8)
        )
        # R comes from node x - 1 of the diagonal before, D from node x. Gates are 0 where there is no node.
        left, up = F.pad(right, (0, 0, 0, 0, 1, 0))[:, :-1], down
        outer = k[:, :, diagonal].unsqueeze(-1) * v[:, :, diagonal].unsqueeze(-2)
        read.append((q[:, :, diagonal].unsqueeze(-1) * (mark_left * left + mark_up * up)).sum(dim=-2))
        right = right_left * left + right_up * up + s_right * outer
        down = down_left * left + down_up * up + s_down * outer
    return _unsheared(torch.stack(read, dim=2), height)


def _sheared(tensor: Tensor) -> Tensor:
    """``[Z, X, Y, C]`` to ``[Z, X, X + Y - 1, C]``: node ``(x, y)`` moves to ``(x, x + y)``, zeros elsewhere."""
    width, height = tensor.shape[1:3]
    rows = F.pad(tensor, (0, 0, 0, width)).flatten(1, 2)
    return rows[:, : width * (width + height - 1)].unflatten(1, (width, width + height - 1))


def _unsheared(tensor: Tensor, height: int) -> Tensor:
    """The inverse of :func:`_sheared`."""
    width = tensor.size(1)
    rows = F.pad(tensor.flatten(1, 2), (0, 0, 0, width))
    return rows.unflatten(1, (width, width + height))[:, :, :height]
