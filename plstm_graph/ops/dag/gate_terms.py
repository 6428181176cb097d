"""What gates are of their logits, in operations of torch."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.scatter import sum_rows
from plstm_graph.ops.shapes import wide_dtype

#: How the transitions of a pair are made: shares of what arrives by an in-edge, shares of what leaves by an out-edge,
#: or numbers of either sign.
Sharing = Literal["column", "row", "signed"]
#: The node that decides how much is lost on an in-edge: none, that where it starts, or that where it ends.
DecayAt = Literal["none", "start", "end"]

#: The paper's long-range parametrisation is tanh(5 * logit): a unit step of the logit moves a gate from 0 to critical.
LONG_RANGE_FACTOR = 5.0


def pair_logits(
    at_node: Tensor, bias: Tensor, edge_index: Tensor, pairs: Tensor, at_edge: Tensor | None = None
) -> Tensor:
    """Logits of pairs, the sum of what two edges, the node between them and the nodes beyond contribute.

    Args:
        at_node: Of each node as start of the in-edge, as the node between and as end of the out-edge, ``[N, 3 H]``.
        bias: ``[H]``
        edge_index: ``[2, E]``
        pairs: In-edge and out-edge of each pair, ``[2, P]``.
        at_edge: Of each edge as in-edge and as out-edge, ``[E, 2 H]``.

    Returns:
        ``[P, H]``
    """
    start, end = edge_index
    in_edge, out_edge = pairs
    at_start, between, at_end = at_node.chunk(3, dim=-1)
    of_in = at_start.index_select(0, start) + between.index_select(0, end)
    of_out = at_end.index_select(0, end) + bias
    if at_edge is not None:
        edge_in, edge_out = at_edge.chunk(2, dim=-1)
        of_in, of_out = of_in + edge_in, of_out + edge_out
    return of_in.index_select(0, in_edge) + of_out.index_select(0, out_edge)


def normalized_shares(logits: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Positive weights that sum to one in each group, ``[P, H]``, in float32 or wider."""
    weight = F.softplus(logits.to(wide_dtype(logits)))
    # softplus underflows to 0 for very negative logits; a group of nothing else then shares evenly.
    weight = weight + torch.finfo(weight.dtype).tiny
    return weight / sum_rows(weight, group, num_groups).index_select(0, group)


def decay_of_edges(at: DecayAt, logits: Tensor, edge_index: Tensor) -> Tensor:
    """The factor of what leaves each in-edge, ``[E, H]`` in (0, 1), from logits of nodes ``[N, H]``.

    Args:
        at: ``"start"`` or ``"end"``, which is steeper.
        logits: Of all nodes.
        edge_index: ``[2, E]``
    """
    if at == "end":
        return (LONG_RANGE_FACTOR * logits).sigmoid().index_select(0, edge_index[1])
    return logits.sigmoid().index_select(0, edge_index[0])


def pair_transitions(
    at_nodes: Sequence[Tensor],
    bias: Tensor,
    edge_index: Tensor,
    pairs: Tensor,
    at_edge: Tensor | None,
    sharing: Sharing,
    decay: DecayAt,
) -> Tensor:
    """Transitions of all pairs, ``[P, H]``.

    Args:
        at_nodes: As in :func:`pair_logits`, ``[N, 3 H]``, and logits of decay ``[N, H]`` if there is one.
        bias: ``[H]``
        edge_index: ``[2, E]``
        pairs: ``[2, P]``
        at_edge: As in :func:`pair_logits`.
        sharing: How they are made.
        decay: Where what is lost is decided.
    """
    logits = pair_logits(at_nodes[0], bias, edge_index, pairs, at_edge)
    if sharing == "signed":
        gate = torch.tanh(LONG_RANGE_FACTOR * logits)
    else:
        gate = normalized_shares(logits, pairs[0 if sharing == "column" else 1], edge_index.size(1))
    if decay != "none":
        gate = gate * decay_of_edges(decay, at_nodes[1], edge_index).index_select(0, pairs[0])
    return gate
