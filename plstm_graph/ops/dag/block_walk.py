r"""The walk over blocks of levels behind the chunkwise form, forwards and back.

With :math:`R = (I - T)^{-1}` over the pairs inside blocks, and :math:`I_a = \sum_{(e,a)\ crossing} T_{ea} C_e` flowing
into a block at its entries, the states of its edges are :math:`C_g = \sum_a R_{ga} (S_a k_a v_a^\top + I_a)` and their
messages :math:`r_g = C_g^\top q_g`. Only the states of exits are kept, for the blocks that follow. Terms between an
edge that is no entry and an edge that is no exit need no state: they are one masked attention over all blocks at once,
as in the parallel form.

The way back is the same recurrence from the last block to the first,
:math:`Z_a = \sum_g R_{ga} (q_g \bar r_g^\top + \sum_{(g,f)\ crossing} T_{gf} Z_f)`, which keeps the adjoint states of
entries. States inside blocks are computed once more there.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from plstm_graph.graph.blocks.layout import BlockLayout
from plstm_graph.ops.sparse import Pattern, sampled_product, sparse_times_dense


def walk(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
    layout: BlockLayout,
    reverse: bool,
    states: Tensor,
) -> Tensor:
    """Messages of all edges, block by block.

    Args:
        query: Of the end node of each stored edge, ``[E, H, K]``.
        key: Of the start node, times Source, ``[E, H, K]``.
        value: Of the start node, ``[E, H, V]``.
        transition: In the caller's order, ``[P, H]``.
        layout: The blocks, laid out for ``H`` heads and this direction.
        reverse: Whether the last block comes first.
        states: Is filled with the states of exits, ``[X * H, K * V]``.

    Returns:
        Messages ``[E, H, V]``.
    """
    heads = query.size(1)
    resolvent = _fill(transition, layout)
    weight, gate = _values(resolvent, layout.wide_value), _values(transition, layout.arriving_value)
    messages = torch.empty_like(value)
    for block in _blocks(layout.bounds, heads, reverse):
        here = slice(*block.edges)
        inside = _states(_sources(key[here], value[here], states, gate, block, layout), weight, block, layout)
        messages[here] = _read(query[here], inside)
        _keep(states, inside, block.exits, layout.exit)
    if layout.thin_column.numel() > 0:
        pattern = Pattern(layout.thin_ptr, layout.thin_column)
        score = sampled_product(pattern, query.flatten(0, 1), key.flatten(0, 1))
        score *= _values(resolvent, layout.thin_value)
        messages += sparse_times_dense(pattern, score, value.flatten(0, 1)).view_as(messages)
    return messages


def walk_back(
    grad_messages: Tensor,
    states: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    transition: Tensor,
    layout: BlockLayout,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the query, key, value and transition given to :func:`walk`, of the same shapes."""
    heads = query.size(1)
    resolvent = _fill(transition, layout)
    weight, back_weight = _values(resolvent, layout.wide_value), _values(resolvent, layout.wide_back_value)
    gate, back_gate = _values(transition, layout.arriving_value), _values(transition, layout.leaving_value)
    adjoints = value.new_empty(layout.entry.numel() * heads, key.size(2) * value.size(2))
    grad_query, grad_key, grad_value = (torch.empty_like(tensor) for tensor in (query, key, value))
    grad_weight = torch.empty_like(weight)
    for block in _blocks(layout.bounds, heads, not reverse):
        here = slice(*block.edges)
        sources = _sources(key[here], value[here], states, gate, block, layout)
        inside = _states(sources, weight, block, layout)
        grad_query[here] = (inside @ grad_messages[here].unsqueeze(-1)).squeeze(-1)

        arriving = query[here].unsqueeze(-1) * grad_messages[here].unsqueeze(-2)
        _add_crossing_(
            arriving,
            adjoints,
            block.exits,
            layout.exit,
            block.leaving_rows,
            block.leaving,
            layout.leaving_ptr,
            layout.leaving_column,
            back_gate,
        )
        items = slice(*block.wide)
        pattern = Pattern(layout.wide_ptr[slice(*block.wide_rows)], layout.wide_column[items])
        grad_weight[items] = sampled_product(pattern, _flat(arriving), _flat(sources))
        back = slice(*block.wide_back)
        adjoint = _bag(
            layout.wide_back_ptr[slice(*block.wide_rows)],
            layout.wide_back_column[back],
            _flat(arriving),
            back_weight[back],
        ).view_as(arriving)
        grad_key[here] = (adjoint @ value[here].unsqueeze(-1)).squeeze(-1)
        grad_value[here] = _read(key[here], adjoint)
        _keep(adjoints, adjoint, block.entries, layout.entry)

    grad_resolvent = torch.empty_like(resolvent)
    grad_resolvent.view(-1)[layout.wide_value] = grad_weight
    if layout.thin_column.numel() > 0:
        pattern = Pattern(layout.thin_ptr, layout.thin_column)
        back_pattern = Pattern(layout.thin_back_ptr, layout.thin_back_column)
        left, right, values, grads = (t.flatten(0, 1) for t in (query, key, value, grad_messages.contiguous()))
        chosen = _values(resolvent, layout.thin_value)
        score = sampled_product(pattern, left, right)
        grad_score = sampled_product(pattern, grads, values)
        grad_resolvent.view(-1)[layout.thin_value] = grad_score * score
        grad_score *= chosen
        score *= chosen
        grad_query += sparse_times_dense(pattern, grad_score, right).view_as(query)
        grad_key += sparse_times_dense(back_pattern, grad_score[layout.thin_back_value], left).view_as(key)
        grad_value += sparse_times_dense(back_pattern, score[layout.thin_back_value], grads).view_as(value)
    grad_transition = _fill_back(grad_resolvent, resolvent, transition, layout)
    crossing = Pattern(layout.crossing_ptr, layout.arriving_column)
    grad_transition.view(-1)[layout.arriving_value] = sampled_product(crossing, adjoints, states)
    return grad_query, grad_key, grad_value, grad_transition


