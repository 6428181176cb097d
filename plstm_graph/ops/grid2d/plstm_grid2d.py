"""The operator on two-dimensional grids, in one orientation or in several at once."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from plstm_graph.ops.grid2d.chunkwise import grid2d_chunkwise
from plstm_graph.ops.grid2d.native import grid2d_native, has_native_grids
from plstm_graph.ops.grid2d.parallel import grid2d_parallel
from plstm_graph.ops.regular_naive import direct_only, grid2d_oriented_naive
from plstm_graph.ops.shapes import GATES, check_features, check_form, check_same, widened

GridForm = Literal["auto", "naive", "recurrent", "parallel", "chunkwise", "native"]
Orientation = Literal["right-down", "left-down", "right-up", "left-up"]

#: Every orientation, in the order of :func:`plstm_grid2d_oriented`.
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)

# Nodes up to which the parallel form is the cheaper one, and nodes along a side of a block beyond.
_WORTH_BLOCKS = 300
_BLOCK_SIDE = 4


def plstm_grid2d(
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
    form: GridForm = "auto",
) -> Tensor:
    r"""The pLSTM operator on a grid with edges right, to ``(x + 1, y)``, and down, to ``(x, y + 1)`` (section 2D).

    All gates of a node lie between the states that enter it, R from the left and D from above, and those that leave
    it. With ``->`` for right_from_left and so on:

    .. math::
        R_{xy} = T^{\to} R_{x-1,y} + T^{\text{right from up}} D_{x,y-1} + S^{right} k_{xy} v_{xy}^{\top}

        D_{xy} = T^{\text{down from left}} R_{x-1,y} + T^{\downarrow} D_{x,y-1} + S^{down} k_{xy} v_{xy}^{\top}

        y_{xy} = q_{xy}^{\top} (M^{left} R_{x-1,y} + M^{up} D_{x,y-1}) + D_{xy}\, (q_{xy} \cdot k_{xy})\, v_{xy}

    It equals :func:`~plstm_graph.plstm` on ``LineGraph.grid(X, Y)``. States and sums are at least float32; the result
    has the dtype of ``value``.

    Args:
        query: ``[..., X, Y, H, K]``
        key: ``[..., X, Y, H, K]``
        value: ``[..., X, Y, H, V]``
        source_right: ``[..., X, Y, H]``, as all other gates.
        source_down: Source of the edge down.
        right_from_left: Transition from the edge that comes from the left to the edge right.
        down_from_up: Transition from the edge that comes from above to the edge down.
        down_from_left: Transition from the edge that comes from the left to the edge down.
        right_from_up: Transition from the edge that comes from above to the edge right.
        mark_left: Mark of the edge that comes from the left.
        mark_up: Mark of the edge that comes from above.
        direct: Direct gate of the node.
        form: Which exact evaluation to use: ``"naive"`` (node by node, for reference), ``"recurrent"`` (states, one
            anti-diagonal after the other), ``"parallel"`` (gating matrix by merging blocks in logarithmic depth,
            then one masked attention), ``"chunkwise"`` (parallel inside blocks, states between them; memory is
            linear in the number of nodes), ``"native"`` (node by node in C, on a CPU where there is a C compiler,
            see :mod:`plstm_graph.native.load`), or ``"auto"`` for the cheapest.

    Returns:
        ``[..., X, Y, H, V]``

    Raises:
        ValueError: If a shape does not fit, naming the argument, or if there is no such form.
    """
    gates = [source_right, source_down, right_from_left, down_from_up, down_from_left, right_from_up]
    gates += [mark_left, mark_up]
    shape = check_features(query, key, value, "X, Y", 2)
    check_same("[..., X, Y, H]", shape, dict(zip(GATES, gates, strict=True)))
    return _evaluate(query, key, value, [gate.unsqueeze(-2) for gate in gates], direct, [(False, False)], form)


def plstm_grid2d_oriented(
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
    form: GridForm = "auto",
    orientations: Sequence[Orientation] = ORIENTATIONS,
) -> Tensor:
    r"""Several orientations of :func:`plstm_grid2d` in one pass: they share query, key and value, and are summed.

    In the orientation ``"left-up"``, say, edges lead to ``(x - 1, y)`` and ``(x, y - 1)``, and "right" and "down" in
    the names of gates mean left and up: the result is that of :func:`plstm_grid2d` on the flipped grid, flipped back.
    Every gate stays at its node. The direct term counts once.

    Args:
        query: ``[..., X, Y, H, K]``
        key: ``[..., X, Y, H, K]``
        value: ``[..., X, Y, H, V]``
        source_right: ``[..., X, Y, O, H]``, one slice for each orientation, as all other gates but ``direct``.
        source_down: As in :func:`plstm_grid2d`.
        right_from_left: As in :func:`plstm_grid2d`.
        down_from_up: As in :func:`plstm_grid2d`.
        down_from_left: As in :func:`plstm_grid2d`.
        right_from_up: As in :func:`plstm_grid2d`.
        mark_left: As in :func:`plstm_grid2d`.
        mark_up: As in :func:`plstm_grid2d`.
        direct: ``[..., X, Y, H]``
        form: As in :func:`plstm_grid2d`.
        orientations: Which orientations the slices are. (default: all four, in the order of :data:`ORIENTATIONS`)

    Returns:
        ``[..., X, Y, H, V]``

    Raises:
        ValueError: If a shape does not fit, naming the argument, or if there is no such form or orientation.
    """
    gates = [source_right, source_down, right_from_left, down_from_up, down_from_left, right_from_up]
    gates += [mark_left, mark_up]
    shape = check_features(query, key, value, "X, Y", 2)
    check_same("[..., X, Y, H]", shape, {"direct": direct})
    expected = (*shape[:-1], len(orientations), shape[-1])
    check_same("[..., X, Y, O, H]", expected, dict(zip(GATES, gates, strict=True)))
    return _evaluate(query, key, value, gates, direct, flips_of(orientations), form)


def flips_of(orientations: Sequence[Orientation]) -> list[tuple[bool, bool]]:
    """Whether each orientation runs against the first and the second axis.

    Raises:
        ValueError: If there is no such orientation.
    """
    for name in orientations:
        if name not in ORIENTATIONS:
            raise ValueError(f"unknown orientation {name!r}; choose from {', '.join(map(repr, ORIENTATIONS))}")
    return [("left" in name, "up" in name) for name in orientations]


def _evaluate(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Sequence[tuple[bool, bool]],
    form: GridForm,
) -> Tensor:
    """Orientations by whether they run against the axes, in the form that was asked for."""
    check_form(form, GridForm)
    q, k, v, d, *wide = widened(query, key, value, direct, *gates)
    width, height = query.shape[-4:-2]
    if form == "auto" and has_native_grids(q):
        form = "native"
    elif form == "auto":
        form = "parallel" if width * height <= _WORTH_BLOCKS else "chunkwise"
    with torch.autocast(q.device.type, enabled=False):
        if query.numel() == 0 or value.numel() == 0 or not flips:
            out = direct_only(q, k, v, d)
        elif form == "naive":
            out = grid2d_oriented_naive(q, k, v, wide, d, flips)
        else:
            leading = query.dim() - 4
            q, k, v, d = (tensor.reshape(-1, *tensor.shape[leading:]) for tensor in (q, k, v, d))
            wide = [gate.reshape(-1, *gate.shape[leading:]) for gate in wide]
            if form == "native":
                out = grid2d_native(q, k, v, wide, d, flips)
            elif form == "parallel":
                out = grid2d_parallel(q, k, v, wide, d, flips)
            else:
                out = grid2d_chunkwise(q, k, v, wide, d, flips, 1 if form == "recurrent" else _BLOCK_SIDE)
            out = out.reshape(value.shape)
    return out.to(value.dtype)
