r"""Source, Transition, Mark and Direct gates: from features of nodes and edges, never from states.

Where the initialisation departs from the paper's, and why:

* The paper starts Source, Mark and Direct at a bias of -4 to -6, so that :math:`S \cdot M` is of the order of 1e-4
  and the norm behind it divides by its epsilon rather than by the signal. Here they start at 0, half open.
* The paper starts every transition of D-mode at tanh(5) = 0.9999, where the slope of tanh has all but vanished. Here
  the heads are spread up to tanh(5), with four heads from tanh(1.25) = 0.85, so that some look near and some far, and
  most can still learn.
* Weights start small and normal, std :math:`\sqrt{2 / (5 C)}`, the paper's choice for its largest runs; its default,
  zero, makes all edges of a head alike at first.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear

from plstm_graph.graph import LineGraph
from plstm_graph.ops.dag.gate_terms import LONG_RANGE_FACTOR, DecayAt, Sharing, pair_transitions

Mode = Literal["P", "D"]
Normalization = Literal["column", "row"]
Decay = bool | Literal["node"]


def check_decay(decay: Decay) -> None:
    """Refuse what is no kind of decay."""
    if decay not in (True, False, "node"):
        raise ValueError(f"decay must be True, False or 'node', got {decay!r}")


def decay_at(decay: Decay) -> DecayAt:
    """The node that decides how much is lost on an in-edge."""
    return "end" if decay == "node" else "start" if decay else "none"


def first_decay(decay: Decay) -> float:
    """The bias of decay logits at the start, so that factors are close to one: ``sigmoid(5)``."""
    return 1.0 if decay == "node" else LONG_RANGE_FACTOR


class GateLinear(Linear):
    """A linear map with the small normal initialisation of gates, whose input size may be lazy (-1).

    Args:
        in_channels (int): Size of the input; -1 takes it from the first call.
        out_channels (int): Size of the output.
        bias (bool): Whether there is a bias. (default: ``True``)
        first_bias (float): What the bias is at the start, also of a map that takes its size from the first call.
            (default: ``0``)
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True, first_bias: float = 0.0) -> None:
        self.first_bias = first_bias  # Linear draws its weights at once.
        super().__init__(in_channels, out_channels, bias=bias)

    def reset_parameters(self) -> None:
        """Draw small normal weights, and set the bias to its start."""
        super().reset_parameters()
        if self.in_channels > 0:
            nn.init.normal_(self.weight, std=math.sqrt(2 / (5 * self.in_channels)))
        if self.bias is not None:
            nn.init.constant_(self.bias, self.first_bias)

    @torch.no_grad()
    def initialize_parameters(self, module, input):
        """Take the input size from the first call."""
        super().initialize_parameters(module, input)


