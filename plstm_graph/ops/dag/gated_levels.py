r"""A gated recurrent cell at every node of a DAG, level by level: nonlinear, so that it has no other form.

.. math::
    h_n = (1 - z) \odot c + z \odot m_n, \qquad
    r, z = \sigma(x_n + W_{rz} s_n), \quad c = \tanh(x_n + r \odot W_c s_n)

with :math:`m_n = \sum_e \alpha_e (h_{start(e)} + a_e)` over the edges into a node, :math:`\alpha` a softmax of
:math:`w \cdot h_{start(e)} + b_e`, and :math:`s_n = m_n`, or :math:`m_n` times the number of these edges, a sum; or
with :math:`s_n = m_n = \max_e (h_{start(e)} + a_e)`, channel by channel. What is carried on is a mean or a maximum in
all cases, so that states stay bounded over any depth.

Levels are written in place into one tensor, forward and backward, so that time and memory are linear in the nodes;
recorded by autograd level by level, every level would copy the states of all.
"""

from typing import Literal

import torch
from torch import Tensor

from plstm_graph.graph.node_levels import NodeLevels, level_bounds
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors

Gathering = Literal["attention", "sum", "max"]
# The option of the operator; options are integers.
_ATTENTION, _SUM, _MAX = range(3)
_OPTION: dict[str, int] = {"attention": _ATTENTION, "sum": _SUM, "max": _MAX}


def gated_levels(
    given: Tensor, at_edge: Tensor, weight: Tensor, bias: Tensor, score: Tensor, levels: NodeLevels, aggr: Gathering
) -> Tensor:
    """States of all nodes.

    Args:
        given: What the input of each node adds to reset gate, update gate and candidate, ``[N, 3 C]``.
        at_edge: Logit of each edge, then what it adds to the state that it brings, ``[E, 1 + C]``; ``[E, 0]`` for
            none.
        weight: Of the recurrent map, ``[3 C, C]``.
        bias: Of the recurrent map, ``[3 C]``.
        score: Of the attention over predecessors, ``[C]``; maxima have no use for it, nor for logits of edges.
        levels: The structure.
        aggr: How states before a node are gathered. With ``"sum"`` gates read the sum over predecessors, rather than
            the mean.

    Returns:
        ``[N, C]``
    """
    structure = (levels.start, levels.end, levels.node_ptr, levels.edge_ptr)
    operands = (
        given.index_select(0, levels.node_order),
        at_edge.index_select(0, levels.edge_order),
        *(weight, bias, score),
    )
    states = _GATED(*operands, structure=structure, options=[_OPTION[aggr]])
    return states.index_select(0, levels.node_position)


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    """States, and for the backward pass: what each node received ``[N, C]``, gates ``[N, 3 C]``, shares ``[E]``."""
    given, at_edge, weight, bias, score = operands
    start, end, node_ptr, edge_ptr = structure
    channels = weight.size(1)
    states, received = given.new_empty(len(given), channels), given.new_zeros(len(given), channels)
    gates, scores, share = torch.empty_like(given), given.new_empty(len(given)), given.new_empty(len(start))
    weight_t, degree = weight.t(), _degree(end, given, options)
    for first, last, edge, last_edge in level_bounds(node_ptr, edge_ptr):
        state = received[first:last]
        if last_edge > edge:
            before, here = start[edge:last_edge], end[edge:last_edge] - first
            message = _message(states, at_edge, before, edge, last_edge)
            if options[0] == _MAX:
                state.scatter_reduce_(0, _rows(here, message), message, "amax", include_self=False)
            else:
                logit = scores.index_select(0, before)
                if at_edge.size(1):
                    logit = logit + at_edge[edge:last_edge, 0]
                largest = logit.new_zeros(last - first).scatter_reduce_(0, here, logit, "amax", include_self=False)
                logit = (logit - largest.index_select(0, here)).exp_()
                sums = logit.new_zeros(last - first).index_add_(0, here, logit)
                share[edge:last_edge] = logit.div_(sums.index_select(0, here))
                state.index_add_(0, here, message.mul_(logit.unsqueeze(1)))
        recurrent = torch.addmm(bias, state if degree is None else state * degree[first:last], weight_t)
        reset, _, candidate = gates[first:last].chunk(3, dim=1)
        both = slice(0, 2 * channels)
        torch.add(given[first:last, both], recurrent[:, both], out=gates[first:last, both]).sigmoid_()
        torch.addcmul(given[first:last, 2 * channels :], reset, recurrent[:, 2 * channels :], out=candidate).tanh_()
        new = torch.lerp(candidate, state, gates[first:last, channels : 2 * channels])
        states[first:last] = new
        torch.mv(new, score, out=scores[first:last])
    return states, received, gates, share


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    received, gates, share, states = kept
    given, at_edge, weight, bias, score = operands
    start, end, node_ptr, edge_ptr = structure
    channels, degree = weight.size(1), _degree(end, given, options)
    grad, grad_scores = grad.clone(), states.new_zeros(len(states))
    # Everything that does not depend on the gradient, for all levels at once.
    reset, update, candidate = gates.chunk(3, dim=1)
    read = received if degree is None else received * degree
    recurrent = torch.addmm(bias[2 * channels :], read, weight[2 * channels :].t())
    to_update = (received - candidate) * update * (1 - update)
    to_candidate = (1 - update) * (1 - candidate.square())
    to_reset = recurrent * reset * (1 - reset)
    grad_given, grad_recurrent = torch.empty_like(gates), torch.empty_like(gates)
    grad_edge = torch.zeros_like(at_edge)
    for first, last, edge, last_edge in reversed(level_bounds(node_ptr, edge_ptr)):
        here = slice(first, last)
        down = torch.addr(grad[here], grad_scores[here], score)
        of_candidate = down * to_candidate[here]
        of_rest = grad_recurrent[here]
        torch.mul(of_candidate, to_reset[here], out=of_rest[:, :channels])
        torch.mul(down, to_update[here], out=of_rest[:, channels : 2 * channels])
        torch.mul(of_candidate, reset[here], out=of_rest[:, 2 * channels :])
        grad_given[here, 2 * channels :] = of_candidate
        if last_edge == edge:
            continue
        of_read = of_rest @ weight
        of_state = torch.addcmul(of_read if degree is None else of_read * degree[here], down, update[here])
        before, to = start[edge:last_edge], end[edge:last_edge] - first
        message = _message(states, at_edge, before, edge, last_edge)
        if options[0] == _MAX:
            # The maximum is a copy of what it was taken of, so that it is found again exactly. Equal ones share evenly.
            won = (message == received[here].index_select(0, to)).to(message.dtype)
            winners = torch.zeros_like(of_state).index_add_(0, to, won)
            of_message = won.mul_((of_state / winners).index_select(0, to))
        else:
            of_message, part = of_state.index_select(0, to), share[edge:last_edge]
            of_share = (of_message * message).sum(dim=1).mul_(part)
            mean = of_share.new_zeros(last - first).index_add_(0, to, of_share)
            of_logit = of_share - part * mean.index_select(0, to)
            of_message = of_message * part.unsqueeze(1)
            grad_scores.index_add_(0, before, of_logit)
            if at_edge.size(1):
                grad_edge[edge:last_edge, 0] = of_logit
        grad.index_add_(0, before, of_message)
        if at_edge.size(1):
            grad_edge[edge:last_edge, 1:] = of_message
    grad_given[:, : 2 * channels] = grad_recurrent[:, : 2 * channels]
    return grad_given, grad_edge, grad_recurrent.t() @ read, grad_recurrent.sum(dim=0), states.t() @ grad_scores


