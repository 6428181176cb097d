r"""DAGs whose transitions are matrices: the paper's extension to state tracking, beyond chains and grids.

The cell state of an edge has one more dimension, :math:`C_e \in R^{J \times K \times V}`, on which transitions act from
the left. Matrices need not commute: what a node reads depends on the order of what lies on a path.
"""

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.cost import Form, choose_form
from plstm_graph.ops.dag.gating import gating_matrix
from plstm_graph.ops.dag.matrix_levels import edge_reads_levels
from plstm_graph.ops.dag.naive import edges_by_level
from plstm_graph.ops.dag.plstm import direct_term, edge_messages, plstm
from plstm_graph.ops.dag.recurrent_native import has_native_recurrent
from plstm_graph.ops.scatter import sum_rows
from plstm_graph.ops.shapes import check_device, check_form, check_real, check_same, widened


def plstm_matrix(
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
    r""":func:`~plstm_graph.plstm` with a matrix for each transition.

    .. math::
        C_{fi} = \sum_{(e,f)} \sum_j T_{efij}\, C_{ej} + S_{fi}\, k_u v_u^{\top}, \quad u = start(f)

        y_n = \sum_{e \to n} \sum_j M_{ej}\, (q_n^{\top} C_{ej}) + D_n\, (q_n \cdot k_n)\, v_n

    States stay bounded over any depth where matrices have a norm of at most 1 and each edge is entered by one path
    (a line graph cut to a multitree), or where the norms of the matrices that leave an edge sum up to at most 1.

    On chains and grids :func:`~plstm_graph.ops.plstm_chain_matrix` and :func:`~plstm_graph.ops.plstm_grid2d_matrix` do
    the same. Edges and pairs are in the caller's order; states and sums are at least float32.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H, J]``
        transition: To the first index from the second, ``[P, H, J, J]``.
        mark: ``[E, H, J]``
        direct: ``[N, H]``
        line_graph: The structure; its :meth:`~plstm_graph.graph.LineGraph.reverse` runs from sinks to sources.
        form: ``"naive"`` (edge by edge, for reference), ``"recurrent"`` (states, level by level); ``"parallel"`` and
            ``"chunkwise"`` as in :func:`~plstm_graph.plstm`, on a line graph that has every edge once for each row
            (:meth:`~plstm_graph.graph.LineGraph.rows`), where matrices are numbers again; or ``"auto"`` for the
            cheapest. Inside compiled code, ``"auto"`` is the recurrent form unless the structure was prepared for the
            rows.

    Returns:
        ``[N, H, V]``, in the dtype of ``value``.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: If a shape or a device does not fit, naming the argument, or if there is no such form.
    """
    form = _checked(query, key, value, source, transition, line_graph, form)
    heads = query.size(1)
    check_same("[E, H, J]", tuple(source.shape), {"mark": mark})
    check_same("[N, H]", (line_graph.num_nodes, heads), {"direct": direct})
    check_device(line_graph, mark=mark, direct=direct)
    if form not in ("naive", "recurrent"):
        gates = _of_rows(source), _of_pairs(transition, line_graph), _of_rows(mark)
        return plstm(query, key, value, *gates, direct, line_graph.rows(source.size(2)), form)
    reads = edge_reads(query, key, value, source, transition, line_graph, form)
    marked = (mark.to(reads.dtype).unsqueeze(-2) @ reads).squeeze(-2)
    read = sum_rows(marked, line_graph.edge_index[1], line_graph.num_nodes)
    return (read + direct_term(query, key, value, direct)).to(value.dtype)


def edge_reads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    line_graph: LineGraph,
    form: Form = "auto",
) -> Tensor:
    r"""The operator before Mark: what each row of an edge's state brings to its end node, :math:`q_n^{\top} C_{ej}`.

    Args:
        query: ``[N, H, K]``
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        source: ``[E, H, J]``
        transition: ``[P, H, J, J]``
        line_graph: The structure.
        form: As in :func:`plstm_matrix`.

    Returns:
        ``[E, H, J, V]`` in the caller's edge order, at least float32.
    """
    form = _checked(query, key, value, source, transition, line_graph, form)
    if form not in ("naive", "recurrent"):
        rows = line_graph.rows(source.size(2))
        reads = edge_messages(query, key, value, _of_rows(source), _of_pairs(transition, line_graph), rows, form)
        return reads.unflatten(0, (line_graph.num_edges, source.size(2))).transpose(1, 2)
    q, k, v, s, t = widened(query, key, value, source, transition)
    with torch.autocast(value.device.type, enabled=False):
        if form == "naive":
            return _edge_reads_naive(q, k, v, s, t, line_graph)
        return edge_reads_levels(q, k, v, s, t, line_graph)


