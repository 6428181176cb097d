"""pLSTM as a message-passing layer."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.dense import Linear

from plstm_graph.graph import LineGraph
from plstm_graph.nn.gates import DirectGate, MarkGate, Mode, Normalization, SourceGate, TransitionGate
from plstm_graph.nn.joined import joined_linear, take_channels
from plstm_graph.nn.node_transition import NodeTransitionGate
from plstm_graph.nn.norm import MultiHeadRMSNorm
from plstm_graph.nn.structure import line_graph_of
from plstm_graph.ops import Form, direct_term, edge_messages, gating_matrix, plstm
from plstm_graph.ops.factorized import edge_messages_factorized, plstm_factorized

Transition = Literal["pair", "node"]


class _Logits(NamedTuple):
    """Of Direct ``[N, H]``; of Source, Mark and Transition, at nodes ``[N, ...]`` and at edges ``[E, ...]`` or None."""

    direct: Tensor
    at_nodes: Sequence[Tensor]
    at_edges: Sequence[Tensor | None]


class PLSTMConv(MessagePassing):
    r"""The pLSTM layer on a directed acyclic graph, from the `"pLSTM: parallelizable Linear Source Transition Mark
    networks" <https://arxiv.org/abs/2506.11997>`_ paper.

    .. math::
        C_f = \sum_{(e,f)} T_{ef}\, C_e + S_f\, k_u v_u^{\top}, \qquad
        y_n = \sum_{e \to n} M_e\, (q_n^{\top} C_e) + D_n\, (q_n \cdot k_n)\, v_n

    followed by a root-mean-square norm of each head and a linear map. One layer carries information along all paths
    of the DAG, however long. Batches are disjoint DAGs, as everywhere in PyG.

    Args:
        in_channels (int): Size of each input sample; -1 takes it from the first call.
        out_channels (int): Size of each output sample.
        heads (int): Number of heads ``H``. (default: ``4``)
        mode (str): ``"P"`` (propagation: what enters a node is divided among its out-edges) or ``"D"`` (distribution:
            it is copied along single paths, on a line graph cut to a multitree). (default: ``"P"``)
        edge_dim (int, optional): Size of edge features; they enter the gates. (default: ``None``)
        head_channels (int, optional): Width of a head, ``K = V``. (default: ``out_channels // heads``)
        normalization (str): As in :class:`~plstm_graph.nn.TransitionGate`. (default: ``"column"``)
        decay (bool): As in :class:`~plstm_graph.nn.TransitionGate`. (default: ``False``)
        bias (bool): Whether the output map has a bias. (default: ``True``)
        form (str): How to evaluate the operator, see :func:`~plstm_graph.plstm`. (default: ``"auto"``)
        transition (str): ``"pair"`` gives every pair of an in-edge and an out-edge a transition of its own
            (:class:`~plstm_graph.nn.TransitionGate`); ``"node"`` shares out at each node the sum of all that arrives
            (:class:`~plstm_graph.nn.NodeTransitionGate`), so that a hub costs its edges, not its pairs. The latter
            needs mode ``"P"`` and normalization ``"column"``. (default: ``"pair"``)
        norm_eps (float): Added to the mean square of each head before its norm. Where a node hears one other node, it
            reads that one's value times a score; a small ``norm_eps`` leaves no more of the score than its sign, which
            has no gradient, while about 1 keeps sizes below 1 apart. (default: ``1e-5``)
        symmetric (bool): Run along the edges and against them with the same weights, and add up what both give after
            their norms; it costs less than two layers. For graphs whose directions were chosen rather than given, such
            as molecules. (default: ``False``)
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
        mode: Mode = "P",
        edge_dim: int | None = None,
        head_channels: int | None = None,
        normalization: Normalization = "column",
        decay: bool = False,
        bias: bool = True,
        form: Form = "auto",
        transition: Transition = "pair",
        norm_eps: float = 1e-5,
        symmetric: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(aggr="sum", node_dim=0, **kwargs)
        if transition not in ("pair", "node"):
            raise ValueError(f"transition must be 'pair' or 'node', got {transition!r}")
        if transition == "node" and (mode, normalization) != ("P", "column"):
            raise ValueError(
                "transition='node' needs mode='P' and normalization='column', "
                f"got mode={mode!r} and normalization={normalization!r}"
            )
        if head_channels is None:
            if out_channels % heads:
                raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
            head_channels = out_channels // heads
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.mode = mode
        self.edge_dim = edge_dim
        self.head_channels = head_channels
        self.form = form
        self.transition = transition
        self.symmetric = symmetric

        self.lin = Linear(in_channels, 3 * heads * head_channels, bias=False, weight_initializer="glorot")
        self.source_gate = SourceGate(in_channels, heads, edge_dim)
        self.transition_gate = (
            TransitionGate(in_channels, heads, edge_dim, mode, normalization, decay)
            if transition == "pair"
            else NodeTransitionGate(in_channels, heads, edge_dim, decay)
        )
        self.mark_gate = MarkGate(in_channels, heads, edge_dim)
        self.direct_gate = DirectGate(in_channels, heads)
        self.norm = MultiHeadRMSNorm(heads, head_channels, norm_eps)
        self.lin_out = Linear(heads * head_channels, out_channels, bias=bias, weight_initializer="glorot")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        super().reset_parameters()
        for module in self.children():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, line_graph: LineGraph | None = None
    ) -> Tensor:
        """Run the layer.

        Args:
            x: Node features, ``[N, in_channels]``.
            edge_index: Start and end node of each edge of a DAG, ``[2, E]``.
            edge_attr: Edge features, ``[E, edge_dim]``, in the order of ``edge_index``.
            line_graph: The DAG's line graph, built once and shared by layers; not reversed and not cut, the layer
                does that itself as its ``flow`` and ``mode`` need. Before it enters compiled code, call its
                ``prepare()``, or ``prepare(through=True)`` for ``transition="node"``.
        """
        graph, edge_attr = self._check(x, edge_index, edge_attr, line_graph)
        logits = self._logits(x, edge_attr)
        take_channels(x, [self.lin])
        # One product each, not one for all: it leaves every operand contiguous.
        query, key, value = (
            F.linear(x, weight).view(-1, self.heads, self.head_channels) for weight in self.lin.weight.chunk(3)
        )
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        out = self.norm(self._read(query, key, value, logits, graph, edge_index))
        if self.symmetric:
            out = out + self.norm(self._read(query, key, value, logits, graph.reverse(), edge_index.flip(0)))
        return self.lin_out(out.flatten(1).to(self.lin_out.weight.dtype))

    def _read(
        self, query: Tensor, key: Tensor, value: Tensor, logits: _Logits, graph: LineGraph, edge_index: Tensor
    ) -> Tensor:
        """What each node reads in one direction, ``[N, H, V]``."""
        source, transition, mark, direct = self._gates(logits, graph)
        # Scores enter with Source or Direct, which are smaller to scale.
        source, direct = (gate * self.head_channels**-0.5 for gate in (source, direct))
        if self._shows_messages():
            carried = (
                edge_messages(query, key, value, source, transition, graph, self.form)
                if isinstance(transition, Tensor)
                else edge_messages_factorized(query, key, value, source, *transition, graph, self.form)
            )
            # propagate_type: (carried: Tensor, mark: Tensor)
            out = self.propagate(edge_index, carried=carried, mark=mark, size=(query.size(0), query.size(0)))
            return out + direct_term(query, key, value, direct)
        if isinstance(transition, Tensor):
            return plstm(query, key, value, source, transition, mark, direct, graph, self.form)
        return plstm_factorized(query, key, value, source, *transition, mark, direct, graph, self.form)

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
            ``[H, N, N]``, see :func:`~plstm_graph.ops.gating_matrix`; of a symmetric layer, the sum of both directions.
        """
        graph, edge_attr = self._check(x, edge_index, edge_attr, line_graph)
        logits = self._logits(x, edge_attr)
        matrix = x.new_zeros(())
        for direction in (graph, graph.reverse()) if self.symmetric else (graph,):
            source, transition, mark, direct = self._gates(logits, direction)
            if not isinstance(transition, Tensor):
                leave, enter = transition
                transition = leave[direction.pairs[0]] * enter[direction.pairs[1]]
            matrix = matrix + gating_matrix(source, transition, mark, direct, direction)
        return matrix

    def message(self, carried: Tensor, mark: Tensor) -> Tensor:
        """What the end node of each edge reads of it, ``[E, H, V]``."""
        return mark.unsqueeze(-1) * carried

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

    def _logits(self, x: Tensor, edge_attr: Tensor | None) -> _Logits:
        """What the linear maps of all gates give; the same for both directions."""
        maps = [self.source_gate.node_lin, self.mark_gate.node_lin, *self.transition_gate.node_maps]
        direct, *at_nodes = joined_linear(x, [self.direct_gate.lin, *maps])
        if edge_attr is None:
            return _Logits(direct, at_nodes, [None] * 3)
        gates = (self.source_gate, self.mark_gate, self.transition_gate)
        return _Logits(direct, at_nodes, joined_linear(edge_attr, [gate.edge_lin for gate in gates]))

    def _gates(
        self, logits: _Logits, graph: LineGraph
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor], Tensor, Tensor]:
        """Source ``[E, H]``, Transition, Mark ``[E, H]`` and Direct ``[N, H]``.

        Transition is one tensor ``[P, H]``, or two, ``[E, H]`` each, if it factorises at the node.
        """
        direct, at_nodes, at_edges = logits
        start, end = graph.edge_index
        source = self.source_gate.of_logits(at_nodes[0], start, at_edges[0])
        mark = self.mark_gate.of_logits(at_nodes[1], end, at_edges[1])
        transition = self.transition_gate.of_logits(at_nodes[2:], graph, at_edges[2])
        if self.explain:
            if self._edge_mask is None:
                raise ValueError(
                    f"{self} is explained by a mask of its edges, which explainers such as GNNExplainer and "
                    "CaptumExplainer set; GraphMaskExplainer replaces single messages, but what an edge carries here "
                    "has also come through others. clear_masks(model) ends the explanation that was begun"
                )
            # An edge that is masked out brings nothing along either: neither its own source nor what passes through.
            mask = self._edge_mask.sigmoid() if self._apply_sigmoid else self._edge_mask
            source = source * mask.unsqueeze(-1)
            if isinstance(transition, Tensor):
                transition = transition * mask[graph.pairs[1]].unsqueeze(-1)
            else:
                transition = (transition[0], transition[1] * mask.unsqueeze(-1))
        return source, transition, mark, direct.sigmoid()

    def _check(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None, line_graph: LineGraph | None
    ) -> tuple[LineGraph, Tensor | None]:
        """The line graph as this layer's mode and flow need it, and edge features of the right shape."""
        edge_attr = self._check_edge_attr(edge_attr, edge_index)
        if isinstance(x, Tensor) and x.dim() != 2:
            raise ValueError(f"x must be [N, F], got {list(x.shape)}")
        graph = line_graph_of(x, edge_index, line_graph)
        if self.mode == "D":
            graph = graph.to_multitree()
        return (graph.reverse() if self.flow == "target_to_source" else graph), edge_attr

    def _check_edge_attr(self, edge_attr: Tensor | None, edge_index: Tensor) -> Tensor | None:
        if (edge_attr is None) != (self.edge_dim is None):
            raise ValueError(
                f"this layer was made with edge_dim={self.edge_dim}, so it needs edge_attr"
                if edge_attr is None
                else "this layer was made without edge_dim, so it cannot use edge_attr"
            )
        if edge_attr is None:
            return None
        if edge_attr.size(0) != edge_index.size(1):
            raise ValueError(f"edge_attr has {edge_attr.size(0)} rows, but edge_index has {edge_index.size(1)} edges")
        edge_attr = edge_attr.unsqueeze(-1) if edge_attr.dim() == 1 else edge_attr
        if edge_attr.size(1) != self.edge_dim:
            raise ValueError(
                f"edge_attr has {edge_attr.size(1)} features, but this layer was made with edge_dim={self.edge_dim}"
            )
        return edge_attr

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads}, mode={self.mode!r})"
