"""All gates of P- and D-mode together: one matrix product for nodes and one for edges."""

import math
from typing import Literal, NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear

from plstm_graph.graph import LineGraph
from plstm_graph.nn.fused_linear import joined_linear, joined_weight, split_where_any
from plstm_graph.nn.gates import (
    Decay,
    DirectGate,
    MarkGate,
    Mode,
    Normalization,
    SourceGate,
    TransitionGate,
    decay_at,
)
from plstm_graph.nn.matrix_transition import MatrixOptions, MatrixTransitionGate
from plstm_graph.nn.node_transition import NodeTransitionGate
from plstm_graph.ops.dag.gates_native import gates_native, has_native_gates

Transition = Literal["pair", "node", "matrix"]
Source = Literal["edge", "shared", "tied"]


class Logits(NamedTuple):
    """What the linear maps of all gates give at nodes, ``[N, ...]``, and at edges, ``[E, ...]`` or None.

    One behind the other: of Direct, Source, Mark and Transition at nodes, and of the last three at edges; Direct and
    Mark have none where both are tied to what a node passes on.
    """

    at_nodes: Tensor
    at_edges: Tensor | None


class SumTerms(NamedTuple):
    """Source ``[E, H]``, Transition, Mark ``[E, H]`` and Direct ``[N, H]``.

    Transition is one tensor ``[P, H]``, or two, ``[E, H]`` each, if it factorises at the node. Where it is a matrix,
    ``[P, H, J, J]``, Source and Mark are ``[E, H, J]``.
    """

    source: Tensor
    transition: Tensor | tuple[Tensor, Tensor]
    mark: Tensor
    direct: Tensor


