r"""The parallel form: scalars along the DAG, then one masked attention between nodes; no K x V state anywhere.

With :math:`R = (I - T)^{-1}`, node n reads node m with the weight
:math:`G_{nm} = \sum_{a: start(a) = m} \sum_{f: end(f) = n} M_f R_{fa} S_a + \delta_{nm} D_n`, and
:math:`y_n = \sum_m G_{nm} (q_n \cdot k_m) v_m`. Sources travel level by level on the entries of an
:class:`~plstm_graph.graph.Ancestry`, one scalar per head each; entries are then gathered to the
:class:`~plstm_graph.graph.Links` between nodes, and the attention is a product of sparse matrices with that pattern.
The reversed DAG uses the transpose of the pattern, and Source and Mark change roles: R is its own mirror image.
"""

from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.links import LinkLayout
from plstm_graph.ops.parallel_compiled import can_compile_parallel, node_outputs_compiled
from plstm_graph.ops.precision import without_autocast
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
    if can_compile_parallel(query):
        return node_outputs_compiled(query, key, value, begin, transition, finish, direct, line_graph)
    layout = line_graph.links.layout(query.size(1), line_graph.is_reversed)
    return _run(query, key, value, begin, transition, finish, direct, line_graph, layout)


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
    read = _run(query.index_select(0, reader), key, value, begin, transition, finish, none, line_graph, layout)
    return read.index_select(0, schedule.edge_position)


def _run(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    begin: Tensor,
    transition: Tensor,
    finish: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
    layout: LinkLayout,
) -> Tensor:
    schedule, ancestry = line_graph.schedule, line_graph.ancestry
    steps = (ancestry.step_from, ancestry.step_to, ancestry.step_pair, ancestry.step_ptr)
    structure = (schedule.edge_order, ancestry.own, ancestry.to_edge, *steps, *layout)
    return _parallel(query, key, value, begin, transition, finish, direct, *structure)[0]


@torch.library.custom_op("plstm_graph::parallel", mutates_args=())
@without_autocast
def _parallel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    begin: Tensor,
    transition: Tensor,
    finish: Tensor,
    direct: Tensor,
    edge_order: Tensor,
    own: Tensor,
    to_edge: Tensor,
    step_from: Tensor,
    step_to: Tensor,
    step_pair: Tensor,
    step_ptr: Tensor,
    ptr: Tensor,
    column: Tensor,
    where: Tensor,
    back_ptr: Tensor,
    back_column: Tensor,
    back_where: Tensor,
    entry_link: Tensor,
    own_link: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of the readers ``[R, H, V]``, carried scalars ``[A, H]`` and scores ``[M * H]``.

    ``begin`` scales what enters at the first edge of an entry, ``finish`` what is read at its last edge.
    """
    heads = query.size(1)
    carried = transition.new_zeros(to_edge.numel(), heads)
    carried.index_copy_(0, own, begin.index_select(0, edge_order))
    _advance(carried, transition.index_select(0, step_pair), step_from, step_to, step_ptr)

    weight = _weights(carried, _at_last(finish, edge_order, to_edge), direct, entry_link, own_link, where)
    pattern = Pattern(ptr, column)
    score = sampled_product(pattern, _flat(query), _flat(key))
    out = sparse_times_dense(pattern, weight.mul_(score), _flat(value))
    return out.view(query.size(0), heads, value.size(2)), carried, score


@torch.library.custom_op("plstm_graph::parallel_backward", mutates_args=())
@without_autocast
def _parallel_backward(
    grad: Tensor,
    carried: Tensor,
    score: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    begin: Tensor,
    transition: Tensor,
    finish: Tensor,
    direct: Tensor,
    edge_order: Tensor,
    own: Tensor,
    to_edge: Tensor,
    step_from: Tensor,
    step_to: Tensor,
    step_pair: Tensor,
    step_ptr: Tensor,
    ptr: Tensor,
    column: Tensor,
    where: Tensor,
    back_ptr: Tensor,
    back_column: Tensor,
    back_where: Tensor,
    entry_link: Tensor,
    own_link: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, begin, transition, finish and direct."""
    pattern, back = Pattern(ptr, column), Pattern(back_ptr, back_column)
    flat_query, flat_key, flat_grad = _flat(query), _flat(key), _flat(grad)
    last = _at_last(finish, edge_order, to_edge)
    weight = _weights(carried, last, direct, entry_link, own_link, where)

    grad_weight = sampled_product(pattern, flat_grad, _flat(value))
    grad_score = grad_weight * weight
    grad_query = sparse_times_dense(pattern, grad_score, flat_key)
    grad_key = sparse_times_dense(back, grad_score.index_select(0, back_where), flat_query)
    grad_value = sparse_times_dense(back, weight.mul_(score).index_select(0, back_where), flat_grad)

    grad_link = torch.empty_like(grad_weight).index_copy_(0, where, grad_weight.mul_(score)).view(-1, query.size(1))
    grad_read = grad_link.index_select(0, entry_link)
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
        grad_link.index_select(0, own_link),
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


def _weights(
    carried: Tensor, last: Tensor, direct: Tensor, entry_link: Tensor, own_link: Tensor, where: Tensor
) -> Tensor:
    """Weight of every link in the order of the pattern, ``[M * H]``."""
    size = where.numel() // max(carried.size(1), 1)
    weight = carried.new_zeros(size, carried.size(1))
    weight.index_copy_(0, own_link, direct)
    weight.index_add_(0, entry_link, carried * last)
    return weight.view(-1).index_select(0, where)


def _to_caller(stored: Tensor, edge_order: Tensor) -> Tensor:
    """Rows of stored edges, put in the caller's order."""
    return torch.empty_like(stored).index_copy_(0, edge_order, stored)


def _flat(tensor: Tensor) -> Tensor:
    """``[N, H, D]`` as ``[N * H, D]``."""
    return tensor.flatten(0, 1)


@_parallel.register_fake
def _(query, key, value, begin, transition, finish, direct, edge_order, own, to_edge, *structure):
    items, heads = structure[5].size(0), query.size(1)
    out = value.new_empty(query.size(0), heads, value.size(2))
    return out, transition.new_empty(to_edge.size(0), heads), query.new_empty(items)


@_parallel_backward.register_fake
def _(grad, carried, score, query, key, value, begin, transition, finish, direct, *structure):
    return tuple(
        torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        for tensor in (query, key, value, begin, transition, finish, direct)
    )


def _setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output[1:], *inputs)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx, grad, *_):
    if grad is None:
        return (None,) * 22
    return (*_parallel_backward(grad, *ctx.saved_tensors), *((None,) * 15))


_parallel.register_autograd(_backward, setup_context=_setup_context)
