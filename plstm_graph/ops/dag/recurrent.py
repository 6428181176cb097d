"""The recurrent form: cell states advance level by level, all edges of a level and all graphs of a batch together.

Work is ``P * H * K * V`` with one gather and one scatter per level; memory is one state per edge, in place. The loop
is a custom operator with a hand-written backward pass, so a model compiles into one graph whatever the depth of its
batches.
"""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.level_pieces import level_pieces
from plstm_graph.ops.dag.twins import edge_messages_twin
from plstm_graph.ops.scatter import add_rows_

#: States of pairs that are advanced at once, in bytes.
PIECE_BYTES = 2**27


def edge_messages_recurrent(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph
) -> Tensor:
    """What each edge brings to its end node: the query of that node applied to the state of the edge.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H]``
        transition: ``[P, H]``
        line_graph: The DAG's line graph.

    Returns:
        ``[E, H, V]``
    """
    s = line_graph.schedule
    start, end = (s.end, s.start) if line_graph.is_reversed else (s.start, s.end)
    pair_from, pair_to = (s.pair_out, s.pair_in) if line_graph.is_reversed else (s.pair_in, s.pair_out)
    structure = (start, end, pair_from, pair_to, s.edge_order, s.pair_order, s.pair_ptr)
    operands = (query, key, value, source, transition)
    return _RECURRENT(*operands, structure=structure, options=[int(line_graph.is_reversed)])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Messages in the caller's edge order ``[E, H, V]``, and states in storage order ``[E, H, K, V]``."""
    query, key, value, source, transition = operands
    start, end, pair_from, pair_to, edge_order, pair_order, pair_ptr = structure
    reverse = bool(options[0])
    states = value.new_empty(start.numel(), *key.shape[1:], value.size(2))
    sources = source[edge_order].unsqueeze(-1) * key[start]
    torch.mul(sources.unsqueeze(-1), value[start].unsqueeze(-2), out=states)
    flat = states.view(*states.shape[:2], key.size(2) * value.size(2))
    gate = transition[pair_order].unsqueeze(-1)
    for pairs in _pieces(pair_ptr, flat, last_first=reverse):
        # Targets are sorted in the forward direction only; see Schedule.pair_out.
        add_rows_(flat, pair_to[pairs], flat[pair_from[pairs]] * gate[pairs], is_sorted=not reverse)
    messages = value.new_empty(edge_order.numel(), *value.shape[1:])
    messages[edge_order] = (query[end].unsqueeze(-2) @ states).squeeze(-2)
    return messages, states


def _backward(
    grad_messages: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    """The adjoint states travel the levels the other way."""
    (states,) = kept
    query, key, value, source, transition = operands
    start, end, pair_from, pair_to, edge_order, pair_order, pair_ptr = structure
    reverse = bool(options[0])
    grad_read = grad_messages[edge_order]
    grad_query = torch.zeros_like(query)
    add_rows_(grad_query, end, (states @ grad_read.unsqueeze(-1)).squeeze(-1))

    grad_states = torch.mul(query[end].unsqueeze(-1), grad_read.unsqueeze(-2), out=torch.empty_like(states))
    width = key.size(2) * value.size(2)
    flat, flat_states = (tensor.view(*states.shape[:2], width) for tensor in (grad_states, states))
    gate = transition[pair_order].unsqueeze(-1)
    grad_gate = torch.empty_like(transition)
    for pairs in _pieces(pair_ptr, flat, last_first=not reverse):
        arrived = flat[pair_to[pairs]]
        grad_gate[pairs] = (arrived * flat_states[pair_from[pairs]]).sum(dim=-1)
        add_rows_(flat, pair_from[pairs], arrived.mul_(gate[pairs]), is_sorted=reverse)

    k, v, s = key[start], value[start], source[edge_order].unsqueeze(-1)
    along_key = (k.unsqueeze(-2) @ grad_states).squeeze(-2)
    grad_key, grad_value = torch.zeros_like(key), torch.zeros_like(value)
    add_rows_(grad_key, start, (grad_states @ v.unsqueeze(-1)).squeeze(-1).mul_(s))
    grad_source = torch.empty_like(source)
    grad_source[edge_order] = (along_key * v).sum(dim=-1)
    add_rows_(grad_value, start, along_key.mul_(s))
    grad_transition = torch.empty_like(transition)
    grad_transition[pair_order] = grad_gate
    return grad_query, grad_key, grad_value, grad_source, grad_transition


def _pieces(pair_ptr: Tensor, states: Tensor, last_first: bool) -> list[slice]:
    """Pairs whose states fit into :data:`PIECE_BYTES`."""
    size = PIECE_BYTES // max(states[:1].numel() * states.element_size(), 1)
    return level_pieces(pair_ptr, size, last_first)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    _, key, value, source, _ = operands
    num_edges, heads, width = source.size(0), key.size(1), value.size(2)
    return value.new_empty(num_edges, heads, width), value.new_empty(num_edges, heads, key.size(2), width)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    return edge_messages_twin(operands, structure, reverse=bool(options[0]))


_RECURRENT = CustomOperator(
    "recurrent", ("query", "key", "value", "source", "transition"), _forward, _backward, _fake, _twin, kept=1
)
