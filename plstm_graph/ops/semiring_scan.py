"""Chains of affine steps by an associative scan, in any semiring: work linear in the length, depth its logarithm."""

from collections.abc import Callable

import torch
from torch import Tensor


def semiring_scan(
    gate: Tensor,
    put: Tensor,
    start: Tensor,
    compose: Callable[[Tensor, Tensor], Tensor],
    step: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    r"""States :math:`x_l = u_l \oplus g_l \otimes x_{l-1}` at every place.

    Two neighbouring steps are one affine step themselves, so the chain of half the length is solved likewise, and its
    states are handed to the places between.

    Args:
        gate: :math:`g`, ``[L, ...]``.
        put: :math:`u`, ``[L, ...]``.
        start: :math:`x_0`, of the shape of one ``put``.
        compose: Two gates as one, called with the later one first.
        step: :math:`u \oplus g \otimes x`, called with ``(g, u, x)`` for many places at once.

    Returns:
        The state before the first place and behind every place, ``[L + 1, ...]``.
    """
    states, length = start.unsqueeze(0), gate.size(0)
    paired = length // 2 * 2
    if paired:
        gates, puts = (gate[:paired:2], gate[1:paired:2]), (put[:paired:2], put[1:paired:2])
        both = compose(gates[1], gates[0]), step(gates[1], puts[1], puts[0])
        coarse = semiring_scan(*both, start, compose, step)
        between = step(gates[0], puts[0], coarse[:-1])
        states = torch.cat([torch.stack([coarse[:-1], between], dim=1).flatten(0, 1), coarse[-1:]])
    if paired == length:
        return states
    return torch.cat([states, step(gate[paired:], put[paired:], states[-1:])])
