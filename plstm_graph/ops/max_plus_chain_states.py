r"""States of chains in M-mode, :math:`m_l = \max(s_l, m_{l-1} + t_l)`, step by step or by an associative scan.

A maximum, hard or soft, is differentiated by weights: how much of each state is its source, and how much has passed.
Given those, gradients follow the linear recurrence :math:`\bar m_{l-1} = g_{l-1} + w_l \bar m_l`, from the end.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.max_plus_terms import largest_term
from plstm_graph.ops.semiring_scan import semiring_scan


def max_plus_chain_states(source: Tensor, transition: Tensor, start: Tensor, soft: bool, scan: bool) -> Tensor:
    """States of many chains of at least one place.

    Args:
        source: ``[L, R]``
        transition: ``[L, R]``
        start: ``[R]``
        soft: Whether maxima are soft ones of temperature 1.
        scan: Whether to evaluate all places at once, in logarithmic depth, rather than one after the other.

    Returns:
        The state before the first place and behind every place, ``[L + 1, R]``.
    """
    return _STATES(source, transition, start, options=[int(soft), int(scan)])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    source, transition, start = operands
    larger = torch.logaddexp if options[0] else torch.maximum
    if options[1]:
        step = lambda gate, put, state: larger(put, state + gate)  # noqa: E731
        return (semiring_scan(transition, source, start, torch.add, step),)
    states = torch.cat([start.unsqueeze(0), source])
    for place, gate in enumerate(transition):
        larger(states[place + 1], states[place] + gate, out=states[place + 1])
    return (states,)


def _weights(source: Tensor, transition: Tensor, states: Tensor, soft: bool) -> tuple[Tensor, Tensor]:
    """How much of each state is its source and how much has passed, ``[L, R]`` each; both 0 where there is nothing.

    Terms are compared with each other rather than with the state, whose last digits depend on the form.
    """
    passing = states[:-1] + transition
    if soft:
        # Where both are minus infinity, their difference is no number.
        own = (source - passing).sigmoid_().nan_to_num_(nan=0.0)
        return own, (passing - source).sigmoid_().nan_to_num_(nan=0.0)
    own = (source >= passing) & (source > -torch.inf)
    return own.to(source.dtype), (passing > source).to(source.dtype)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    source, transition, start = operands
    own, passing = _weights(source, transition, kept[0], bool(options[0]))
    if options[1]:
        adjoint = _linear(passing.flip(0), grad[:-1].flip(0), grad[-1]).flip(0)
    else:
        adjoint = grad.clone()
        for place in range(source.size(0) - 1, -1, -1):
            adjoint[place].addcmul_(passing[place], adjoint[place + 1])
    of_start = adjoint[0].masked_fill(start == -torch.inf, 0.0)
    return own.mul_(adjoint[1:]), passing.mul_(adjoint[1:]), of_start


def _linear(gate: Tensor, put: Tensor, start: Tensor) -> Tensor:
    return semiring_scan(gate, put, start, torch.mul, lambda g, u, x: u + g * x)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    source = operands[0]
    return (source.new_empty(source.size(0) + 1, source.size(1)),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    return _soft_twin(operands) if options[0] else _hard_twin(operands)


def _soft_twin(operands: Sequence[Tensor]) -> Tensor:
    source, transition, start = operands
    step = lambda gate, put, state: largest_term([put, state + gate], 1.0)  # noqa: E731
    return semiring_scan(transition, source, start, torch.add, step)


def _hard_twin(operands: Sequence[Tensor]) -> Tensor:
    """Given which terms are the largest, a linear recurrence."""
    source, transition, start = operands
    fixed = [tensor.detach() for tensor in operands]
    (states,) = _forward(fixed, (), [0, 1])
    own, passing = _weights(fixed[0], fixed[1], states, soft=False)
    # What is not taken may be minus infinity, which 0 would not make vanish.
    put = source.masked_fill(own == 0, 0.0) + transition.masked_fill(passing == 0, 0.0)
    sums = _linear(passing, put, start.masked_fill(fixed[2] == -torch.inf, 0.0))
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
