r"""The parallel form: scalars along the DAG, then one masked attention between nodes; no K x V state anywhere.

With :math:`R = (I - T)^{-1}`, node n reads node m with the weight
:math:`G_{nm} = \sum_{a: start(a) = m} \sum_{f: end(f) = n} M_f R_{fa} S_a + \delta_{nm} D_n`, and
:math:`y_n = \sum_m G_{nm} (q_n \cdot k_m) v_m`. Sources travel level by level on the entries of an
:class:`~plstm_graph.graph.ancestry.Ancestry`, one scalar per head each; entries are then gathered to the
:class:`~plstm_graph.graph.links.Links` between nodes, and the attention is a product of sparse matrices with that
pattern. The reversed DAG uses the transpose of the pattern, and Source and Mark change roles: R is its own mirror
image.
"""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.links import LinkLayout
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.parallel_native import has_native_parallel, node_outputs_parallel_native
from plstm_graph.ops.dag.twins import read_links_twin
from plstm_graph.ops.sparse import Pattern, sampled_product, sparse_times_dense


def node_outputs_parallel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
) -> Tensor:
    """What each node reads. Arguments and result as in :func:`~plstm_graph.plstm`, all of one dtype.

    Raises:
        AncestryTooLargeError: If the graph's edges have too many ancestors to list.
    """
    begin, finish = (mark, source) if line_graph.is_reversed else (source, mark)
    if has_native_parallel(query):
        return node_outputs_parallel_native(query, key, value, begin, transition, finish, direct, line_graph)
    layout = line_graph.links.layout(query.size(1), line_graph.is_reversed)
    ends = line_graph.links.ends(line_graph.is_reversed)
    return _run((query, key, value, begin, transition, finish, direct), line_graph, layout, ends)


def edge_messages_parallel(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph
) -> Tensor:
    """What each edge brings to its end node. Arguments and result as in :func:`~plstm_graph.ops.edge_messages`.

    Raises:
        AncestryTooLargeError: If the graph's edges have too many ancestors to list.
    """
    schedule = line_graph.schedule
    layout = line_graph.edge_links.layout(query.size(1))
    reader = schedule.start if line_graph.is_reversed else schedule.end
    ones, none = torch.ones_like(source), source.new_empty(0, source.size(1))
    begin, finish = (ones, source) if line_graph.is_reversed else (source, ones)
    operands = (query.index_select(0, reader), key, value, begin, transition, finish, none)
    read = _run(operands, line_graph, layout, line_graph.edge_links.ends())
    return read.index_select(0, schedule.edge_position)


