"""A gated recurrent cell that walks over the levels of a DAG: a nonlinear step among linear ones."""

from functools import reduce
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.structure import check_edge_attr, line_graph_of
from plstm_graph.ops.dag.gated_levels import Gathering, gated_levels
from plstm_graph.ops.shapes import widened

Flow = Literal["source_to_target", "target_to_source"]


class GatedCell(nn.Module):
    r"""A GRU over the levels of a DAG, all graphs of a batch together (as in `DAGNN <https://arxiv.org/abs/2101.07965>`_).

    .. math::
        h_n = \mathrm{GRU}(x_n, m_n), \qquad m_n = \sum_{e \to n} \alpha_e\, (h_{start(e)} + W a_e)

    with shares :math:`\alpha` that are a softmax of :math:`w \cdot h_{start(e)} + u \cdot a_e` over the edges into a
    node. What a node becomes depends on the states before it in ways that a linear recurrence cannot express; in
    return it has one form, level after level, and fades over distance. It is called as
    :class:`~plstm_graph.nn.PLSTMConv` is, and is the letter G of ``modes``.

    The term of the node itself in DAGNN's additive attention is the same for all its predecessors, so that it drops out
    of the softmax; it is left out.

    Args:
        channels (int): Size of node features and states.
        edge_dim (int, optional): Size of edge features.
        flow (str): ``"source_to_target"`` runs along the edges, ``"target_to_source"`` against them.
            (default: ``"source_to_target"``)
        aggr (str): ``"attention"``, or ``"sum"``: gates and candidate read :math:`m_n` times the number of edges that
            enter, with even shares, so that they can count; what is carried on is a mean in both cases, and states stay
            bounded. ``"max"`` carries on and reads the largest of the states before, channel by channel, which is what
            times and longest ways ask for. (default: ``"attention"``)
        share_weights (bool): Run in both directions with the same weights, and add up. (default: ``False``)

    Shapes:
        - **input:** node features ``[N, channels]``, edge indices ``[2, E]`` of a DAG, edge features ``[E, edge_dim]``
          *(optional)*, line graph *(optional, saves rebuilding it)*
        - **output:** ``[N, channels]``

    Raises:
        CycleError: If the graph has a directed cycle.
        ValueError: If shapes do not fit, or edge features are missing or not expected.
    """

    def __init__(
        self,
        channels: int,
        edge_dim: int | None = None,
        flow: Flow = "source_to_target",
        aggr: Gathering = "attention",
        share_weights: bool = False,
    ) -> None:
        super().__init__()
        if flow not in ("source_to_target", "target_to_source"):
            raise ValueError(f"flow must be 'source_to_target' or 'target_to_source', got {flow!r}")
        if aggr not in get_args(Gathering):
            raise ValueError(f"aggr must be 'attention', 'sum' or 'max', got {aggr!r}")
        self.channels, self.edge_dim, self.flow, self.aggr = channels, edge_dim, flow, aggr
        self.share_weights = share_weights
        self.input = nn.Linear(channels, 3 * channels)
        self.state = nn.Linear(channels, 3 * channels)
        attends = aggr == "attention"
        self.score = nn.Linear(channels, 1, bias=False) if attends else None
        self.edge = None if edge_dim is None else nn.Linear(edge_dim, channels + attends, bias=False)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.input, self.state, self.score, self.edge):
            if module is not None:
                module.reset_parameters()

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, line_graph: LineGraph | None = None
    ) -> Tensor:
        """Run over all levels.

        Args:
            x: Node features, ``[N, channels]``.
            edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
            edge_attr: Edge features, ``[E, edge_dim]``, in the order of ``edge_index``.
            line_graph: The DAG's line graph, not reversed. Before it enters compiled code, call its
                ``prepare(nodes=True)``.
        """
        edge_attr = check_edge_attr(edge_attr, edge_index, self.edge_dim)
        if isinstance(x, Tensor) and (x.dim() != 2 or x.size(1) != self.channels):
            raise ValueError(f"x must be [N, {self.channels}], got {list(x.shape)}")
        graph = line_graph_of(x, edge_index, line_graph)
        graph = graph.reverse() if self.flow == "target_to_source" else graph
        given = self.input(x)
        at_edge = x.new_zeros(edge_index.size(1), 0) if self.edge is None else self.edge(edge_attr)
        if self.score is None:
            score = self.state.weight.new_zeros(self.channels)
            if self.edge is not None:
                at_edge = torch.cat([at_edge.new_zeros(at_edge.size(0), 1), at_edge], dim=1)
        else:
            score = self.score.weight[0]
        wide, at_edge, weight, bias, score = widened(given, at_edge, self.state.weight, self.state.bias, score)
        states = [
            gated_levels(wide, at_edge, weight, bias, score, direction.node_levels, self.aggr)
            for direction in ((graph, graph.reverse()) if self.share_weights else (graph,))
        ]
        return reduce(torch.add, states).to(given.dtype)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return f"{self.channels}, edge_dim={self.edge_dim}, flow={self.flow!r}, aggr={self.aggr!r}"
