r"""The parallel form: scalars along the DAG, then one masked attention between edges; no K x V state anywhere.

With :math:`R = (I - T)^{-1}` the message of edge :math:`f` is
:math:`\sum_a R_{fa} S_a (q_{end(f)} \cdot k_{start(a)}) v_{start(a)}`. R is filled in level by level on the entries of
an :class:`~plstm_graph.graph.Ancestry`, one scalar per head each; the attention is a product of sparse matrices with
that pattern. The reversed DAG uses the transpose of the pattern.
"""

import itertools
from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.precision import without_autocast
from plstm_graph.ops.sparse import Pattern, sampled_product, sparse_times_dense


def edge_messages_parallel(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph
) -> Tensor:
    """What each edge brings to its end node. Arguments and result as in :func:`~plstm_graph.ops.edge_messages`.

    Raises:
        AncestryTooLargeError: If the graph's edges have too many ancestors to list.
    """
    schedule, ancestry = line_graph.schedule, line_graph.ancestry
    if line_graph.is_reversed:
        start, end = schedule.end, schedule.start
        ptr, column, entry = ancestry.from_ptr, ancestry.to_edge_by_from, ancestry.by_from
        ptr_back, column_back, entry_back = ancestry.to_ptr, ancestry.from_edge, ancestry.by_from_inverse
    else:
        start, end = schedule.start, schedule.end
        ptr, column = ancestry.to_ptr, ancestry.from_edge
        entry = torch.arange(ancestry.num_entries, device=transition.device)
        ptr_back, column_back, entry_back = ancestry.from_ptr, ancestry.to_edge_by_from, ancestry.by_from
    messages, *_ = _parallel(
        query,
        key,
        value,
        source,
        transition,
        start,
        end,
        schedule.edge_order,
        ancestry.own,
        ancestry.step_from,
        ancestry.step_to,
        ancestry.step_pair,
        ancestry.step_ptr,
        ptr,
        column,
        entry,
        ptr_back,
        column_back,
        entry_back,
    )
    return messages


