"""Matrix-valued transitions level by level: all edges of a level and all graphs of a batch together.

Work is ``P * H * J * J * K * V`` with one gather, one batched product and one scatter per level; memory is one state
per edge, in place, for the backward pass as well, which is written by hand.
"""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.level_pieces import level_pieces
from plstm_graph.ops.dag.linear_recurrence import solve_recurrence
from plstm_graph.ops.dag.recurrent import PIECE_BYTES
from plstm_graph.ops.scatter import add_rows_


def edge_reads_levels(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.dag.matrix.edge_reads`, all of one dtype."""
    s, reverse = line_graph.schedule, line_graph.is_reversed
    start, end = (s.end, s.start) if reverse else (s.start, s.end)
    pairs = (s.pair_out, s.pair_in) if reverse else (s.pair_in, s.pair_out)
    structure = (start, end, *pairs, s.edge_order, s.edge_position, s.pair_order, s.pair_ptr)
    return _MATRIX(query, key, value, source, transition, structure=structure, options=[int(reverse)])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Reads in the caller's edge order ``[E, H, J, V]``, and states in storage order ``[E, H, J, K, V]``."""
    query, key, value, source, transition = operands
    start, end, pair_from, pair_to, edge_order, _, pair_order, pair_ptr = structure
    states = _put(key, value, source, start, edge_order)
    flat, gate = states.flatten(3), transition[pair_order]
    for pairs in _pieces(pair_ptr, flat, last_first=bool(options[0])):
        # Targets are sorted in the forward direction only; see Schedule.pair_out.
        add_rows_(flat, pair_to[pairs], _product(gate[pairs], flat[pair_from[pairs]]), is_sorted=not options[0])
    reads = value.new_empty(*source.shape, value.size(2))
    reads[edge_order] = (query[end][:, :, None, None] @ states).squeeze(-2)
    return reads, states


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    """The adjoint states travel the levels the other way, through the transposed matrices."""
    (states,) = kept
    query, key, value, source, transition = operands
    start, end, pair_from, pair_to, edge_order, _, pair_order, pair_ptr = structure
    grad_read = grad[edge_order]
    grad_query = torch.zeros_like(query)
    add_rows_(grad_query, end, (states @ grad_read.unsqueeze(-1)).squeeze(-1).sum(dim=2))

    adjoint = torch.mul(query[end][:, :, None, :, None], grad_read.unsqueeze(-2), out=torch.empty_like(states))
    flat, flat_states, gate = adjoint.flatten(3), states.flatten(3), transition[pair_order].mT
    grad_transition = torch.empty_like(transition)
    for pairs in _pieces(pair_ptr, flat, last_first=not options[0]):
        arrived = flat[pair_to[pairs]]
        grad_transition[pair_order[pairs]] = arrived @ flat_states[pair_from[pairs]].mT
        add_rows_(flat, pair_from[pairs], _product(gate[pairs], arrived), is_sorted=bool(options[0]))

    k, v, s = key[start], value[start], source[edge_order]
    along_value = (adjoint @ v[:, :, None, :, None]).squeeze(-1)  # [E, H, J, K]
    grad_source = torch.empty_like(source)
    grad_source[edge_order] = (along_value @ k.unsqueeze(-1)).squeeze(-1)
    grad_key, grad_value = torch.zeros_like(key), torch.zeros_like(value)
    add_rows_(grad_key, start, (s.unsqueeze(-2) @ along_value).squeeze(-2))
    of_outer = (s.unsqueeze(-1) * flat).sum(dim=2).view(*k.shape, v.size(2))
    add_rows_(grad_value, start, (k.unsqueeze(-2) @ of_outer).squeeze(-2))
    return grad_query, grad_key, grad_value, grad_source, grad_transition


def _product(matrix: Tensor, rows: Tensor) -> Tensor:
    """``matrix @ rows``; products of very many very small matrices are several times faster column by column."""
    size = matrix.size(-1)
    if not 0 < size < 4:
        return matrix @ rows
    out = matrix[..., 0, None] * rows[..., 0, None, :]
    for column in range(1, size):
        out.addcmul_(matrix[..., column, None], rows[..., column, None, :])
    return out


def _put(key: Tensor, value: Tensor, source: Tensor, start: Tensor, edge_order: Tensor) -> Tensor:
    """What enters each stored edge, ``[E, H, J, K, V]``."""
    sources = source.index_select(0, edge_order).unsqueeze(-1) * key.index_select(0, start).unsqueeze(-2)
    return sources.unsqueeze(-1) * value.index_select(0, start)[:, :, None, None]


def _pieces(pair_ptr: Tensor, states: Tensor, last_first: bool) -> list[slice]:
    """Pairs whose states fit into :data:`~plstm_graph.ops.dag.recurrent.PIECE_BYTES`."""
    size = PIECE_BYTES // max(states[:1].numel() * states.element_size(), 1)
    return level_pieces(pair_ptr, size, last_first)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    _, key, value, source, _ = operands
    width = value.size(2)
    return value.new_empty(*source.shape, width), value.new_empty(*source.shape, key.size(2), width)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    """By operations that torch differentiates itself."""
    query, key, value, source, transition = operands
    start, end, pair_from, pair_to, edge_order, edge_position, pair_order, pair_ptr = structure
    put = _put(key, value, source, start, edge_order)
    gate = transition.index_select(0, pair_order)
    states = solve_recurrence(put.flatten(3), gate, pair_from, pair_to, pair_ptr, bool(options[0]))
    read = (query.index_select(0, end)[:, :, None, :, None] * states.unflatten(3, put.shape[3:])).sum(dim=-2)
    return read.index_select(0, edge_position)


_MATRIX = CustomOperator(
    "matrix_dag",
    ("query", "key", "value", "source", "transition"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=1,
    features=4,
)
