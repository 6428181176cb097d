"""The public operator: checks its arguments, chooses a form, and applies Mark and Direct."""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.chunkwise import edge_messages_chunkwise
from plstm_graph.ops.dag.cost import Form, choose_form
from plstm_graph.ops.dag.naive import edge_states_naive
from plstm_graph.ops.dag.parallel import edge_messages_parallel, node_outputs_parallel
from plstm_graph.ops.dag.recurrent import edge_messages_recurrent
from plstm_graph.ops.dag.recurrent_native import has_native_recurrent, node_outputs_recurrent_native
from plstm_graph.ops.scatter import sum_rows
from plstm_graph.ops.shapes import check_form, check_operand, wide_dtype, widened


def plstm(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
    form: Form = "auto",
) -> Tensor:
    r"""The pLSTM operator on a general DAG (`arXiv 2506.11997 <https://arxiv.org/abs/2506.11997>`_, eq. 5 and 6).

    .. math::
        C_f = \sum_{(e,f)} T_{ef}\, C_e + S_f\, k_u v_u^{\top}, \quad u = start(f)

        y_n = \sum_{e \to n} M_e\, (q_n^{\top} C_e) + D_n\, (q_n \cdot k_n)\, v_n

    It is linear in the states and in each argument. Edges and pairs are in the caller's order. States and sums are
    at least float32; the result has the dtype of ``value``. With bounded gates, outputs and gradients in float32 differ
    from those in float64 by at most 1e-5 of the largest entry, on deep graphs as on shallow ones (a test); forms differ
    in the order of their sums, and so in the last digits.

    Operands may have any memory layout. Every form has second and higher derivatives (``create_graph=True``), forward
    mode (``torch.func.jvp``) and ``torch.func.vmap`` over operands: there, a twin of the form takes over, made of
    ordinary operations, see :mod:`~plstm_graph.ops.custom_operator`. Transforms of ``torch.func`` inside
    ``torch.compile`` are refused, and ``torch.compile`` itself drops the tangents of forward mode, as it does for
    every operation.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: Source gate of each edge, :math:`S`, ``[E, H]``.
        transition: Transition gate of each pair, :math:`T`, ``[P, H]``.
        mark: Mark gate of each edge, :math:`M`, ``[E, H]``.
        direct: Direct gate of each node, :math:`D`, ``[N, H]``.
        line_graph: The structure; its :meth:`~plstm_graph.graph.LineGraph.reverse` runs from sinks to sources.
        form: Which exact evaluation to use: ``"naive"`` (edge by edge, for reference), ``"recurrent"`` (states, level
            by level, or node by node in C), ``"parallel"`` (scalars, then one masked attention), ``"chunkwise"``
            (parallel inside blocks of levels, states between them), or ``"auto"`` for the cheapest. Inside compiled
            code the recurrent form stands in for the naive one, and the structure must have been prepared: see
            :meth:`~plstm_graph.graph.LineGraph.prepare`.

    Returns:
        ``[N, H, V]``

    Raises:
        TypeError: If an operand has no real numbers, but integers, truth values or complex ones; names it.
        ValueError: If a shape or a device does not fit, naming the argument, or if there is no such form.
    """
    _check_features(query, key, value, line_graph)
    heads = query.size(1)
    check_operand("source", source, line_graph, E=line_graph.num_edges, H=heads)
    check_operand("transition", transition, line_graph, P=line_graph.num_pairs, H=heads)
    check_operand("mark", mark, line_graph, E=line_graph.num_edges, H=heads)
    check_operand("direct", direct, line_graph, N=line_graph.num_nodes, H=heads)
    form = _chosen(form, query, value, line_graph)
    if form in ("parallel", "recurrent"):
        q, k, v, s, t, m, d = widened(query, key, value, source, transition, mark, direct)
        if form == "parallel":
            return node_outputs_parallel(q, k, v, s, t, m, d, line_graph).to(value.dtype)
        if has_native_recurrent(q):
            return node_outputs_recurrent_native(q, k, v, s, t, m, d, line_graph).to(value.dtype)
    messages = edge_messages(query, key, value, source, transition, line_graph, form)
    marked = mark.to(messages.dtype).unsqueeze(-1) * messages
    read = sum_rows(marked, line_graph.edge_index[1], line_graph.num_nodes)
    return (read + direct_term(query, key, value, direct)).to(value.dtype)


def direct_term(query: Tensor, key: Tensor, value: Tensor, direct: Tensor) -> Tensor:
    r"""What a node reads of its own input, :math:`D_n (q_n \cdot k_n) v_n`, in float32 or wider.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        direct: ``[N, H]``

    Returns:
        ``[N, H, V]``
    """
    dtype = wide_dtype(value)
    weight = direct * (query.to(dtype) * key.to(dtype)).sum(dim=-1)
    return weight.unsqueeze(-1) * value


def edge_messages(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    line_graph: LineGraph,
    form: Form = "auto",
) -> Tensor:
    r"""The operator before Mark: what edge :math:`e` brings to its end node :math:`n`, :math:`q_n^{\top} C_e`.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H]``
        transition: ``[P, H]``
        line_graph: The structure.
        form: As in :func:`plstm`.

    Returns:
        ``[E, H, V]`` in the caller's edge order, at least float32.
    """
    _check_features(query, key, value, line_graph)
    check_operand("source", source, line_graph, E=line_graph.num_edges, H=query.size(1))
    check_operand("transition", transition, line_graph, P=line_graph.num_pairs, H=query.size(1))
    query, key, value, source, transition = widened(query, key, value, source, transition)

    form = _chosen(form, query, value, line_graph, native=False)
    if form == "parallel":
        return edge_messages_parallel(query, key, value, source, transition, line_graph)
    if form == "recurrent":
        return edge_messages_recurrent(query, key, value, source, transition, line_graph)
    if form == "naive":
        states = edge_states_naive(key, value, source, transition, line_graph)
        return (query[line_graph.edge_index[1], :, :, None] * states).sum(dim=2)
    return edge_messages_chunkwise(query, key, value, source, transition, line_graph)


def _chosen(form: Form, query: Tensor, value: Tensor, line_graph: LineGraph, native: bool | None = None) -> Form:
    """The form to evaluate; ``native`` tells whether forms run in C where they can, by default if they can."""
    check_form(form, Form)
    if form == "auto":
        return choose_form(line_graph, query.size(1), query.size(2), value.size(2), native)
    if form == "naive" and torch.compiler.is_compiling():
        # torch.compile cannot follow a loop in Python over the edges of a graph that it does not know.
        return "recurrent"
    return form


def _check_features(query: Tensor, key: Tensor, value: Tensor, line_graph: LineGraph) -> None:
    if query.dim() != 3 or value.dim() != 3:
        raise ValueError(
            f"query and value must be [N, H, K] and [N, H, V], got {list(query.shape)} and {list(value.shape)}"
        )
    heads = query.size(1)
    check_operand("query", query, line_graph, N=line_graph.num_nodes, H=heads, K=query.size(2))
    check_operand("key", key, line_graph, N=line_graph.num_nodes, H=heads, K=query.size(2))
    check_operand("value", value, line_graph, N=line_graph.num_nodes, H=heads, V=value.size(2))
