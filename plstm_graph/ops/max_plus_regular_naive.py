"""M-mode on chains and grids node by node: slow, short, and what every other form must equal."""

from collections.abc import Sequence

import torch
from torch import Tensor

from plstm_graph.ops.max_plus_terms import largest_term


def max_plus_chain_naive(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, initial_state: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Outputs and final state; arguments as for :func:`~plstm_graph.ops.plstm_max_plus_chain`, of one dtype."""
    state, outputs = initial_state, []
    for step in range(direct.size(-2)):
        s, t, r, d = (operand[..., step, :] for operand in (source, transition, mark, direct))
        outputs.append(largest_term([d, state + r], temperature))
        state = largest_term([s, state + t], temperature)
    return (torch.stack(outputs, dim=-2) if outputs else direct.clone()), state


def max_plus_grid2d_naive(
    gates: Sequence[Tensor], direct: Tensor, flips: Sequence[tuple[bool, bool]], temperature: float
) -> Tensor:
    """Outputs of a grid in several orientations.

    Args:
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, each ``[..., X, Y, O, C]``.
        direct: ``[..., X, Y, C]``
        flips: Whether each orientation runs against the first and the second axis.
        temperature: Of the soft maximum; 0 for the maximum itself.

    Returns:
        ``[..., X, Y, C]``
    """
    read = [direct]
    for o, flip in enumerate(flips):
        axes = [axis for axis, against in zip((-3, -2), flip, strict=True) if against]
        own = [gate.select(-2, o).flip(axes) for gate in gates]
        read += [arriving.flip(axes) for arriving in _arriving(own, temperature)]
    return largest_term(read, temperature)


def _arriving(gates: Sequence[Tensor], temperature: float) -> tuple[Tensor, Tensor]:
    """What nodes read from the left and from above, marked, ``[..., X, Y, C]`` each, with edges right and down."""
    width, height = gates[0].shape[-3:-1]
    right: dict[tuple[int, int], Tensor] = {}
    down: dict[tuple[int, int], Tensor] = {}
    nothing = torch.full_like(gates[0][..., 0, 0, :], -torch.inf)
    read = []
    for x in range(width):
        for y in range(height):
            s_right, s_down, right_left, down_up, down_left, right_up, mark_left, mark_up = (
                gate[..., x, y, :] for gate in gates
            )
            left, up = right.get((x - 1, y), nothing), down.get((x, y - 1), nothing)
            read.append((left + mark_left, up + mark_up))
            right[x, y] = largest_term([s_right, left + right_left, up + right_up], temperature)
            down[x, y] = largest_term([s_down, left + down_left, up + down_up], temperature)
    shape = (width, height)
    left, up = (torch.stack(terms, dim=-2).unflatten(-2, shape) for terms in zip(*read, strict=True))
    return left, up
