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
        ptr, column, entry = ancestry.from_ptr, ancestry.to_edge[ancestry.by_from], ancestry.by_from
        ptr_back, column_back, entry_back = ancestry.to_ptr, ancestry.from_edge, ancestry.by_from_inverse
    else:
        start, end = schedule.start, schedule.end
        ptr, column = ancestry.to_ptr, ancestry.from_edge
        entry = torch.arange(ancestry.num_entries, device=transition.device)
        ptr_back, column_back, entry_back = ancestry.from_ptr, ancestry.to_edge[ancestry.by_from], ancestry.by_from
    messages, *_ = _parallel(
        query[end],
        key[start] * source[schedule.edge_order].unsqueeze(-1),
        value[start],
        transition,
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
    return messages[schedule.edge_position]


@torch.library.custom_op("plstm_graph::parallel", mutates_args=())
@without_autocast
def _parallel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
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
    """Messages ``[E, H, V]``, resolvent ``[A, H]`` and scores ``[H, A]``, all of edges in storage order.

    ``ptr`` and ``column`` are the pattern by reading edge, and ``entry`` its entries; the same with ``_back`` by the
    edge that is read, in positions of the former.
    """
    heads = query.size(1)
    resolvent = transition.new_zeros(entry.numel(), heads)
    resolvent[own] = 1.0
    gate = transition[step_pair]
    for steps in _levels(step_ptr):
        resolvent.index_add_(0, step_to[steps], resolvent[step_from[steps]] * gate[steps])
    pattern = Pattern.of_heads(ptr, column, heads)
    score = sampled_product(pattern, _by_head(query), _by_head(key))
    weight = _by_head(resolvent[entry]).view(-1) * score
    messages = _by_edge(sparse_times_dense(pattern, weight, _by_head(value)), heads)
    return messages, resolvent, score.view(heads, -1)


@torch.library.custom_op("plstm_graph::parallel_backward", mutates_args=())
@without_autocast
def _parallel_backward(
    grad_messages: Tensor,
    resolvent: Tensor,
    score: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value and transition."""
    heads = query.size(1)
    pattern = Pattern.of_heads(ptr, column, heads)
    back = Pattern.of_heads(ptr_back, column_back, heads)
    grad_out = _by_head(grad_messages)
    chosen = _by_head(resolvent[entry])
    grad_weight = sampled_product(pattern, grad_out, _by_head(value)).view(heads, -1)
    grad_score = grad_weight * chosen

    grad_query = sparse_times_dense(pattern, grad_score.view(-1), _by_head(key))
    grad_key = sparse_times_dense(back, grad_score[:, entry_back].view(-1), _by_head(query))
    grad_value = sparse_times_dense(back, (chosen * score)[:, entry_back].view(-1), grad_out)

    grad_resolvent = torch.empty_like(resolvent)
    grad_resolvent[entry] = (grad_weight * score).t()
    gate = transition[step_pair]
    grad_gate = torch.empty_like(gate)
    for steps in reversed(_levels(step_ptr)):
        arrived = grad_resolvent[step_to[steps]]
        grad_gate[steps] = arrived * resolvent[step_from[steps]]
        grad_resolvent.index_add_(0, step_from[steps], arrived * gate[steps])
    grad_transition = torch.zeros_like(transition).index_add_(0, step_pair, grad_gate)
    return _by_edge(grad_query, heads), _by_edge(grad_key, heads), _by_edge(grad_value, heads), grad_transition


def _levels(step_ptr: Tensor) -> list[slice]:
    """The steps that lead to each level that has any."""
    return [slice(first, last) for first, last in itertools.pairwise(step_ptr.tolist()) if first < last]


def _by_head(tensor: Tensor) -> Tensor:
    """``[E, H, D]`` to contiguous ``[H * E, D]``, or ``[A, H]`` to contiguous ``[H, A]``."""
    swapped = tensor.transpose(0, 1).contiguous()
    return swapped.flatten(0, 1) if tensor.dim() == 3 else swapped


def _by_edge(tensor: Tensor, heads: int) -> Tensor:
    """``[H * E, D]`` to contiguous ``[E, H, D]``."""
    return tensor.view(heads, tensor.size(0) // heads, tensor.size(1)).transpose(0, 1).contiguous()


@_parallel.register_fake
def _(query, key, value, transition, own, step_from, *structure):
    entries, heads = structure[5].size(0), query.size(1)
    return torch.empty_like(value), transition.new_empty(entries, heads), query.new_empty(heads, entries)


@_parallel_backward.register_fake
def _(grad_messages, resolvent, score, query, key, value, transition, *structure):
    return tuple(torch.empty_like(tensor) for tensor in (query, key, value, transition))


def _setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output[1:], *inputs)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_messages, *_):
    if grad_messages is None:
        return (None,) * 15
    return (*_parallel_backward(grad_messages, *ctx.saved_tensors), *((None,) * 11))


_parallel.register_autograd(_backward, setup_context=_setup_context)