def _run(operands: Tensors, line_graph: LineGraph, layout: LinkLayout, ends: tuple[Tensor, Tensor]) -> Tensor:
    schedule, ancestry = line_graph.schedule, line_graph.ancestry
    steps = (ancestry.step_from, ancestry.step_to, ancestry.step_pair, ancestry.step_ptr)
    return _PARALLEL(*operands, structure=(schedule.edge_order, ancestry.own, ancestry.to_edge, *steps, *ends, *layout))


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of the readers ``[R, H, V]``, carried scalars ``[A, H]`` and scores ``[M * H]``.

    ``begin`` scales what enters at the first edge of an entry, ``finish`` what is read at its last edge.
    """
    query, key, value, begin, transition, finish, direct = operands
    edge_order, own, to_edge, step_from, step_to, step_pair, step_ptr = structure[:7]
    layout = LinkLayout(*structure[9:])
    carried = transition.new_zeros(to_edge.numel(), query.size(1))
    carried.index_copy_(0, own, begin.index_select(0, edge_order))
    _advance(carried, transition.index_select(0, step_pair), step_from, step_to, step_ptr)

    weight = _weights(carried, _at_last(finish, edge_order, to_edge), direct, layout)
    pattern = Pattern(layout.ptr, layout.column)
    score = sampled_product(pattern, _flat(query), _flat(key))
    out = sparse_times_dense(pattern, weight.mul_(score), _flat(value))
    return out.view(query.size(0), query.size(1), value.size(2)), carried, score


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, begin, transition, finish and direct."""
    carried, score = kept
    query, key, value, _, transition, finish, direct = operands
    edge_order, own, to_edge, step_from, step_to, step_pair, step_ptr = structure[:7]
    layout = LinkLayout(*structure[9:])
    pattern, back = Pattern(layout.ptr, layout.column), Pattern(layout.back_ptr, layout.back_column)
    flat_query, flat_key, flat_grad = _flat(query), _flat(key), _flat(grad)
    last = _at_last(finish, edge_order, to_edge)
    weight = _weights(carried, last, direct, layout)

    grad_weight = sampled_product(pattern, flat_grad, _flat(value))
    grad_score = grad_weight * weight
    grad_query = sparse_times_dense(pattern, grad_score, flat_key)
    grad_key = sparse_times_dense(back, grad_score.index_select(0, layout.back_where), flat_query)
    grad_value = sparse_times_dense(back, weight.mul_(score).index_select(0, layout.back_where), flat_grad)

    grad_link = torch.empty_like(grad_weight).index_copy_(0, layout.where, grad_weight.mul_(score))
    grad_link = grad_link.view(-1, query.size(1))
    grad_read = grad_link.index_select(0, layout.entry_link)
    grad_finish = torch.zeros_like(finish).index_add_(0, to_edge, grad_read * carried)
    grad_carried = grad_read.mul_(last)
    _advance(grad_carried, transition.index_select(0, step_pair), step_to, step_from, step_ptr, last_first=True)
    grad_gate = grad_carried.index_select(0, step_to).mul_(carried.index_select(0, step_from))
    return (
        grad_query.view_as(query),
        grad_key.view_as(key),
        grad_value.view_as(value),
        _to_caller(grad_carried.index_select(0, own), edge_order),
        torch.zeros_like(transition).index_add_(0, step_pair, grad_gate),
        _to_caller(grad_finish, edge_order),
        grad_link.index_select(0, layout.own_link),
    )


def _advance(
    carried: Tensor, gate: Tensor, step_from: Tensor, step_to: Tensor, step_ptr: Tensor, last_first: bool = False
) -> None:
    """Carry scalars ``[A, H]`` over all steps, level by level, in place."""
    size = torch.diff(step_ptr).tolist()
    levels = list(zip(gate.split(size), step_from.split(size), step_to.split(size), strict=True))
    for weight, origin, target in reversed(levels) if last_first else levels:
        if origin.numel() > 0:
            carried.index_add_(0, target, carried.index_select(0, origin).mul_(weight))


def _at_last(finish: Tensor, edge_order: Tensor, to_edge: Tensor) -> Tensor:
    """The gate at the last edge of each entry, ``[A, H]``."""
    return finish.index_select(0, edge_order).index_select(0, to_edge)


def _weights(carried: Tensor, last: Tensor, direct: Tensor, layout: LinkLayout) -> Tensor:
    """Weight of every link in the order of the pattern, ``[M * H]``."""
    size = layout.where.numel() // max(carried.size(1), 1)
    weight = carried.new_zeros(size, carried.size(1))
    weight.index_copy_(0, layout.own_link, direct)
    weight.index_add_(0, layout.entry_link, carried * last)
    return weight.view(-1).index_select(0, layout.where)


def _to_caller(stored: Tensor, edge_order: Tensor) -> Tensor:
    """Rows of stored edges, put in the caller's order."""
    return torch.empty_like(stored).index_copy_(0, edge_order, stored)


def _flat(tensor: Tensor) -> Tensor:
    """``[N, H, D]`` as ``[N * H, D]``."""
    return tensor.flatten(0, 1)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    query, _, value, _, transition, *_ = operands
    to_edge, layout = structure[2], LinkLayout(*structure[9:])
    out = value.new_empty(query.size(0), query.size(1), value.size(2))
    return out, transition.new_empty(to_edge.size(0), query.size(1)), query.new_empty(layout.column.size(0))


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    layout = LinkLayout(*structure[9:])
    return read_links_twin(operands, structure[:3], structure[3:7], structure[7:9], layout.entry_link, layout.own_link)


_PARALLEL = CustomOperator(
    "parallel",
    ("query", "key", "value", "begin", "transition", "finish", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=2,
)