class _EdgeGate(nn.Module):
    """Sigmoid gate of each edge and head, from one of its nodes and its own features."""

    def __init__(self, in_channels: int, heads: int, edge_dim: int | None = None) -> None:
        super().__init__()
        self.node_lin = GateLinear(in_channels, heads)
        self.edge_lin = None if edge_dim is None else GateLinear(edge_dim, heads, bias=False)

    def reset_parameters(self) -> None:
        """Start half open, with small weights."""
        self.node_lin.reset_parameters()
        if self.edge_lin is not None:
            self.edge_lin.reset_parameters()

    def forward(self, x: Tensor, node: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Evaluate the gate.

        Args:
            x: Node features, ``[N, C]``.
            node: The node that decides, for each edge, ``[E]``.
            edge_attr: Edge features, ``[E, D]``.

        Returns:
            ``[E, H]`` in (0, 1)
        """
        return self.of_logits(self.node_lin(x), node, None if self.edge_lin is None else self.edge_lin(edge_attr))

    def of_logits(self, at_node: Tensor, node: Tensor, at_edge: Tensor | None = None) -> Tensor:
        """Evaluate the gate from what its linear maps give.

        Args:
            at_node: Of nodes, ``[N, H]``.
            node: The node that decides, for each edge, ``[E]``.
            at_edge: Of edges, ``[E, H]``.
        """
        logits = at_node.index_select(0, node)
        return (logits if at_edge is None else logits + at_edge).sigmoid()


class SourceGate(_EdgeGate):
    r"""How much of its start node's input enters each edge, :math:`S` of eq. 5.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.
        edge_dim (int, optional): Size of edge features.

    Shapes:
        - **input:** node features ``[N, C]``, start node of each edge ``[E]``, edge features ``[E, D]`` *(optional)*
        - **output:** ``[E, H]`` in (0, 1)
    """


class MarkGate(_EdgeGate):
    r"""How much of each edge's state its end node reads, :math:`M` of eq. 6.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.
        edge_dim (int, optional): Size of edge features.

    Shapes:
        - **input:** node features ``[N, C]``, end node of each edge ``[E]``, edge features ``[E, D]`` *(optional)*
        - **output:** ``[E, H]`` in (0, 1)
    """


class DirectGate(nn.Module):
    r"""How much of its own input each node reads, :math:`D` of eq. 6.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.

    Shapes:
        - **input:** node features ``[N, C]``
        - **output:** ``[N, H]`` in (0, 1)
    """

    def __init__(self, in_channels: int, heads: int) -> None:
        super().__init__()
        self.lin = GateLinear(in_channels, heads)

    def reset_parameters(self) -> None:
        """Start half open, with small weights."""
        self.lin.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the gate."""
        return self.lin(x).sigmoid()


class TransitionGate(nn.Module):
    r"""How much of an in-edge's state passes on to an out-edge, :math:`T` of eq. 5.

    A logit of each pair sums contributions of the two edges, of their shared node and of the two nodes beyond. From it,

    * P-mode (propagation): positive weights :math:`w = \mathrm{softplus}(logit)`, divided by their sum over all
      out-edges of the in-edge. For every in-edge :math:`\sum_f |T_{ef}| = 1`: the bound of eq. 9 is reached, states
      neither explode nor decay however many paths there are.
    * D-mode (distribution): :math:`T = \tanh(5\, logit)`, at most 1 each; bounded on a multitree, where any two edges
      have one path at most.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.
        edge_dim (int, optional): Size of edge features.
        mode (str): ``"P"`` or ``"D"``. (default: ``"P"``)
        normalization (str): In P-mode, divide by the sum over the out-edges of each in-edge (``"column"``, eq. 9), or
            over the in-edges of each out-edge (``"row"``, the authors' code; it bounds averages, not sums).
            (default: ``"column"``)
        decay (bool or str): Multiply what leaves each in-edge by a gate in (0, 1), at first close to 1: True by one of
            the node where that edge starts, ``"node"`` by one of the node that is passed, as losses on the way want it,
            :math:`\sigma(5\, logit)`: small losses differ in the logit by much, and are learnt sooner so.
            (default: ``False``)

    Shapes:
        - **input:** node features ``[N, C]``, line graph, edge features ``[E, D]`` *(optional)*
        - **output:** ``[P, H]``, in (0, 1] for P-mode, in (-1, 1) for D-mode
    """

    def __init__(
        self,
        in_channels: int,
        heads: int,
        edge_dim: int | None = None,
        mode: Mode = "P",
        normalization: Normalization = "column",
        decay: Decay = False,
    ) -> None:
        super().__init__()
        check_decay(decay)
        self.decay = decay
        if mode not in ("P", "D"):
            raise ValueError(f"mode must be 'P' or 'D', got {mode!r}")
        if normalization not in ("column", "row"):
            raise ValueError(f"normalization must be 'column' or 'row', got {normalization!r}")
        self.heads = heads
        self.mode = mode
        self.normalization = normalization
        # Of each node: as start of the in-edge, as the node between, as end of the out-edge.
        self.node_lin = GateLinear(in_channels, 3 * heads, bias=False)
        # Of each edge: as in-edge, as out-edge.
        self.edge_lin = None if edge_dim is None else GateLinear(edge_dim, 2 * heads, bias=False)
        self.decay_lin = GateLinear(in_channels, heads, first_bias=first_decay(decay)) if decay else None
        self.bias = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with even shares in P-mode, and with reaches spread over the heads in D-mode."""
        for lin in (self.node_lin, self.edge_lin, self.decay_lin):
            if lin is not None:
                lin.reset_parameters()
        with torch.no_grad():
            if self.mode == "P":
                self.bias.zero_()
            else:
                self.bias.copy_(torch.arange(1, self.heads + 1) / self.heads)

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        """Evaluate the gate on every pair."""
        at_edge = None if self.edge_lin is None else self.edge_lin(edge_attr)
        return self.of_logits([lin(x) for lin in self.node_maps], line_graph, at_edge)

    @property
    def node_maps(self) -> list[Linear]:
        """The linear maps of node features."""
        return [self.node_lin] if self.decay_lin is None else [self.node_lin, self.decay_lin]

    def of_logits(self, at_nodes: Sequence[Tensor], line_graph: LineGraph, at_edge: Tensor | None = None) -> Tensor:
        """Evaluate the gate from what its linear maps give.

        Args:
            at_nodes: Of nodes, by :attr:`node_maps`, ``[N, 3 H]`` and perhaps ``[N, H]``.
            line_graph: The structure.
            at_edge: Of edges, ``[E, 2 H]``.
        """
        graph = line_graph.edge_index, line_graph.pairs
        return pair_transitions(at_nodes, self.bias, *graph, at_edge, self.sharing, decay_at(self.decay))

    @property
    def sharing(self) -> Sharing:
        """How transitions are made of their logits."""
        return "signed" if self.mode == "D" else self.normalization

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return (
            f"mode={self.mode!r}, normalization={self.normalization!r}" if self.mode == "P" else f"mode={self.mode!r}"
        )
