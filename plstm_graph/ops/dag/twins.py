"""The operator on DAGs by operations that torch differentiates by itself: the twins of its hand-written forms.

Three of them need no more than the recurrence of states; the parallel form has its own, with one scalar per entry.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from plstm_graph.ops.dag.linear_recurrence import solve_recurrence


def edge_messages_twin(operands: Sequence[Tensor], levels: Sequence[Tensor], reverse: bool) -> Tensor:
    """What each edge brings to its end node, by the states of all edges.

    Args:
        operands: Query and key ``[N, H, K]``, value ``[N, H, V]``, source ``[E, H]`` and transition ``[P, H]``.
        levels: Start and end node of each stored edge ``[E]``; stored edge that each stored pair leaves, and that it
            enters, ``[P]``; the caller's number of each stored edge, and of each stored pair; where each level of
            stored pairs begins, ``[L + 1]``.
        reverse: Whether the last level comes first.

    Returns:
        ``[E, H, V]`` in the caller's order.
    """
    query, key, value, source, transition = operands
    start, end, pair_from, pair_to, edge_order, pair_order, pair_ptr = levels
    sources = source.index_select(0, edge_order).unsqueeze(-1) * key.index_select(0, start)
    put = sources.unsqueeze(-1) * value.index_select(0, start).unsqueeze(-2)
    gate = transition.index_select(0, pair_order)
    states = solve_recurrence(put.flatten(2), gate, pair_from, pair_to, pair_ptr, reverse).unflatten(2, put.shape[2:])
    read = (query.index_select(0, end).unsqueeze(-1) * states).sum(dim=-2)
    position = torch.empty_like(edge_order).scatter_(0, edge_order, torch.arange(len(edge_order), device=start.device))
    return read.index_select(0, position)


def read_links_twin(
    operands: Sequence[Tensor],
    entries: Sequence[Tensor],
    steps: Sequence[Tensor],
    ends: Sequence[Tensor],
    entry_link: Tensor,
    own_link: Tensor,
) -> Tensor:
    """What readers read of nodes, by one scalar for each entry of an ancestry.

    Args:
        operands: Query of ``R`` readers ``[R, H, K]``; key ``[N, H, K]`` and value ``[N, H, V]``; what scales at the
            first edge of an entry ``[E, H]``; transition ``[P, H]``; what scales at its last edge ``[E, H]``; weight
            of the own links ``[N, H]``, or of none ``[0, H]``.
        entries: The caller's number of each stored edge, and its entry with itself, ``[E]``; last edge of each entry,
            ``[A]``.
        steps: Entry that each step leaves, entry that it enters, its pair, and where each level begins.
        ends: Reader of each link, and node that it reads, ``[M]``.
        entry_link: The link that each entry belongs to, ``[A]``.
        own_link: The link of each node with itself, ``[N]``, or none.

    Returns:
        ``[R, H, V]``
    """
    query, key, value, begin, transition, finish, direct = operands
    edge_order, own, to_edge = entries
    step_from, step_to, step_pair, step_ptr = steps
    reader, read = ends
    entering = begin.index_select(0, edge_order)
    put = entering.new_zeros(to_edge.numel(), begin.size(1)).index_copy(0, own, entering)
    carried = solve_recurrence(
        put.unsqueeze(-1), transition.index_select(0, step_pair), step_from, step_to, step_ptr
    ).squeeze(-1)
    last = finish.index_select(0, edge_order).index_select(0, to_edge)
    weight = carried.new_zeros(reader.numel(), begin.size(1))
    weight = weight.index_copy(0, own_link, direct).index_add(0, entry_link, carried * last)
    score = (query.index_select(0, reader) * key.index_select(0, read)).sum(dim=-1)
    arriving = (weight * score).unsqueeze(-1) * value.index_select(0, read)
    return arriving.new_zeros(query.size(0), *value.shape[1:]).index_add(0, reader, arriving)