def _message(states: Tensor, at_edge: Tensor, before: Tensor, edge: int, last_edge: int) -> Tensor:
    """What the edges of a level bring, ``[e, C]``, in new memory."""
    message = states.index_select(0, before)
    return message + at_edge[edge:last_edge, 1:] if at_edge.size(1) else message


def _rows(index: Tensor, values: Tensor) -> Tensor:
    """An index of rows for operations that take one for each number."""
    return index.unsqueeze(1).expand_as(values)


def _degree(end: Tensor, given: Tensor, options: Options) -> Tensor | None:
    """In-degree of each stored node where gates read sums, ``[N, 1]``."""
    if options[0] != _SUM:
        return None
    # bincount would wait for a device.
    return given.new_zeros(len(given)).index_add_(0, end, given.new_ones(len(end))).unsqueeze(1)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    given, channels = operands[0], operands[2].size(1)
    nodes = given.size(0)
    return (
        given.new_empty(nodes, channels),
        given.new_empty(nodes, channels),
        given.new_empty(given.shape),
        given.new_empty(structure[0].size(0)),
    )


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    """By operations that torch differentiates itself, each level with a copy of the states before it."""
    given, at_edge, weight, bias, score = operands
    start, end, node_ptr, edge_ptr = structure
    channels, degree = weight.size(1), _degree(end, given, options)
    states = given[:0, :channels]
    for first, last, edge, last_edge in level_bounds(node_ptr, edge_ptr):
        before, here = start[edge:last_edge], end[edge:last_edge] - first
        message = _message(states, at_edge, before, edge, last_edge)
        state = message.new_zeros(last - first, channels)
        if options[0] == _MAX:
            state = state.scatter_reduce(0, _rows(here, message), message, "amax", include_self=False)
        else:
            logit = states.index_select(0, before) @ score
            if at_edge.size(1):
                logit = logit + at_edge[edge:last_edge, 0]
            # Shares are the same whatever is taken off all logits of a node: the largest, so that nothing overflows.
            fixed = logit.detach()
            largest = fixed.new_zeros(last - first).scatter_reduce(0, here, fixed, "amax", include_self=False)
            part = (logit - largest.index_select(0, here)).exp()
            part = part / part.new_zeros(last - first).index_add(0, here, part).index_select(0, here)
            state = state.index_add(0, here, message * part.unsqueeze(1))
        read = state if degree is None else state * degree[first:last]
        own, recurrent = given[first:last], read @ weight.t() + bias
        reset, update = (own + recurrent)[:, : 2 * channels].sigmoid().chunk(2, dim=1)
        candidate = (own[:, 2 * channels :] + reset * recurrent[:, 2 * channels :]).tanh()
        states = torch.cat([states, candidate + update * (state - candidate)])
    return states


_GATED = CustomOperator(
    "gated_levels",
    ("given", "at_edge", "weight", "bias", "score"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=3,
    keeps_output=True,
    features=1,
)
