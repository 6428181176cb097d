r"""Chains in chunks: one masked attention inside each, states between them, by the same closed form one level up.

Inside a chunk, place i reads place j < i with the weight :math:`M_i P_{ij} S_j`, where :math:`P_{ij}` is the product
of the transitions strictly between. States that enter the chunks form a chain themselves, with one transition for each
chunk, so they are computed by the same products between chunks, in chunks of chunks if there are many: the depth grows
with the logarithm of the length, and no gating matrix is larger than that of a chunk.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.regular_naive import direct_only
from plstm_graph.ops.segment_products import segment_products


def chain_chunkwise(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor,
    size: int,
) -> tuple[Tensor, Tensor]:
    """Outputs and final state of chains.

    Args:
        query: ``[Z, L, K]``
        key: ``[Z, L, K]``
        value: ``[Z, L, V]``
        source: ``[Z, L]``
        transition: ``[Z, L]``
        mark: ``[Z, L]``
        direct: ``[Z, L]``
        initial_state: ``[Z, K, V]``
        size: Places in a chunk; with ``size >= L`` this is the parallel form.

    Returns:
        ``[Z, L, V]`` and ``[Z, K, V]``
    """
    length = query.size(1)
    size = max(1, min(size, length))
    padding = -length % size
    # A place that is missing passes states on, puts nothing in and reads nothing.
    q, k, v = (F.pad(tensor, (0, 0, 0, padding)).unflatten(1, (-1, size)) for tensor in (query, key, value))
    s, m, d = (F.pad(gate, (0, padding)).unflatten(1, (-1, size)) for gate in (source, mark, direct))
    t = F.pad(transition, (0, padding), value=1.0).unflatten(1, (-1, size))

    # One place more on both sides: what enters the chunk, and what leaves it.
    between = segment_products(F.pad(t, (1, 1)))
    through, inside = between[..., -1, 0], between[..., 1:-1, 1:-1]
    from_start, to_end = between[..., 1:-1, 0], between[..., -1, 1:-1]
    put = (k * (to_end * s).unsqueeze(-1)).mT @ v
    states = states_between(through, put.flatten(2), initial_state.flatten(1)).unflatten(2, put.shape[2:])

    weight = inside * m.unsqueeze(-1) * s.unsqueeze(-2) + torch.diag_embed(d)
    out = (weight * (q @ k.mT)) @ v + (q * (from_start * m).unsqueeze(-1)) @ states[:, :-1]
    return out.flatten(1, 2)[:, :length], states[:, -1]


def chain_scan(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    initial_state: Tensor,
) -> tuple[Tensor, Tensor]:
    """Outputs and final state by an associative scan of states; arguments as for :func:`chain_chunkwise`."""
    put = source[..., None, None] * key.unsqueeze(-1) * value.unsqueeze(-2)
    states = states_between(transition, put.flatten(2), initial_state.flatten(1), size=2).unflatten(2, put.shape[2:])
    read = (query.unsqueeze(-1) * states[:, :-1]).sum(dim=-2)
    return mark.unsqueeze(-1) * read + direct_only(query, key, value, direct), states[:, -1]


def states_between(transition: Tensor, put: Tensor, initial_state: Tensor, size: int = 32) -> Tensor:
    r"""States of a chain without outputs, :math:`C_l = T_l C_{l-1} + U_l`, at every place.

    Neighbouring places are combined into one, the shorter chain is solved likewise, and its states are handed to the
    places inside; with two at a time that is the usual work-efficient associative scan.

    Args:
        transition: ``[Z, L]``
        put: ``[Z, L, D]``
        initial_state: ``[Z, D]``
        size: How many places are combined into one, at least 2.

    Returns:
        The state before the first place and after every place, ``[Z, L + 1, D]``.
    """
    length = transition.size(1)
    if length <= size:
        # The initial state is a place of its own, before the first.
        between = segment_products(F.pad(transition, (1, 1)))[:, 1:, :-1]
        return between @ torch.cat([initial_state.unsqueeze(1), put], dim=1)
    padding = -length % size
    t = F.pad(transition, (0, padding), value=1.0).unflatten(1, (-1, size))
    u = F.pad(put, (0, 0, 0, padding)).unflatten(1, (-1, size))
    between = segment_products(F.pad(t, (1, 1)))[:, :, 1:, :-1]
    own = between[..., 1:] @ u
    entering = states_between(between[:, :, -1, 0], own[:, :, -1], initial_state, size)
    after = own[:, :, 1:] + between[:, :, 1:, :1] * entering[:, :-1, None]
    return torch.cat([initial_state.unsqueeze(1), after.flatten(1, 2)[:, :length]], dim=1)
