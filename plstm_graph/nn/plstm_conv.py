"""pLSTM as a message-passing layer."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.dense import Linear

from plstm_graph.graph import LineGraph
from plstm_graph.nn.fused_linear import take_channels
from plstm_graph.nn.gates import Decay, Normalization, check_decay
from plstm_graph.nn.head_norm import HeadNorm, as_heads, make_head_norm, projected_channels, projected_parts
from plstm_graph.nn.matrix_transition import MatrixKind, MatrixOptions
from plstm_graph.nn.max_plus_gates import MaxPlusGates, MaxPlusTerms, form_of_maxima
from plstm_graph.nn.neighbours import NeighbourKind, make_neighbour_input
from plstm_graph.nn.separate_linear import separate_linear
from plstm_graph.nn.structure import check_edge_attr, check_graph, line_graph_of
from plstm_graph.nn.sum_gates import Logits, Source, SumGates, SumTerms, Transition
from plstm_graph.ops import (
    Form,
    MaxPlusForm,
    direct_term,
    edge_messages,
    gating_matrix,
    plstm,
    plstm_matrix,
    plstm_max_plus,
    plstm_max_plus_factorized,
)
from plstm_graph.ops.dag.factorized import edge_messages_factorized, plstm_factorized
from plstm_graph.ops.dag.matrix import edge_reads, gating_matrix_of_matrices
from plstm_graph.ops.shapes import wide_dtype

LayerMode = Literal["P", "D", "M"]


class PLSTMConv(MessagePassing):
    r"""The pLSTM layer on a directed acyclic graph, from the `"pLSTM: parallelizable Linear Source Transition Mark
    networks" <https://arxiv.org/abs/2506.11997>`_ paper.

    .. math::
        C_f = \sum_{(e,f)} T_{ef}\, C_e + S_f\, k_u v_u^{\top}, \qquad
        y_n = \sum_{e \to n} M_e\, (q_n^{\top} C_e) + D_n\, (q_n \cdot k_n)\, v_n

    followed by a norm of each head and a linear map. One layer carries information along all paths of the DAG, however
    long. Batches are disjoint DAGs, as everywhere in PyG.

    In M-mode maxima stand in place of sums, and sums in place of products, channel by channel:

    .. math::
        m_f = \max\bigl(s_f,\; \max_{(e,f)} m_e + t_{ef}\bigr), \qquad
        y_n = \max\bigl(d_n,\; \max_{e \to n} m_e + r_e\bigr)

    It is for what is longest, latest or cheapest along the ways to a node, see :func:`~plstm_graph.ops.plstm_max_plus`.

    Args:
        in_channels (int): Size of each input sample; -1 takes it from the first call.
        out_channels (int): Size of each output sample.
        heads (int): Number of heads ``H``. (default: ``4``)
        mode (str): ``"P"`` (propagation: what enters a node is divided among its out-edges), ``"D"`` (distribution:
            it is copied along single paths, on a line graph cut to a multitree) or ``"M"`` (maxima over all paths;
            ``normalization`` and ``decay`` mean nothing to it). (default: ``"P"``)
        edge_dim (int, optional): Size of edge features; they enter the gates. (default: ``None``)
        head_channels (int, optional): Width of a head, ``K = V``. (default: ``out_channels // heads``; half of it in
            M-mode, whose terms take twice as many weights for each channel)
        normalization (str): As in :class:`~plstm_graph.nn.TransitionGate`. (default: ``"column"``)
        decay (bool or str): As in :class:`~plstm_graph.nn.TransitionGate`. (default: ``False``)
        bias (bool): Whether the output map has a bias. (default: ``True``)
        form (str): How to evaluate the operator, see :func:`~plstm_graph.plstm`; M-mode has the forms of
            :func:`~plstm_graph.ops.plstm_max_plus`, and takes ``"auto"`` in place of others. (default: ``"auto"``)
        transition (str): ``"pair"`` gives every pair of an in-edge and an out-edge a transition of its own
            (:class:`~plstm_graph.nn.TransitionGate`); ``"node"`` shares out at each node the sum of all that arrives
            (:class:`~plstm_graph.nn.NodeTransitionGate`), so that a hub costs its edges, not its pairs. It
            needs mode ``"P"`` and normalization ``"column"``, or mode ``"M"``, where both give the same numbers and
            differ in cost alone. ``"matrix"``, which means nothing to mode ``"M"``, turns states from edge to edge by a
            matrix for every pair (:class:`~plstm_graph.nn.MatrixTransitionGate`), so that the order of what lies on a
            path counts; the operator is then :func:`~plstm_graph.ops.plstm_matrix`. (default: ``"pair"``)
        head_norm (str): The norm of what each head reads. ``"rms"`` brings it to size one; ``"log"`` keeps its size on
            a logarithmic scale, for targets that depend on how much arrives; ``"ratio"`` spends one value channel of
            each head on a normaliser. See :mod:`~plstm_graph.nn.head_norm`; M-mode takes ``"log"`` in place of
            ``"ratio"``. (default: ``"rms"``)
        source (str): ``"edge"`` lets a gate of its own decide how much of a node's input enters each out-edge.
            ``"shared"`` divides the input among the out-edges in the same shares as what arrives at the node, so that
            in P-mode nothing is made or lost where an amount sets out: for water, money, probability. ``"tied"`` does
            the same, and has no Mark and Direct of its own: a node reads exactly what it passes on, all that leaves its
            in-edges and all that it adds. Then amounts cannot be scaled up at one place and down at another, which
            short graphs do not tell from losses on the way, and deep ones do. Both need ``transition="node"``, and mean
            nothing to mode ``"M"``. (default: ``"edge"``)
        scores (bool): Whether the queries of who reads and the keys of who is read weigh what is read. Without them
            (:math:`q = k = 1`) a head carries ``head_channels`` numbers in place of a matrix, and what a node adds does
            not depend on who reads it: for amounts. It means nothing to mode ``"M"``. (default: ``True``)
        norm_eps (float, optional): Of that norm. With ``"rms"`` it is added to the mean square: where a node hears one
            other node, it reads that one's value times a score; a small ``norm_eps`` leaves no more of the score than
            its sign, which has no gradient, while about 1 keeps sizes below 1 apart. (default: ``1e-5``, and ``0.1``
            for ``"ratio"``)
        share_weights (bool): Run along the edges and against them with the same weights, and add up what both give
            after their norms; it costs less than two layers. For graphs whose directions were chosen rather than given,
            such as molecules. (default: ``False``)
        neighbours (bool or str): Make queries, keys, values and gates not from single nodes but from each node with
            those right before and behind it, whatever ``flow`` is: True by
            :class:`~plstm_graph.nn.NeighbourInput`, ``"channel"`` channel by channel, which costs next to
            nothing. (default: ``False``)
        output_gate (bool): Multiply what the heads read, after their norm, by :math:`\mathrm{SiLU}(W x)`.
            (default: ``False``)
        matrix_size (int): Rows of a matrix, for ``transition="matrix"`` as are those that follow. (default: ``2``)
        matrix_kind (str): ``"householder"`` or ``"signed"``, see :class:`~plstm_graph.nn.MatrixTransitionGate`.
            (default: ``"householder"``)
        reflections (int): Factors of a ``"householder"`` product. (default: ``1``)
        **kwargs: Of :class:`torch_geometric.nn.conv.MessagePassing`; ``flow="target_to_source"`` runs against the
            edges, from sinks to sources.

    Shapes:
        - **input:** node features ``[N, in_channels]``, edge indices ``[2, E]`` of a DAG, edge features
          ``[E, edge_dim]`` *(optional)*, line graph *(optional, saves rebuilding it)*
        - **output:** node features ``[N, out_channels]``

    Raises:
        CycleError: If the graph has a directed cycle.
        ValueError: If shapes do not fit, or edge features are missing or not expected.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 4,
        mode: LayerMode = "P",
        edge_dim: int | None = None,
        head_channels: int | None = None,
        normalization: Normalization = "column",
        decay: Decay = False,
        bias: bool = True,
        form: Form = "auto",
        transition: Transition = "pair",
        norm_eps: float | None = None,
        share_weights: bool = False,
        head_norm: HeadNorm = "rms",
        neighbours: NeighbourKind = False,
        output_gate: bool = False,
        matrix_size: int = 2,
        matrix_kind: MatrixKind = "householder",
        reflections: int = 1,
        source: Source = "edge",
        scores: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(aggr="sum", node_dim=0, **kwargs)
        if mode not in get_args(LayerMode):
            raise ValueError(f"mode must be 'P', 'D' or 'M', got {mode!r}; PLSTM(modes='PM') has layers of several")
        if transition not in get_args(Transition):
            raise ValueError(f"transition must be 'pair', 'node' or 'matrix', got {transition!r}")
        # Also where they mean nothing: a word that is misspelt should not wait for the day when they do.
        if normalization not in get_args(Normalization):
            raise ValueError(f"normalization must be 'column' or 'row', got {normalization!r}")
        check_decay(decay)
        if source not in get_args(Source):
            raise ValueError(f"source must be 'edge', 'shared' or 'tied', got {source!r}")
        if matrix_kind not in get_args(MatrixKind):
            raise ValueError(f"matrix_kind must be 'householder' or 'signed', got {matrix_kind!r}")
        if min(heads, 1 if head_channels is None else head_channels) < 1:
            raise ValueError(f"heads and head_channels must be at least 1, got {heads} and {head_channels}")
        if head_channels is None:
            if out_channels % heads:
                raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
            head_channels = out_channels // heads
            head_channels = max(head_channels // 2, 1) if mode == "M" else head_channels
        width = heads * head_channels
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.mode = mode
        self.edge_dim = edge_dim
        self.head_channels = head_channels
        self.form = form
        self.transition = transition
        self.share_weights = share_weights
        self.scores = scores

        # What enters the maps behind it.
        self.neighbours = make_neighbour_input(neighbours, in_channels, width, share_weights)
        inputs = in_channels if self.neighbours is None else self.neighbours.out_channels
        if mode == "M":
            self.gates: SumGates | MaxPlusGates = MaxPlusGates(inputs, width, edge_dim)
            head_norm = "log" if head_norm == "ratio" else head_norm
        else:
            matrix = MatrixOptions(matrix_size, matrix_kind, reflections)
            self.gates = SumGates(inputs, heads, edge_dim, mode, normalization, decay, transition, matrix, source)
            rows = projected_channels(head_norm, heads, head_channels, scores)
            self.lin = Linear(inputs, rows, bias=False, weight_initializer="glorot")
        self.norm = make_head_norm(head_norm, heads, head_channels, norm_eps)
        self.output_gate = Linear(inputs, width, bias=False, weight_initializer="glorot") if output_gate else None
        self.lin_out = Linear(width, out_channels, bias=bias, weight_initializer="glorot")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        super().reset_parameters()
        for module in self.children():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        line_graph: LineGraph | None = None,
        sizes: list[Tensor] | None = None,
    ) -> Tensor:
        """Run the layer.

        Args:
            x: Node features, ``[N, in_channels]``.
            edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
            edge_attr: Edge features, ``[E, edge_dim]``, in the order of ``edge_index``.
            line_graph: The DAG's line graph, built once and shared by layers; not reversed and not cut, the layer
                does that itself as its ``flow`` and ``mode`` need. Before it enters compiled code, call its
                ``prepare()``, or ``prepare(split_nodes=True)`` for ``transition="node"``.
            sizes: What the heads read before their norm, ``[N, H * V]``, is appended to this list; with
                ``share_weights``, the sum of both directions. In M-mode these are the maxima themselves.
        """
        graph, edge_attr = self._check(x, edge_index, edge_attr, line_graph)
        if self.neighbours is not None:
            x = self.neighbours(x, graph.edge_index, self.explaining_mask())
        directions = (graph, graph.reverse()) if self.share_weights else (graph,)
        if isinstance(self.gates, MaxPlusGates):
            read = self._maxima(self.gates, x, edge_attr, directions)
        else:
            read = self._sums(self.gates, x, edge_attr, directions)
        if sizes is not None:
            sizes.append(reduce(torch.add, read).flatten(1))
        out = reduce(torch.add, map(self.norm, read)).flatten(1).to(self.lin_out.weight.dtype)
        return self.lin_out(out if self.output_gate is None else out * F.silu(self.output_gate(x)))

    def _maxima(
        self, gates: MaxPlusGates, x: Tensor, edge_attr: Tensor | None, directions: Sequence[LineGraph]
    ) -> list[Tensor]:
        """What each node reads in each direction, ``[N, H, V]``, in M-mode."""
        if self._shows_messages() and not self.explain:
            raise ValueError("mode 'M' takes a maximum within the operator: it has no messages that hooks could see")
        logits, edge_mask = gates.logits(x, edge_attr), self.explaining_mask()
        read = [self.maxima_of(gates.of_logits(*logits, graph, edge_mask), graph) for graph in directions]
        return [each.unflatten(1, (self.heads, self.head_channels)) for each in read]

    def maxima_of(self, terms: MaxPlusTerms, graph: LineGraph) -> Tensor:
        """The operator of M-mode on the terms of its gates, ``[N, C]`` for ``C`` channels of all heads."""
        source, out_gate, in_gate, mark, direct = terms
        form: MaxPlusForm = form_of_maxima(self.form, MaxPlusForm, Form)
        if self.transition == "node":
            return plstm_max_plus_factorized(source, out_gate, in_gate, mark, direct, graph, form=form)
        pair_from, pair_to = graph.pairs
        transition = out_gate.index_select(0, pair_from) + in_gate.index_select(0, pair_to)
        return plstm_max_plus(source, transition, mark, direct, graph, form=form)

    def _sums(
        self, gates: SumGates, x: Tensor, edge_attr: Tensor | None, directions: Sequence[LineGraph]
    ) -> list[Tensor]:
        """What each node reads in each direction, ``[N, H, V]``, in P- and D-mode."""
        take_channels(x, [self.lin])
        of_gates, bias = gates.map_of_nodes(x)
        parts = projected_parts(self.lin.weight, self.norm, self.scores)
        *projected, at_nodes = separate_linear(x, [self.lin.weight, of_gates], parts, bias)
        query, key, value = as_heads(projected, self.norm)
        logits, edge_mask = Logits(at_nodes, gates.at_edges(edge_attr)), self.explaining_mask()
        value = value.to(wide_dtype(value))
        terms = [gates.of_logits(logits, graph, edge_mask, query.size(-1)) for graph in directions]
        return [self._sum(query, key, value, *each) for each in zip(terms, directions, strict=True)]

    def _sum(self, query: Tensor, key: Tensor, value: Tensor, gates: SumTerms, graph: LineGraph) -> Tensor:
        """What each node reads in one direction, ``[N, H, V]``."""
        source, transition, mark, direct = gates
        if self._shows_messages():
            if not isinstance(transition, Tensor):
                carried = edge_messages_factorized(query, key, value, source, *transition, graph, self.form)
            elif transition.dim() == 4:
                carried = edge_reads(query, key, value, source, transition, graph, self.form)
            else:
                carried = edge_messages(query, key, value, source, transition, graph, self.form)
            # The graph is turned around already where the flow is against the edges.
            edge_index = graph.edge_index if self.flow == "source_to_target" else graph.edge_index.flip(0)
            # propagate_type: (carried: Tensor, mark: Tensor)
            out = self.propagate(edge_index, carried=carried, mark=mark, size=(query.size(0), query.size(0)))
            return out + direct_term(query, key, value, direct)
        if not isinstance(transition, Tensor):
            return plstm_factorized(query, key, value, source, *transition, mark, direct, graph, self.form)
        if transition.dim() == 4:
            return plstm_matrix(query, key, value, source, transition, mark, direct, graph, self.form)
        return plstm(query, key, value, source, transition, mark, direct, graph, self.form)

    def gating_matrix(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, line_graph: LineGraph | None = None
    ) -> Tensor:
        """How strongly each node reads of each other node, before queries and keys have their say.

        Args:
            x: As in :meth:`forward`, and so are the others.
            edge_index: ``[2, E]``
            edge_attr: ``[E, edge_dim]``
            line_graph: The DAG's line graph.

        Returns:
            ``[H, N, N]``, see :func:`~plstm_graph.ops.gating_matrix`; with ``share_weights``, the sum of both
            directions.

        Raises:
            ValueError: In M-mode, which has no such matrix: what a node reads is a maximum over paths.
        """
        if not isinstance(self.gates, SumGates):
            raise ValueError("mode 'M' has no gating matrix: what a node reads is a maximum over paths, not a sum")
        graph, edge_attr = self._check(x, edge_index, edge_attr, line_graph)
        if self.neighbours is not None:
            x = self.neighbours(x, graph.edge_index, self.explaining_mask())
        logits = self.gates.logits(x, edge_attr)
        matrix = x.new_zeros(())
        for direction in (graph, graph.reverse()) if self.share_weights else (graph,):
            source, transition, mark, direct = self.gates.of_logits(logits, direction, self.explaining_mask())
            if not isinstance(transition, Tensor):
                out_gate, in_gate = transition
                transition = out_gate[direction.pairs[0]] * in_gate[direction.pairs[1]]
            of_direction = gating_matrix_of_matrices if transition.dim() == 4 else gating_matrix
            matrix = matrix + of_direction(source, transition, mark, direct, direction)
        return matrix

    def message(self, carried: Tensor, mark: Tensor) -> Tensor:
        """What the end node of each edge reads of it, ``[E, H, V]``; of matrices, of all rows ``[E, H, J, V]``."""
        marked = mark.unsqueeze(-1) * carried
        return marked.sum(dim=2) if marked.dim() == 4 else marked

    def _shows_messages(self) -> bool:
        """Whether anyone looks at single messages: an explainer, a hook, or a method that a subclass has replaced.

        If not, the operator sums them up inside, which is faster.
        """
        hooks = (
            *(self._propagate_forward_pre_hooks, self._propagate_forward_hooks),
            *(self._message_forward_pre_hooks, self._message_forward_hooks),
            *(self._aggregate_forward_pre_hooks, self._aggregate_forward_hooks),
        )
        methods = ("message", "aggregate", "update", "propagate")
        replaced = (getattr(type(self), name) is not getattr(PLSTMConv, name) for name in methods)
        return bool(self.explain) or any(hooks) or any(replaced)

    def explaining_mask(self) -> Tensor | None:
        """How much of each edge counts for an explainer, ``[E]``; None where none is at work."""
        if not self.explain:
            return None
        if self._edge_mask is None:
            raise ValueError(
                f"{self} is explained by a mask of its edges, which explainers such as GNNExplainer and "
                "CaptumExplainer set; GraphMaskExplainer replaces single messages, but what an edge carries here "
                "has also come through others. clear_masks(model) ends the explanation that was begun"
            )
        return self._edge_mask.sigmoid() if self._apply_sigmoid else self._edge_mask

    def _check(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, line_graph: LineGraph | None
    ) -> tuple[LineGraph, Tensor | None]:
        """The line graph as this layer's mode and flow need it, and edge features of the right shape."""
        check_graph(x, edge_index)
        edge_attr = check_edge_attr(edge_attr, edge_index, self.edge_dim)
        if x.dim() != 2:
            raise ValueError(f"x must be [N, F], got {list(x.shape)}")
        graph = line_graph_of(x, edge_index, line_graph)
        if self.mode == "D":
            graph = graph.to_multitree()
        return (graph.reverse() if self.flow == "target_to_source" else graph), edge_attr

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads}, mode={self.mode!r})"
