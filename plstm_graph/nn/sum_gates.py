"""All gates of P- and D-mode together: one matrix product for nodes and one for edges."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from torch import Tensor, nn

from plstm_graph.graph import LineGraph
from plstm_graph.nn.fused_linear import fused_where_any
from plstm_graph.nn.gates import Decay, DirectGate, MarkGate, Mode, Normalization, SourceGate, TransitionGate
from plstm_graph.nn.matrix_transition import MatrixOptions, MatrixTransitionGate
from plstm_graph.nn.node_transition import NodeTransitionGate

Transition = Literal["pair", "node", "matrix"]
Source = Literal["edge", "shared", "tied"]


class Logits(NamedTuple):
    """Of Direct, Source, Mark and Transition at nodes ``[N, ...]``; of the last three at edges ``[E, ...]`` or None.

    Direct and Mark are None where both are tied to what a node passes on.
    """

    direct: Tensor | None
    source: Tensor
    mark: Tensor | None
    transition: Sequence[Tensor]
    at_edges: Sequence[Tensor | None]


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

    def logits(self, x: Tensor, edge_attr: Tensor | None) -> Logits:
        """What the linear maps give; the same for both directions.

        Args:
            x: ``[N, in_channels]``
            edge_attr: ``[E, edge_dim]``
        """
        own = (None, None) if self.mark is None or self.direct is None else (self.direct.lin, self.mark.node_lin)
        direct, source, mark, *passed = fused_where_any(
            x, [own[0], self.source.node_lin, own[1], *self.transition.node_maps]
        )
        of_edges = [None if gate is None else gate.edge_lin for gate in (self.source, self.mark, self.transition)]
        at_edges = fused_where_any(edge_attr, of_edges)
        return Logits(direct, cast(Tensor, source), mark, cast(list[Tensor], passed), at_edges)

    def of_logits(self, logits: Logits, line_graph: LineGraph, edge_mask: Tensor | None = None) -> SumTerms:
        """The gates of a direction.

        Args:
            logits: As from :meth:`logits`.
            line_graph: The structure.
            edge_mask: How much of each edge counts, ``[E]`` in [0, 1]. An edge that is masked out brings nothing along:
                neither its own source nor what passes through.
        """
        start, end = line_graph.edge_index
        at_source, at_mark, at_transition = logits.at_edges
        transition = self.transition.of_logits(logits.transition, line_graph, at_transition)
        source = self.source.of_logits(logits.source, start, at_source).unflatten(1, self.rows)
        if self.shared:
            source = source * transition[1]
        if self.mark is None or logits.mark is None or logits.direct is None:
            # A node reads what it passes on: all that leaves its in-edges, and all that it adds.
            mark, direct = transition[0], logits.source.sigmoid()
        else:
            mark = self.mark.of_logits(logits.mark, end, at_mark).unflatten(1, self.rows)
            direct = logits.direct.sigmoid()
        if edge_mask is not None:
            source = source * edge_mask.view(-1, *[1] * len(self.rows))
            if isinstance(transition, Tensor):
                transition = transition * edge_mask[line_graph.pairs[1]].view(-1, *[1] * (transition.dim() - 1))
            else:
                transition = (transition[0], transition[1] * edge_mask.unsqueeze(-1))
        return SumTerms(source, transition, mark, direct)
