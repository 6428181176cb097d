r"""States of chains in M-mode, :math:`m_l = \max(s_l, m_{l-1} + t_l)`, step by step or by an associative scan.

A maximum, hard or soft, is differentiated by weights: how much of each state is its source, and how much has passed.
Given those, gradients follow the linear recurrence :math:`\bar m_{l-1} = g_{l-1} + w_l \bar m_l`, from the end.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.max_plus_terms import (
    larger,
    largest_term,
    mask_of,
    masked,
    part,
    share_of,
    temperature_of,
    temperature_tensors,
)
from plstm_graph.ops.semiring_scan import semiring_scan


def max_plus_chain_states(source: Tensor, transition: Tensor, start: Tensor, temperature: float, scan: bool) -> Tensor:
    """States of many chains of at least one place.

    Args:
        source: ``[L, R]``
        transition: ``[L, R]``
        start: ``[R]``
        temperature: Of the soft maximum; 0 for the maximum itself.
        scan: Whether to evaluate all places at once, in logarithmic depth, rather than one after the other.

    Returns:
        The state before the first place and behind every place, ``[L + 1, R]``.
    """
    return _STATES(source, transition, start, structure=temperature_tensors(temperature), options=[int(scan)])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    (source, transition, start), temperature = operands, temperature_of(structure)
    if options[0]:
        step = lambda gate, put, state: larger(put, state + gate, temperature)  # noqa: E731
        return (semiring_scan(transition, source, start, torch.add, step),)
    states = torch.cat([start.unsqueeze(0), source])
    for place, gate in enumerate(transition):
        states[place + 1] = larger(source[place], states[place] + gate, temperature)
    return (states,)


def _weights(source: Tensor, transition: Tensor, states: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """How much of each state is its source and how much has passed, ``[L, R]`` each; both none where there is nothing.

    Shares of a soft maximum, or masks of the maximum. Terms are compared with their own largest rather than with the
    state, whose last digits depend on the form.
    """
    passing = states[:-1] + transition
    largest = larger(source, passing, temperature)
    if temperature > 0:
        return share_of(source, largest, temperature), share_of(passing, largest, temperature)
    # Something is the largest; not a number is, if anything is not.
    own, there = (source == largest) | source.isnan(), largest != -torch.inf
    return mask_of(there & own, source.dtype), mask_of(there & ~own, source.dtype)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    (source, transition, _), temperature = operands, temperature_of(structure)
    own, passed = _weights(source, transition, kept[0], temperature)
    compose, share = (torch.mul, part) if temperature > 0 else (torch.bitwise_and, masked)
    if options[0]:
        adjoint = _linear(passed.flip(0), grad[:-1].flip(0), grad[-1], compose, share).flip(0)
    else:
        adjoint = grad.clone()
        for place in range(source.size(0) - 1, -1, -1):
            adjoint[place] += share(adjoint[place + 1], passed[place])
    return share(adjoint[1:], own), share(adjoint[1:], passed), adjoint[0].clone()


def _linear(
    gate: Tensor,
    put: Tensor,
    start: Tensor,
    compose: Callable[[Tensor, Tensor], Tensor] = torch.mul,
    share: Callable[[Tensor, Tensor], Tensor] = part,
) -> Tensor:
    return semiring_scan(gate, put, start, compose, lambda g, u, x: u + share(x, g))


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    source = operands[0]
    return (source.new_empty(source.size(0) + 1, source.size(1)),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    (source, transition, start), temperature = operands, temperature_of(structure)
    if temperature > 0:
        step = lambda gate, put, state: largest_term([put, state + gate], temperature)  # noqa: E731
        return semiring_scan(transition, source, start, torch.add, step)
    # Given which terms are the largest, a linear recurrence.
    fixed = [tensor.detach() for tensor in operands]
    (states,) = _forward(fixed, (), [1])
    own, passed = _weights(fixed[0], fixed[1], states, 0.0)
    # What is not taken may be minus infinity, which 0 would not make vanish.
    put = source.masked_fill(own == 0, 0.0) + transition.masked_fill(passed == 0, 0.0)
    sums = _linear((passed != 0).to(put.dtype), put, start.masked_fill(fixed[2] == -torch.inf, 0.0))
    return sums.masked_fill(states == -torch.inf, -torch.inf)


_STATES = CustomOperator(
    "max_plus_chain",
    ("source", "transition", "start"),
    _forward,
    _backward,
    _fake,
    _twin,
    keeps_output=True,
    features=0,
)