def gating_matrix_of_matrices(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph
) -> Tensor:
    r"""How strongly each node reads of each other node, before queries and keys have their say.

    Args:
        source: ``[E, H, J]``
        transition: ``[P, H, J, J]``
        mark: ``[E, H, J]``
        direct: ``[N, H]``
        line_graph: The structure.

    Returns:
        ``[H, N, N]``, reader first, as of :func:`~plstm_graph.ops.gating_matrix`.
    """
    rows = line_graph.rows(source.size(2))
    return gating_matrix(_of_rows(source), _of_pairs(transition, line_graph), _of_rows(mark), direct, rows)


def _of_rows(gate: Tensor) -> Tensor:
    """A gate of every row of every edge, ``[E, H, J]`` to ``[E J, H]``."""
    return gate.transpose(1, 2).flatten(0, 1)


def _of_pairs(transition: Tensor, line_graph: LineGraph) -> Tensor:
    """A gate of every pair of rows, ``[P, H, J, J]`` to ``[P J J, H]``."""
    # The pairs of the reversed graph are those of the forward one, whose rows are from and to each other.
    turned = transition.mT if line_graph.is_reversed else transition
    return turned.permute(0, 2, 3, 1).flatten(0, 2)


def _checked(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph, form: Form
) -> Form:
    """The form to evaluate, after a check of the operands."""
    if query.dim() != 3 or value.dim() != 3 or source.dim() != 3:
        raise ValueError(
            "query, value and source must be [N, H, K], [N, H, V] and [E, H, J], got "
            f"{list(query.shape)}, {list(value.shape)} and {list(source.shape)}"
        )
    nodes, heads, size = line_graph.num_nodes, query.size(1), source.size(2)
    check_real("query", query)
    check_same("[N, H, K]", (nodes, heads, query.size(2)), {"query": query, "key": key})
    check_same("[N, H, V]", (nodes, heads, value.size(2)), {"value": value})
    check_same("[E, H, J]", (line_graph.num_edges, heads, size), {"source": source})
    check_same("[P, H, J, J]", (line_graph.num_pairs, heads, size, size), {"transition": transition})
    check_device(line_graph, query=query, key=key, value=value, source=source, transition=transition)
    check_form(form, Form)
    if size == 0:
        return "recurrent"
    if torch.compiler.is_compiling() and (form == "naive" or (form == "auto" and not line_graph.has_rows(size))):
        # torch.compile cannot follow a loop in Python over the edges of a graph that it does not know.
        return "recurrent"
    if form == "auto":
        form = choose_form(line_graph.rows(size), heads, query.size(2), value.size(2))
        # In C, numbers between rows are the faster ones; in torch, matrices between edges are.
        native = has_native_recurrent(widened(query, value)[0])
        return "auto" if form == "recurrent" and native else form
    return form


def _edge_reads_naive(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, line_graph: LineGraph
) -> Tensor:
    """Edge by edge, as one reads it: slow, short, and the ground truth of the other form."""
    start, end = line_graph.edge_index.tolist()
    states: dict[int, Tensor] = {}
    for f, into in edges_by_level(line_graph):
        outer = key[start[f], :, :, None] * value[start[f], :, None, :]
        state = torch.einsum("hj,hkv->hjkv", source[f], outer)
        for pair, e in into:
            state = state + torch.einsum("hij,hjkv->hikv", transition[pair], states[e])
        states[f] = state
    reads = [torch.einsum("hk,hjkv->hjv", query[end[f]], states[f]) for f in range(len(start))]
    return torch.stack(reads) if reads else value.new_zeros(*source.shape, value.size(-1))
