r"""M-mode: the recurrence of pLSTM in the semiring of maximum and sum, for times and longest ways.

Where P- and D-mode sum over paths of products, this takes the maximum over paths of sums, one number for each edge and
channel: there is no K x V state. The recurrence is associative like the others, and its gradient runs along the path
that attains the maximum with factor 1, so that it neither fades nor grows, however deep the DAG is.
"""

from typing import Literal

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.max_plus.levels import max_plus_levels
from plstm_graph.ops.dag.max_plus.merged import max_plus_merged
from plstm_graph.ops.dag.max_plus.naive import max_plus_naive
from plstm_graph.ops.dag.max_plus.native import has_native_max_plus, max_plus_native
from plstm_graph.ops.max_plus_terms import check_temperature
from plstm_graph.ops.shapes import check_form, check_operand, widened

MaxPlusForm = Literal["auto", "naive", "recurrent", "merged"]


def plstm_max_plus(
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
    temperature: float = 0.0,
    form: MaxPlusForm = "auto",
) -> Tensor:
    r"""The largest sum along any path of a DAG, channel by channel.

    .. math::
        m_f = \max\bigl(s_f,\; \max_{(e,f)} m_e + t_{ef}\bigr)

        y_n = \max\bigl(d_n,\; \max_{e \to n} m_e + r_e\bigr)

    A source or direct of :math:`-\infty` is legal: nothing enters there. Shortest ways are the same with all signs
    turned: ``-plstm_max_plus(-source, -transition, -mark, -direct, line_graph)``.

    The gradient of an output goes to what attains its maximum, along one path. Where several attain it, it goes to
    direct before edges, to source before pairs, and among edges and pairs to the first in the caller's order. An output
    of :math:`-\infty` has no gradient. Not a number counts as larger than every number, so that it spreads. With a
    ``temperature`` :math:`\tau > 0` every maximum is the soft one, :math:`\tau \log \sum \exp(\cdot / \tau)`, which is
    smooth, at least as large, and tends to the maximum as :math:`\tau` tends to 0.

    Args:
        source: What enters at each edge, :math:`s`, ``[E, C]``.
        transition: What is added from edge to edge, :math:`t`, ``[P, C]``.
        mark: What is added when a node reads an edge, :math:`r`, ``[E, C]``.
        direct: What each node reads at least, :math:`d`, ``[N, C]``.
        line_graph: The structure; its :meth:`~plstm_graph.graph.LineGraph.reverse` runs from sinks to sources.
        temperature: Of the soft maximum, in the unit of the operands; 0 for the maximum itself.
        form: ``"naive"`` (edge by edge, for reference), ``"recurrent"`` (level by level, or node by node in C),
            ``"merged"`` (neighbouring blocks of nodes merged, in a number of rounds that grows with the logarithm of
            the depth: for one deep and narrow graph; it holds a matrix of each block, so its memory grows with the
            square of the number of edges that cross a cut, and a batch is as wide as all of its graphs together), or
            ``"auto"``, which is the recurrent one. Inside compiled code the recurrent form stands in for the others.

    Returns:
        ``[N, C]``, in the dtype of ``direct``; computed in float32 at least.

    Raises:
        TypeError: If an operand has no real numbers; names it.
        ValueError: If a shape or a device does not fit, naming the argument, if the temperature is negative, not finite
            or too small a number to divide by, if there is no such form, or if a graph is too wide to merge.
    """
    if direct.dim() != 2:
        raise ValueError(f"direct must be [N, C], got {list(direct.shape)}")
    channels = direct.size(1)
    check_operand("direct", direct, line_graph, N=line_graph.num_nodes, C=channels)
    check_operand("source", source, line_graph, E=line_graph.num_edges, C=channels)
    check_operand("mark", mark, line_graph, E=line_graph.num_edges, C=channels)
    check_operand("transition", transition, line_graph, P=line_graph.num_pairs, C=channels)
    check_form(form, MaxPlusForm)
    s, t, r, d = widened(source, transition, mark, direct)
    check_temperature(temperature, d.dtype)
    if form == "naive" and not torch.compiler.is_compiling():
        evaluate = max_plus_naive
    elif form == "merged" and line_graph.num_edges and not torch.compiler.is_compiling():
        evaluate = max_plus_merged
    else:
        evaluate = max_plus_native if has_native_max_plus(d) else max_plus_levels
    return evaluate(s, t, r, d, line_graph, temperature).to(direct.dtype)
