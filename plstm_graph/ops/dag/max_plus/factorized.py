r"""M-mode with a transition that factorises at the node, :math:`t_{ef} = a_e + b_f`: cost O(E), not O(P).

Whatever arrives at a node is compared there before it parts again: the largest :math:`m_e + a_e` is the sum of an edge
through the node (:attr:`plstm_graph.graph.LineGraph.split_nodes`), so every form of M-mode does it.
"""

import torch.nn.functional as F
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.factorized import closed_on_nodes, split_transition
from plstm_graph.ops.dag.max_plus.plstm_max_plus import MaxPlusForm, plstm_max_plus
from plstm_graph.ops.shapes import check_operand

_NOTHING = float("-inf")


def plstm_max_plus_factorized(
    source: Tensor,
    out_gate: Tensor,
    in_gate: Tensor,
    mark: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
    temperature: float = 0.0,
    form: MaxPlusForm = "auto",
) -> Tensor:
    r"""The largest sum along any path of a DAG, with :math:`t_{ef} = a_e + b_f` for all pairs.

    Equal to :func:`~plstm_graph.ops.plstm_max_plus` with ``transition = out_gate[pairs[0]] + in_gate[pairs[1]]``, but a
    node of ``i`` in-edges and ``o`` out-edges costs ``i + o`` instead of ``i * o``; the pairs are not even listed.

    Args:
        source: What enters at each edge, :math:`s`, ``[E, C]``.
        out_gate: What is added to each edge's sum as it arrives at its end node, :math:`a`, ``[E, C]``.
        in_gate: What is added to what has arrived at its start node as it enters each edge, :math:`b`, ``[E, C]``.
        mark: What is added when a node reads an edge, :math:`r`, ``[E, C]``.
        direct: What each node reads at least, :math:`d`, ``[N, C]``.
        line_graph: The structure, with all pairs of its DAG, in either direction.
        temperature: As in :func:`~plstm_graph.ops.plstm_max_plus`.
        form: As in :func:`~plstm_graph.ops.plstm_max_plus`.

    Returns:
        ``[N, C]``, in the dtype of ``direct``.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: As from :func:`~plstm_graph.ops.plstm_max_plus`, or if ``line_graph`` lacks some of the pairs.
    """
    if direct.dim() != 2:
        raise ValueError(f"direct must be [N, C], got {list(direct.shape)}")
    nodes, channels = line_graph.num_nodes, direct.size(1)
    check_operand("direct", direct, line_graph, N=nodes, C=channels)
    for name, tensor in (("source", source), ("out_gate", out_gate), ("in_gate", in_gate), ("mark", mark)):
        check_operand(name, tensor, line_graph, E=line_graph.num_edges, C=channels)
    graph = line_graph.split_nodes
    # In-edges end in the first halves of the nodes; those of the reversed graph in the second.
    first = nodes if graph.is_reversed else 0
    out = plstm_max_plus(
        closed_on_nodes(source, graph, _NOTHING),
        split_transition(out_gate, in_gate, graph),
        closed_on_nodes(mark, graph, _NOTHING),
        F.pad(direct, (0, 0, first, nodes - first), value=_NOTHING),
        graph,
        temperature,
        form,
    )
    return out.narrow(0, first, nodes)
