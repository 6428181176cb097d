"""What M-mode adds up along paths: from features of nodes and edges, without bounds."""

from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.fused_linear import fused_linear
from plstm_graph.nn.gates import GateLinear
from plstm_graph.ops.shapes import check_form, wide_dtype


def form_of_maxima(form: str, own: Any, of_sums: Any) -> Any:
    """The form in which a layer evaluates M-mode: ``"auto"`` in place of those that only sums have.

    Args:
        form: What the layer was given.
        own: Forms of M-mode, a ``Literal``.
        of_sums: Forms of the other modes, a ``Literal``.

    Raises:
        ValueError: If nobody has such a form.
    """
    check_form(form, own, of_sums)
    return form if form in get_args(own) else "auto"


class MaxPlusTerms(NamedTuple):
    """Operands of :func:`~plstm_graph.ops.plstm_max_plus_factorized`: ``[E, C]``, Direct ``[N, C]``."""

    source: Tensor
    out_gate: Tensor
    in_gate: Tensor
    mark: Tensor
    direct: Tensor


class MaxPlusGates(nn.Module):
    r"""Source, Transition, Mark and Direct of M-mode, channel by channel.

    Each is a linear map, of the nodes that it concerns and of the edge. The transition :math:`t_{ef}` from edge
    :math:`e = (u, v)` to edge :math:`f = (v, w)` is the sum of a term of :math:`u, v, e` and one of :math:`w, f`, so
    that it factorises at the node :math:`v` and a hub costs its edges, not its pairs. Nothing bounds these terms: a
    maximum of sums cannot grow faster than the longest path.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        channels (int): Number of channels ``C``.
        edge_dim (int, optional): Size of edge features.

    Shapes:
        - **input:** node features ``[N, in_channels]``, line graph, edge features ``[E, edge_dim]`` *(optional)*
        - **output:** source, out_gate, in_gate, mark ``[E, C]``, and direct ``[N, C]``
    """

    def __init__(self, in_channels: int, channels: int, edge_dim: int | None = None) -> None:
        super().__init__()
        # Of each node: source as start; out_gate as start, as end; in_gate as end; mark as end; direct.
        self.node_lin = GateLinear(in_channels, 6 * channels)
        # Of each edge: source, out_gate, in_gate, mark.
        self.edge_lin = None if edge_dim is None else GateLinear(edge_dim, 4 * channels, bias=False)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.node_lin.reset_parameters()
        if self.edge_lin is not None:
            self.edge_lin.reset_parameters()

    def logits(self, x: Tensor, edge_attr: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the linear maps give, the same for both directions: ``[N, 6 C]`` and ``[E, 4 C]``, or None."""
        (at_nodes,) = fused_linear(x, [self.node_lin])
        return at_nodes, None if self.edge_lin is None else self.edge_lin(edge_attr)

    def of_logits(
        self, at_nodes: Tensor, at_edges: Tensor | None, line_graph: LineGraph, edge_mask: Tensor | None = None
    ) -> MaxPlusTerms:
        """The terms of a direction, in float32 or wider.

        Args:
            at_nodes: As from :meth:`logits`, and so is ``at_edges``.
            at_edges: ``[E, 4 C]``
            line_graph: The structure.
            edge_mask: How much of each edge counts, ``[E]`` in [0, 1]. What multiplies sums is added to maxima as a
                logarithm: an edge that is masked out brings nothing.
        """
        wide = wide_dtype(at_nodes)
        source, out_gate, between, in_gate, mark, direct = at_nodes.to(wide).chunk(6, dim=-1)
        start, end = line_graph.edge_index
        terms = [
            source.index_select(0, start),
            out_gate.index_select(0, start) + between.index_select(0, end),
            in_gate.index_select(0, end),
            mark.index_select(0, end),
        ]
        if at_edges is not None:
            terms = [term + own for term, own in zip(terms, at_edges.to(wide).chunk(4, dim=-1), strict=True)]
        if edge_mask is not None:
            hidden = edge_mask.to(wide).clamp(min=torch.finfo(wide).tiny).log().unsqueeze(-1)
            terms[0], terms[2] = terms[0] + hidden, terms[2] + hidden
        source, out_gate, in_gate, mark = terms
        return MaxPlusTerms(source, out_gate, in_gate, mark, direct)

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> MaxPlusTerms:
        """Evaluate all terms."""
        return self.of_logits(*self.logits(x, edge_attr), line_graph)