class _Block(NamedTuple):
    """Where the edges, kept states, items and row ends of a block begin and stop."""

    edges: tuple[int, int]
    entries: tuple[int, int]
    exits: tuple[int, int]
    wide: tuple[int, int]
    wide_back: tuple[int, int]
    arriving: tuple[int, int]
    leaving: tuple[int, int]
    wide_rows: tuple[int, int]
    arriving_rows: tuple[int, int]
    leaving_rows: tuple[int, int]


def _blocks(bounds: Tensor, heads: int, last_first: bool) -> Iterator[_Block]:
    """The blocks in the order in which they are advanced."""
    limits = list(itertools.pairwise(bounds.t().tolist()))
    for number in reversed(range(len(limits))) if last_first else range(len(limits)):
        parts = list(zip(*limits[number], strict=True))
        rows = [(first * heads + number, last * heads + number + 1) for first, last in parts[:3]]
        yield _Block(*parts, *rows)


def _sources(key: Tensor, value: Tensor, states: Tensor, gate: Tensor, block: _Block, layout: BlockLayout) -> Tensor:
    """What a block's edges add to the states, and what arrives from earlier blocks, ``[n, H, K, V]``."""
    sources = key.unsqueeze(-1) * value.unsqueeze(-2)
    _add_crossing_(
        sources,
        states,
        block.entries,
        layout.entry,
        block.arriving_rows,
        block.arriving,
        layout.arriving_ptr,
        layout.arriving_column,
        gate,
    )
    return sources


def _add_crossing_(
    target: Tensor,
    states: Tensor,
    border: tuple[int, int],
    position: Tensor,
    rows: tuple[int, int],
    items: tuple[int, int],
    ptr: Tensor,
    column: Tensor,
    gate: Tensor,
) -> None:
    """Add what crosses into a block to those of its edges that stand at the border."""
    if border[0] < border[1]:
        here = slice(*items)
        arrived = _bag(ptr[slice(*rows)], column[here], states, gate[here])
        target.index_add_(0, position[slice(*border)], arrived.view(-1, *target.shape[1:]))


def _states(sources: Tensor, weight: Tensor, block: _Block, layout: BlockLayout) -> Tensor:
    """States of a block's edges, without the terms left to the attention, ``[n, H, K, V]``."""
    items = slice(*block.wide)
    ptr = layout.wide_ptr[slice(*block.wide_rows)]
    return _bag(ptr, layout.wide_column[items], _flat(sources), weight[items]).view_as(sources)


def _keep(states: Tensor, inside: Tensor, border: tuple[int, int], position: Tensor) -> None:
    """Store the states of the edges at the border of a block."""
    if border[0] < border[1]:
        kept = states.view(-1, inside[0].numel())[slice(*border)]
        torch.index_select(inside.flatten(1), 0, position[slice(*border)], out=kept)


def _read(query: Tensor, states: Tensor) -> Tensor:
    """``[n, H, K]`` and ``[n, H, K, V]`` to ``[n, H, V]``; many times faster than matrix products of one row each."""
    return (query.unsqueeze(-1) * states).sum(dim=-2)


def _flat(states: Tensor) -> Tensor:
    """``[n, H, K, V]`` to ``[n * H, K * V]``."""
    return states.view(states.size(0) * states.size(1), -1)


def _values(of_heads: Tensor, where: Tensor) -> Tensor:
    """Values ``[A, H]`` in the order of a matrix's items."""
    return of_heads.view(-1)[where]


def _bag(ptr: Tensor, column: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """Product of a sparse matrix, in compressed rows with one end more than rows, and a dense one."""
    return torch.embedding_bag(table, column, ptr, False, 0, False, weight, True)[0]


def _fill(transition: Tensor, layout: BlockLayout) -> Tensor:
    """The resolvent inside the blocks, ``[A, H]``: the next level of every block at each step."""
    heads = transition.size(1)
    size = (layout.wide_value.numel() + layout.thin_value.numel()) // max(heads, 1)
    resolvent = transition.new_zeros(size, heads)
    resolvent[layout.own] = 1.0
    gate = transition[layout.step_pair]
    for steps in _levels(layout.step_ptr):
        resolvent.index_add_(0, layout.step_to[steps], resolvent[layout.step_from[steps]] * gate[steps])
    return resolvent


def _fill_back(grad_resolvent: Tensor, resolvent: Tensor, transition: Tensor, layout: BlockLayout) -> Tensor:
    """Gradient of the transition inside the blocks, ``[P, H]``; changes ``grad_resolvent``."""
    gate = transition[layout.step_pair]
    grad_gate = torch.empty_like(gate)
    for steps in reversed(_levels(layout.step_ptr)):
        arrived = grad_resolvent[layout.step_to[steps]]
        grad_gate[steps] = arrived * resolvent[layout.step_from[steps]]
        grad_resolvent.index_add_(0, layout.step_from[steps], arrived * gate[steps])
    return torch.zeros_like(transition).index_add_(0, layout.step_pair, grad_gate)


def _levels(step_ptr: Tensor) -> list[slice]:
    """The steps to each level that has any."""
    return [slice(first, last) for first, last in itertools.pairwise(step_ptr.tolist()) if first < last]
