r"""M-mode: the recurrence of pLSTM in the semiring of maximum and sum, for times and longest ways.

Where P- and D-mode sum over paths of products, this takes the maximum over paths of sums, one number for each edge and
channel: there is no K x V state. The recurrence is associative like the others, and its gradient runs along the path
that attains the maximum with factor 1, so that it neither fades nor grows, however deep the DAG is.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops.max_plus_levels import max_plus_levels
from plstm_graph.ops.max_plus_naive import max_plus_naive
from plstm_graph.ops.max_plus_terms import check_temperature
from plstm_graph.ops.shapes import check_same, widened

MaxPlusForm = Literal["auto", "naive", "recurrent"]


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
    of :math:`-\infty` has no gradient. With a ``temperature`` :math:`\tau > 0` every maximum is the soft one,
    :math:`\tau \log \sum \exp(\cdot / \tau)`, which is smooth, at least as large, and tends to the maximum as
    :math:`\tau` tends to 0.

    Args:
        source: What enters at each edge, :math:`s`, ``[E, C]``.
        transition: What is added from edge to edge, :math:`t`, ``[P, C]``.
        mark: What is added when a node reads an edge, :math:`r`, ``[E, C]``.
        direct: What each node reads at least, :math:`d`, ``[N, C]``.
        line_graph: The structure; its :meth:`~plstm_graph.graph.LineGraph.reverse` runs from sinks to sources.
        temperature: Of the soft maximum, in the unit of the operands; 0 for the maximum itself.
        form: ``"naive"`` (edge by edge, for reference), ``"recurrent"`` (level by level), or ``"auto"``.

    Returns:
        ``[N, C]``, in the dtype of ``direct``; computed in float32 at least.

    Raises:
        ValueError: If a shape does not fit, naming the argument, if the temperature is negative or not finite, or if
            there is no such form.
    """
    if direct.dim() != 2:
        raise ValueError(f"direct must be [N, C], got {list(direct.shape)}")
    channels = direct.size(1)
    check_same("[N, C]", (line_graph.num_nodes, channels), {"direct": direct})
    check_same("[E, C]", (line_graph.num_edges, channels), {"source": source, "mark": mark})
    check_same("[P, C]", (line_graph.num_pairs, channels), {"transition": transition})
    if form not in get_args(MaxPlusForm):
        raise ValueError(f"unknown form {form!r}; choose one of {', '.join(map(repr, get_args(MaxPlusForm)))}")
    s, t, r, d = widened(source, transition, mark, direct)
    check_temperature(temperature, d.dtype)
    with torch.autocast(d.device.type, enabled=False):
        if form == "naive" and not torch.compiler.is_compiling():
            out = max_plus_naive(s, t, r, d, line_graph, temperature)
        else:
            out = max_plus_levels(s, t, r, d, line_graph, temperature)
    return out.to(direct.dtype)
