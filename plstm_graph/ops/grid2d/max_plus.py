"""M-mode on two-dimensional grids, in one orientation or in several at once."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from plstm_graph.ops.grid2d.max_plus_states import max_plus_grid2d_states
from plstm_graph.ops.grid2d.plstm_grid2d import ORIENTATIONS, Orientation, flips_of
from plstm_graph.ops.max_plus_regular_naive import max_plus_grid2d_naive
from plstm_graph.ops.max_plus_terms import check_temperature, largest_read, largest_term
from plstm_graph.ops.shapes import GATES, check_form, check_real, check_same, widened

MaxPlusGridForm = Literal["auto", "naive", "recurrent"]


def plstm_max_plus_grid2d(
    source_right: Tensor,
    source_down: Tensor,
    right_from_left: Tensor,
    down_from_up: Tensor,
    down_from_left: Tensor,
    right_from_up: Tensor,
    mark_left: Tensor,
    mark_up: Tensor,
    direct: Tensor,
    temperature: float = 0.0,
    form: MaxPlusGridForm = "auto",
) -> Tensor:
    r"""The largest sum along any path of a grid with edges right, to ``(x + 1, y)``, and down, to ``(x, y + 1)``.

    Operands stand at the nodes as gates do in :func:`~plstm_graph.ops.plstm_grid2d`. With R for what comes from the
    left, D for what comes from above, and ``->`` for right_from_left and so on:

    .. math::
        R_{xy} = \max(s^{right},\; R_{x-1,y} + t^{\to},\; D_{x,y-1} + t^{\text{right from up}})

        D_{xy} = \max(s^{down},\; R_{x-1,y} + t^{\text{down from left}},\; D_{x,y-1} + t^{\downarrow})

        y_{xy} = \max(d,\; R_{x-1,y} + r^{left},\; D_{x,y-1} + r^{up})

    It equals :func:`~plstm_graph.ops.plstm_max_plus` on ``LineGraph.grid(X, Y)``, gradients at ties included: of equal
    terms the first counts, in the order of the equations.

    Args:
        source_right: ``[..., X, Y, C]``, as all other operands.
        source_down: What enters at the edge down.
        right_from_left: What is added from the edge that comes from the left to the edge right.
        down_from_up: What is added from the edge that comes from above to the edge down.
        down_from_left: What is added from the edge that comes from the left to the edge down.
        right_from_up: What is added from the edge that comes from above to the edge right.
        mark_left: What is added when the node reads the edge that comes from the left.
        mark_up: What is added when it reads the edge that comes from above.
        direct: What the node reads at least.
        temperature: Of the soft maximum, in the unit of the operands; 0 for the maximum itself.
        form: ``"naive"`` (node by node, for reference), ``"recurrent"`` (one anti-diagonal after the other), or
            ``"auto"``.

    Returns:
        ``[..., X, Y, C]`` in the dtype of ``direct``; computed in float32 at least.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: If a shape does not fit, naming the argument, if the temperature is negative, not finite or
            too small a number to divide by, or if there is no such form.
    """
    gates = [source_right, source_down, right_from_left, down_from_up, down_from_left, right_from_up]
    gates += [mark_left, mark_up]
    _check_direct(direct)
    check_same("[..., X, Y, C]", tuple(direct.shape), dict(zip(GATES, gates, strict=True)))
    return _evaluate([gate.unsqueeze(-2) for gate in gates], direct, [(False, False)], temperature, form)


def plstm_max_plus_grid2d_oriented(
    source_right: Tensor,
    source_down: Tensor,
    right_from_left: Tensor,
    down_from_up: Tensor,
    down_from_left: Tensor,
    right_from_up: Tensor,
    mark_left: Tensor,
    mark_up: Tensor,
    direct: Tensor,
    temperature: float = 0.0,
    form: MaxPlusGridForm = "auto",
    orientations: Sequence[Orientation] = ORIENTATIONS,
) -> Tensor:
    r"""The maximum over several orientations of :func:`plstm_max_plus_grid2d`, in one pass.

    In the orientation ``"left-up"``, say, edges lead to ``(x - 1, y)`` and ``(x, y - 1)``, and "right" and "down" in
    the names of operands mean left and up. Every operand stays at its node. The direct term counts once; of equal
    terms it comes first, then those of the orientations in their order.

    Args:
        source_right: ``[..., X, Y, O, C]``, one slice for each orientation, as all other operands but ``direct``.
        source_down: As in :func:`plstm_max_plus_grid2d`.
        right_from_left: As in :func:`plstm_max_plus_grid2d`.
        down_from_up: As in :func:`plstm_max_plus_grid2d`.
        down_from_left: As in :func:`plstm_max_plus_grid2d`.
        right_from_up: As in :func:`plstm_max_plus_grid2d`.
        mark_left: As in :func:`plstm_max_plus_grid2d`.
        mark_up: As in :func:`plstm_max_plus_grid2d`.
        direct: ``[..., X, Y, C]``
        temperature: As in :func:`plstm_max_plus_grid2d`; the maximum over orientations is soft, too.
        form: As in :func:`plstm_max_plus_grid2d`.
        orientations: Which orientations the slices are. (default: all four, in the order of
            :data:`~plstm_graph.ops.ORIENTATIONS`)

    Returns:
        ``[..., X, Y, C]`` in the dtype of ``direct``; computed in float32 at least.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: If a shape does not fit, naming the argument, if the temperature is negative, not finite or
            too small a number to divide by, or if there is no such form or orientation.
    """
    gates = [source_right, source_down, right_from_left, down_from_up, down_from_left, right_from_up]
    gates += [mark_left, mark_up]
    _check_direct(direct)
    expected = (*direct.shape[:-1], len(orientations), direct.size(-1))
    check_same("[..., X, Y, O, C]", expected, dict(zip(GATES, gates, strict=True)))
    return _evaluate(gates, direct, flips_of(orientations), temperature, form)


def _check_direct(direct: Tensor) -> None:
    check_real("direct", direct)
    if direct.dim() < 3:
        raise ValueError(f"direct must be [..., X, Y, C], got {list(direct.shape)}")


def _evaluate(
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Sequence[tuple[bool, bool]],
    temperature: float,
    form: MaxPlusGridForm,
) -> Tensor:
    """Orientations by whether they run against the axes, in the form that was asked for."""
    check_form(form, MaxPlusGridForm)
    d, *wide = widened(direct, *gates)
    check_temperature(temperature, d.dtype)
    with torch.autocast(d.device.type, enabled=False):
        if direct.numel() == 0 or not flips:
            out = largest_term([d], temperature)
        elif form == "naive":
            out = max_plus_grid2d_naive(wide, d, flips, temperature)
        else:
            out = _by_states(wide, d, flips, temperature)
    return out.to(direct.dtype)


def _by_states(
    gates: Sequence[Tensor], direct: Tensor, flips: Sequence[tuple[bool, bool]], temperature: float
) -> Tensor:
    gates = [gate.reshape(-1, *gate.shape[-4:]) for gate in gates]
    states = max_plus_grid2d_states(gates[:6], flips, temperature)
    mark = torch.stack(gates[6:]).movedim(-2, 2)
    own = direct.reshape(-1, *direct.shape[-3:])
    return largest_read(states + mark, own, temperature).reshape(direct.shape)