@torch.library.custom_op("plstm_graph::parallel", mutates_args=())
@without_autocast
def _parallel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    start: Tensor,
    end: Tensor,
    edge_order: Tensor,
    own: Tensor,
    step_from: Tensor,
    step_to: Tensor,
    step_pair: Tensor,
    step_ptr: Tensor,
    ptr: Tensor,
    column: Tensor,
    entry: Tensor,
    ptr_back: Tensor,
    column_back: Tensor,
    entry_back: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Messages in the caller's edge order ``[E, H, V]``, resolvent ``[A, H]`` and scores ``[H, A]``.

    ``ptr`` and ``column`` are the pattern by reading edge, and ``entry`` its entries; the same with ``_back`` by the
    edge that is read, in positions of the former.
    """
    heads = query.size(1)
    resolvent = transition.new_zeros(entry.numel(), heads)
    resolvent[own] = 1.0
    gate = transition.index_select(0, step_pair)
    for steps in _levels(step_ptr):
        arriving = resolvent.index_select(0, step_from[steps]).mul_(gate[steps])
        resolvent.index_add_(0, step_to[steps], arriving)

    begin, finish = _rows(start, heads), _rows(end, heads)
    pattern = Pattern.of_heads(ptr, column, heads)
    score = sampled_product(pattern, _take(query, finish), _take(key, begin)).view(heads, -1)
    weight = resolvent.index_select(0, entry).mul_(source.index_select(0, edge_order[column])).t().contiguous()
    read = sparse_times_dense(pattern, weight.mul_(score).view(-1), _take(value, begin))
    messages = value.new_empty(start.numel() * heads, value.size(2)).index_copy_(0, _rows(edge_order, heads), read)
    return messages.view(start.numel(), heads, value.size(2)), resolvent, score


@torch.library.custom_op("plstm_graph::parallel_backward", mutates_args=())
@without_autocast
def _parallel_backward(
    grad_messages: Tensor,
    resolvent: Tensor,
    score: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    start: Tensor,
    end: Tensor,
    edge_order: Tensor,
    own: Tensor,
    step_from: Tensor,
    step_to: Tensor,
    step_pair: Tensor,
    step_ptr: Tensor,
    ptr: Tensor,
    column: Tensor,
    entry: Tensor,
    ptr_back: Tensor,
    column_back: Tensor,
    entry_back: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, source and transition."""
    heads = query.size(1)
    begin, finish = _rows(start, heads), _rows(end, heads)
    pattern = Pattern.of_heads(ptr, column, heads)
    back = Pattern.of_heads(ptr_back, column_back, heads)
    grad_read = _take(grad_messages, _rows(edge_order, heads))
    reach = resolvent.index_select(0, entry)
    strength = source.index_select(0, edge_order[column])

    grad_weight = sampled_product(pattern, grad_read, _take(value, begin)).view(heads, -1)
    weight = (reach * strength).t().contiguous()
    grad_score = grad_weight * weight
    grad_query = sparse_times_dense(pattern, grad_score.view(-1), _take(key, begin))
    grad_key = sparse_times_dense(back, grad_score.index_select(1, entry_back).view(-1), _take(query, finish))
    passed = (weight * score).index_select(1, entry_back)
    grad_value = sparse_times_dense(back, passed.view(-1), grad_read)

    grad_gates = (grad_weight * score).t()
    grad_source = torch.zeros_like(source).index_add_(0, edge_order[column], grad_gates * reach)
    grad_resolvent = torch.empty_like(resolvent).index_copy_(0, entry, grad_gates * strength)
    gate = transition.index_select(0, step_pair)
    grad_gate = torch.empty_like(gate)
    for steps in reversed(_levels(step_ptr)):
        arrived = grad_resolvent.index_select(0, step_to[steps])
        torch.mul(arrived, resolvent.index_select(0, step_from[steps]), out=grad_gate[steps])
        grad_resolvent.index_add_(0, step_from[steps], arrived.mul_(gate[steps]))
    grad_transition = torch.zeros_like(transition).index_add_(0, step_pair, grad_gate)
    return (
        _put(grad_query, finish, query),
        _put(grad_key, begin, key),
        _put(grad_value, begin, value),
        grad_source,
        grad_transition,
    )


def _levels(step_ptr: Tensor) -> list[slice]:
    """The steps that lead to each level that has any."""
    return [slice(first, last) for first, last in itertools.pairwise(step_ptr.tolist()) if first < last]


def _rows(index: Tensor, heads: int) -> Tensor:
    """Rows of a flat ``[N * H, D]`` tensor that make up ``[H * E, D]``, head after head, for an index ``[E]``."""
    return (index * heads + torch.arange(heads, device=index.device).unsqueeze(1)).view(-1)


def _take(tensor: Tensor, rows: Tensor) -> Tensor:
    """The given rows of ``[N, H, D]``, flattened to ``[N * H, D]``."""
    return tensor.reshape(-1, tensor.size(-1)).index_select(0, rows)


def _put(grad: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    """The adjoint of :func:`_take`, in the shape of ``like``."""
    flat = grad.new_zeros(like.size(0) * like.size(1), like.size(2))
    return flat.index_add_(0, rows, grad).view(like.shape)


@_parallel.register_fake
def _(query, key, value, source, transition, start, end, edge_order, own, *structure):
    entries, heads = structure[-1].size(0), query.size(1)
    messages = value.new_empty(start.size(0), heads, value.size(2))
    return messages, transition.new_empty(entries, heads), query.new_empty(heads, entries)


@_parallel_backward.register_fake
def _(grad_messages, resolvent, score, query, key, value, source, transition, *structure):
    return tuple(
        torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        for tensor in (query, key, value, source, transition)
    )


def _setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output[1:], *inputs)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_messages, *_):
    if grad_messages is None:
        return (None,) * 19
    return (*_parallel_backward(grad_messages, *ctx.saved_tensors), *((None,) * 14))


_parallel.register_autograd(_backward, setup_context=_setup_context)