class SumGates(nn.Module):
    """Source, Transition, Mark and Direct of P- or D-mode, for all heads.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.
        edge_dim (int, optional): Size of edge features.
        mode (str): ``"P"`` or ``"D"``.
        normalization (str): As in :class:`~plstm_graph.nn.TransitionGate`.
        decay (bool or str): As in :class:`~plstm_graph.nn.TransitionGate`.
        transition (str): ``"pair"``, ``"node"`` or ``"matrix"``, as in :class:`~plstm_graph.nn.PLSTMConv`.
        matrix (MatrixOptions, optional): What matrices there are, if transitions are some.
        source (str): ``"edge"``, ``"shared"`` or ``"tied"``, as in :class:`~plstm_graph.nn.PLSTMConv`.

    Raises:
        ValueError: If there is no such transition, or it does not go with the mode, or the source not with it.
    """

    def __init__(
        self,
        in_channels: int,
        heads: int,
        edge_dim: int | None,
        mode: Mode,
        normalization: Normalization,
        decay: Decay,
        transition: Transition,
        matrix: MatrixOptions | None = None,
        source: Source = "edge",
    ) -> None:
        super().__init__()
        matrix = matrix or MatrixOptions()
        if transition == "matrix" and (normalization != "column" or decay):
            raise ValueError(
                "transition='matrix' needs normalization='column' and no decay, "
                f"got normalization={normalization!r} and decay={decay!r}"
            )
        if transition == "node" and (mode, normalization) != ("P", "column"):
            raise ValueError(
                "transition='node' needs mode='P' and normalization='column', "
                f"got mode={mode!r} and normalization={normalization!r}"
            )
        if source != "edge" and transition != "node":
            raise ValueError(
                f"source={source!r} divides what a node adds as it divides what arrives there, which needs "
                f"transition='node', got {transition!r}"
            )
        self.transition: TransitionGate | NodeTransitionGate | MatrixTransitionGate
        if transition == "pair":
            self.transition = TransitionGate(in_channels, heads, edge_dim, mode, normalization, decay)
        elif transition == "node":
            self.transition = NodeTransitionGate(in_channels, heads, edge_dim, decay)
        else:
            self.transition = MatrixTransitionGate(in_channels, heads, edge_dim, mode, *matrix)
        #: Shape of Source and Mark of an edge.
        self.rows = (heads, matrix.size) if transition == "matrix" else (heads,)
        self.shared, tied = source != "edge", source == "tied"
        self.source = SourceGate(in_channels, math.prod(self.rows), None if self.shared else edge_dim)
        self.mark = None if tied else MarkGate(in_channels, math.prod(self.rows), edge_dim)
        self.direct = None if tied else DirectGate(in_channels, heads)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for gate in (self.source, self.transition, self.mark, self.direct):
            if gate is not None:
                gate.reset_parameters()

    @property
    def _node_maps(self) -> list[Linear | None]:
        """Of Direct, Source, Mark and Transition."""
        own = (None, None) if self.mark is None or self.direct is None else (self.direct.lin, self.mark.node_lin)
        return [own[0], self.source.node_lin, own[1], *self.transition.node_maps]

    @property
    def _edge_maps(self) -> list[Linear | None]:
        """Of Source, Mark and Transition."""
        return [None if gate is None else gate.edge_lin for gate in (self.source, self.mark, self.transition)]

    def logits(self, x: Tensor, edge_attr: Tensor | None) -> Logits:
        """What the linear maps give; the same for both directions.

        Args:
            x: ``[N, in_channels]``
            edge_attr: ``[E, edge_dim]``
        """
        return Logits(F.linear(x, *self.map_of_nodes(x)), self.at_edges(edge_attr))

    def map_of_nodes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one linear map that gives the logits of nodes ``[N, in_channels]``."""
        return joined_weight(x, [lin for lin in self._node_maps if lin is not None])

    def at_edges(self, edge_attr: Tensor | None) -> Tensor | None:
        """Logits of edges of features ``[E, edge_dim]``."""
        maps = [lin for lin in self._edge_maps if lin is not None]
        return joined_linear(edge_attr, maps) if edge_attr is not None and maps else None

    def of_logits(
        self, logits: Logits, line_graph: LineGraph, edge_mask: Tensor | None = None, key_width: int = 1
    ) -> SumTerms:
        r"""The gates of a direction.

        Args:
            logits: As from :meth:`logits`.
            line_graph: The structure.
            edge_mask: How much of each edge counts, ``[E]`` in [0, 1]. An edge that is masked out brings nothing along:
                neither its own source nor what passes through.
            key_width: ``K`` of the scores, which enter with Source or Direct: both are multiplied by
                :math:`1 / \sqrt{K}`.
        """
        gate, given = self.transition, [tensor for tensor in logits if tensor is not None]
        if isinstance(gate, TransitionGate) and edge_mask is None and has_native_gates([*given, gate.bias]):
            structure = line_graph.edge_index, line_graph.pairs
            how = gate.sharing, decay_at(gate.decay)
            return SumTerms(*gates_native(*logits, gate.bias, *structure, *how, key_width))
        source, transition, mark, direct = self._of_single_logits(logits, line_graph)
        if edge_mask is not None:
            source = source * edge_mask.view(-1, *[1] * len(self.rows))
            if isinstance(transition, Tensor):
                transition = transition * edge_mask[line_graph.pairs[1]].view(-1, *[1] * (transition.dim() - 1))
            else:
                transition = (transition[0], transition[1] * edge_mask.unsqueeze(-1))
        if key_width != 1:
            # Scores enter with these two, which are smaller to scale than queries and keys.
            source, direct = source * key_width**-0.5, direct * key_width**-0.5
        return SumTerms(source, transition, mark, direct)

    def _of_single_logits(self, logits: Logits, line_graph: LineGraph) -> SumTerms:
        """Each gate by itself."""
        start, end = line_graph.edge_index
        of_direct, of_source, of_mark, *passed = split_where_any(logits.at_nodes, self._node_maps)
        at_source, at_mark, at_transition = split_where_any(logits.at_edges, self._edge_maps)
        transition = self.transition.of_logits(cast(list[Tensor], passed), line_graph, at_transition)
        own = cast(Tensor, of_source)
        source = self.source.of_logits(own, start, at_source).unflatten(1, self.rows)
        if self.shared:
            source = source * transition[1]
        if self.mark is None or of_mark is None or of_direct is None:
            # A node reads what it passes on: all that leaves its in-edges, and all that it adds.
            return SumTerms(source, transition, transition[0], own.sigmoid())
        mark = self.mark.of_logits(of_mark, end, at_mark).unflatten(1, self.rows)
        return SumTerms(source, transition, mark, of_direct.sigmoid())
