"""A transition gate that factorises at the node, for graphs with hubs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear

from plstm_graph.graph import LineGraph
from plstm_graph.nn.gates import Decay, GateLinear, check_decay, decay_at, first_decay
from plstm_graph.ops.dag.gate_terms import decay_of_edges, normalized_shares


class NodeTransitionGate(nn.Module):
    r"""P-mode's transition in two factors, :math:`T_{ef} = a_e\, b_f`, one for each edge that meets at a node (eq. 9).

    A node shares out the sum of all states that arrive, whatever edge they came by. The logit of an out-edge sums
    contributions of its start, its end and its own features; :math:`b = \mathrm{softplus}(logit)`, divided by the sum
    over all out-edges of the node. The factor :math:`a` is 1, or the decay gate. For every in-edge
    :math:`\sum_f |T_{ef}| = a_e \le 1`, as in :class:`~plstm_graph.nn.TransitionGate`, whose shares may differ
    between the in-edges of a node; in return, a hub of ``i`` in-edges and ``o`` out-edges costs ``i + o``, not
    ``i * o``. Where no node has more than about two of each, take that one: it costs no more.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.
        edge_dim (int, optional): Size of edge features.
        decay (bool or str): As in :class:`~plstm_graph.nn.TransitionGate`. (default: ``False``)

    Shapes:
        - **input:** node features ``[N, C]``, line graph, edge features ``[E, D]`` *(optional)*
        - **output:** ``out_gate`` and ``in_gate``, each ``[E, H]`` in (0, 1], as
          :func:`~plstm_graph.ops.plstm_factorized` takes them
    """

    def __init__(self, in_channels: int, heads: int, edge_dim: int | None = None, decay: Decay = False) -> None:
        super().__init__()
        check_decay(decay)
        self.decay = decay
        # Of each node: as start of the edge, as its end.
        self.node_lin = GateLinear(in_channels, 2 * heads, bias=False)
        self.edge_lin = None if edge_dim is None else GateLinear(edge_dim, heads, bias=False)
        self.decay_lin = GateLinear(in_channels, heads, first_bias=first_decay(decay)) if decay else None
        self.bias = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with even shares."""
        for lin in (self.node_lin, self.edge_lin, self.decay_lin):
            if lin is not None:
                lin.reset_parameters()
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Evaluate both factors on every edge."""
        at_edge = None if self.edge_lin is None else self.edge_lin(edge_attr)
        return self.of_logits([lin(x) for lin in self.node_maps], line_graph, at_edge)

    @property
    def node_maps(self) -> list[Linear]:
        """The linear maps of node features."""
        return [self.node_lin] if self.decay_lin is None else [self.node_lin, self.decay_lin]

    def of_logits(
        self, at_nodes: Sequence[Tensor], line_graph: LineGraph, at_edge: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Evaluate both factors from what the linear maps give.

        Args:
            at_nodes: Of nodes, by :attr:`node_maps`, ``[N, 2 H]`` and perhaps ``[N, H]``.
            line_graph: The structure.
            at_edge: Of edges, ``[E, H]``.
        """
        start, end = line_graph.edge_index
        at_start, at_end = at_nodes[0].chunk(2, dim=-1)
        logits = at_start.index_select(0, start) + at_end.index_select(0, end) + self.bias
        in_gate = normalized_shares(logits if at_edge is None else logits + at_edge, start, line_graph.num_nodes)
        if self.decay_lin is None:
            return torch.ones_like(in_gate), in_gate
        return decay_of_edges(decay_at(self.decay), at_nodes[1], line_graph.edge_index), in_gate
