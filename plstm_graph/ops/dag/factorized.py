r"""The operator with a transition that factorises at the node, :math:`T_{ef} = a_e b_f`: cost O(E), not O(P).

All states that arrive at a node are summed there, weighted by :math:`a_e`, before they part again. The sum is the
state of an edge through the node (:attr:`plstm_graph.graph.LineGraph.split_nodes`), so every form of the operator does
it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.plstm import Form, _check_features, edge_messages, plstm
from plstm_graph.ops.shapes import check_operand


def plstm_factorized(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    out_gate: Tensor,
    in_gate: Tensor,
    mark: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
    form: Form = "auto",
) -> Tensor:
    r"""The pLSTM operator with :math:`T_{ef} = a_e\, b_f` for all pairs of a DAG (eq. 5 and 6).

    Equal to :func:`~plstm_graph.plstm` with ``transition = out_gate[pairs[0]] * in_gate[pairs[1]]``, but a node of
    ``i`` in-edges and ``o`` out-edges costs ``i + o`` instead of ``i * o``; the pairs are not even listed. Use it for
    graphs with hubs. Where nodes have about two in-edges and two out-edges or fewer there is nothing to gain.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: Source gate of each edge, ``[E, H]``.
        out_gate: How much of each edge's state arrives at its end node, :math:`a`, ``[E, H]``.
        in_gate: How much of what has arrived at its start node enters each edge, :math:`b`, ``[E, H]``.
        mark: Mark gate of each edge, ``[E, H]``.
        direct: Direct gate of each node, ``[N, H]``.
        line_graph: The structure, with all pairs of its DAG, in either direction.
        form: As in :func:`~plstm_graph.plstm`.

    Returns:
        ``[N, H, V]``

    Raises:
        ValueError: If a shape does not fit, naming the argument, or if ``line_graph`` lacks some of the pairs.
    """
    nodes, heads = _check(query, key, value, source, out_gate, in_gate, line_graph)
    check_operand("mark", mark, line_graph, E=line_graph.num_edges, H=heads)
    check_operand("direct", direct, line_graph, N=nodes, H=heads)
    graph = line_graph.split_nodes
    # In-edges end in the first halves of the nodes; those of the reversed graph in the second.
    first = nodes if graph.is_reversed else 0
    out = plstm(
        _for_halves(query),
        _for_halves(key),
        _for_halves(value),
        closed_on_nodes(source, graph),
        split_transition(out_gate, in_gate, graph),
        closed_on_nodes(mark, graph),
        F.pad(direct, (0, 0, first, nodes - first)),
        graph,
        form,
    )
    return out.narrow(0, first, nodes)


def edge_messages_factorized(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    out_gate: Tensor,
    in_gate: Tensor,
    line_graph: LineGraph,
    form: Form = "auto",
) -> Tensor:
    r"""The operator before Mark: what edge :math:`e` brings to its end node :math:`n`, :math:`q_n^{\top} C_e`.

    Args:
        query: As in :func:`plstm_factorized`, and so are the others.
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H]``
        out_gate: ``[E, H]``
        in_gate: ``[E, H]``
        line_graph: The structure, with all pairs of its DAG.
        form: As in :func:`~plstm_graph.plstm`.

    Returns:
        ``[E, H, V]`` in the caller's edge order, at least float32.
    """
    _check(query, key, value, source, out_gate, in_gate, line_graph)
    graph = line_graph.split_nodes
    messages = edge_messages(
        _for_halves(query),
        _for_halves(key),
        _for_halves(value),
        closed_on_nodes(source, graph),
        split_transition(out_gate, in_gate, graph),
        graph,
        form,
    )
    return messages.narrow(0, 0, line_graph.num_edges)


def _check(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, out_gate: Tensor, in_gate: Tensor, line_graph: LineGraph
) -> tuple[int, int]:
    """Number of nodes and heads, once the shapes are known to fit."""
    _check_features(query, key, value, line_graph)
    nodes, heads = query.shape[:2]
    for name, gate in (("source", source), ("out_gate", out_gate), ("in_gate", in_gate)):
        check_operand(name, gate, line_graph, E=line_graph.num_edges, H=heads)
    return nodes, heads


def _for_halves(tensor: Tensor) -> Tensor:
    """What a node has, for both halves of it, ``[2 N, ...]``."""
    return torch.cat([tensor, tensor])


def closed_on_nodes(gate: Tensor, graph: LineGraph, closed: float = 0.0) -> Tensor:
    """A gate of the edges, closed on the edges through nodes, ``[E + R, H]``.

    Args:
        gate: ``[E, H]``
        graph: Nodes split in two, as :attr:`~plstm_graph.graph.LineGraph.split_nodes` has them.
        closed: The value at which nothing passes.
    """
    return F.pad(gate, (0, 0, 0, graph.num_edges - gate.size(0)), value=closed)


def split_transition(out_gate: Tensor, in_gate: Tensor, graph: LineGraph) -> Tensor:
    """``out_gate`` on pairs into a through edge, ``in_gate`` on pairs out of one, ``[2 E', H]``."""
    num_edges = out_gate.size(0)
    in_edge, out_edge = graph.pairs
    gate = torch.where(out_edge >= num_edges, in_edge, out_edge + num_edges)
    return torch.cat([out_gate, in_gate]).index_select(0, gate)
