r"""The gating matrix of a D-mode grid in closed form: a path turns at most once, so it is an outer product.

Where nothing turns from left to down, a path runs down a column, turns right at most once, and runs along a row. With
the products :math:`P` of gates strictly between two places, a node :math:`(x', y')` reads :math:`(x, y)` by

.. math::
    M^{left}_{x'y'} P^{row\ y'}_{x'x}\, T^{right\ from\ up}_{xy'}\, P^{column\ x}_{y'y}\, S^{down}_{xy},

and on the same row or column by the straight path alone.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from plstm_graph.ops.segment_products import segment_products
from plstm_graph.ops.shapes import check_same

#: Which of the two turns of a grid is open.
Chirality = Literal["L", "R"]


def single_turn_gating(
    source_right: Tensor,
    source_down: Tensor,
    right_from_left: Tensor,
    down_from_up: Tensor,
    turn: Tensor,
    mark_left: Tensor,
    mark_up: Tensor,
    direct: Tensor,
    chirality: Chirality = "L",
) -> Tensor:
    r"""Gating matrix of a grid on which only one of the two turns is open.

    If no gate exceeds 1 in size, nor does any entry: there is one path between any two edges.

    Args:
        source_right: ``[..., X, Y]``, as all gates.
        source_down: As in :func:`~plstm_graph.ops.plstm_grid2d`, like all others.
        right_from_left: Transition straight on, to the right.
        down_from_up: Transition straight on, downwards.
        turn: ``right_from_up`` for chirality ``"L"``, ``down_from_left`` for ``"R"``; the other one is 0.
        mark_left: Mark of the edge that comes from the left.
        mark_up: Mark of the edge that comes from above.
        direct: Direct gate.
        chirality: Which way paths turn, seen by who walks along them: ``"L"`` from columns to rows, ``"R"`` from rows
            to columns.

    Returns:
        What each node reads of each, ``[..., X, Y, X, Y]``, the reader first.

    Raises:
        ValueError: If a shape does not fit, or there is no such chirality.
    """
    if chirality not in get_args(Chirality):
        raise ValueError(f"chirality must be 'L' or 'R', got {chirality!r}")
    others = {"source_down": source_down, "right_from_left": right_from_left, "down_from_up": down_from_up}
    others |= {"turn": turn, "mark_left": mark_left, "mark_up": mark_up, "direct": direct}
    check_same("[..., X, Y]", tuple(source_right.shape), others)
    if chirality == "R":
        swapped = (source_down, source_right, down_from_up, right_from_left, turn, mark_up, mark_left, direct)
        right, down, straight, below, corner, left, up, own = (gate.mT for gate in swapped)
        mirrored = single_turn_gating(right, down, straight, below, corner, left, up, own)
        return mirrored.transpose(-4, -3).transpose(-2, -1)
    rows = segment_products(right_from_left.mT) * mark_left.mT.unsqueeze(-1)  # [..., y', x', x]
    columns = segment_products(down_from_up) * source_down.unsqueeze(-2)  # [..., x, y', y]
    turned = columns * turn.unsqueeze(-1)
    gating = torch.einsum("...vux,...xvy->...uvxy", rows, turned)
    same_row = torch.einsum("...vux,...xv,vy->...uvxy", rows, source_right, _identity(rows.size(-3), rows))
    same_column = torch.einsum("...xvy,...xv,ux->...uvxy", columns, mark_up, _identity(rows.size(-1), rows))
    own = direct.flatten(-2).diag_embed().view_as(gating)
    return gating + same_row + same_column + own


def _identity(size: int, like: Tensor) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)
