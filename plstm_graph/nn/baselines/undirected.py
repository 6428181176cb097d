"""Message-passing models to compare with, under the same encoders, pooling and head as :class:`PLSTM`.

They take undirected graphs with every edge in both directions, as PyG's data sets have them, where PLSTM takes a DAG.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import models
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import OptTensor

from plstm_graph.nn.components import ComponentReadout
from plstm_graph.nn.encoders import EdgeSpec, FeatureSpec
from plstm_graph.nn.graph_model import GraphModel, Predict
from plstm_graph.nn.norm import NormKind, make_norm
from plstm_graph.nn.parameters import count_parameters


class Baseline(GraphModel):
    """A graph-level model without DAGs; subclasses say what its layers are.

    Args:
        in_channels (int, list[int] or str): Node features, as in :class:`~plstm_graph.nn.PLSTM`.
        hidden_channels (int): Size of node embeddings. (default: ``64``)
        num_layers (int): Number of rounds of message passing. (default: ``4``)
        out_channels (int): Number of targets ``T``. (default: ``1``)
        edge_dim (int, list[int], str or None): Edge features, as in :class:`~plstm_graph.nn.PLSTM`. (default:
            ``"bond"`` if ``in_channels`` is ``"atom"``, else None)
        dropout (float): Dropout after each round. (default: ``0``)
        head_dropout (float, optional): Dropout in the head. (default: ``dropout``)
        pool (str or list[str]): How nodes are pooled, by the names of :mod:`torch_geometric.nn.aggr`; several are
            concatenated. (default: ``"sum"``, the paper's for these models)
        degree (bool): Whether to encode degrees. (default: ``True``)
        norm (str): ``"batch"``, ``"rms"`` or ``"none"``. (default: ``"batch"``)
        jk (str, optional): Jumping knowledge of GCN, GAT and GIN: ``"cat"``, ``"max"``, ``"last"`` or None.
            (default: ``"cat"``)
        readout_channels (int, optional): As in :class:`~plstm_graph.nn.PLSTM`. (default: ``hidden_channels``)
        histogram (list[int]): As in :class:`~plstm_graph.nn.PLSTM`. (default: none)
        descriptors (int): As in :class:`~plstm_graph.nn.PLSTM`, and so are the two that follow. (default: ``0``)
        components (int): Components of each graph. (default: ``1``)
        component_readout (str): ``"concatenated"`` or ``"pooled"``. (default: ``"concatenated"``)

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge features ``[E, D]`` *(optional)*, graph of
          each node ``[N]`` *(optional)*
        - **output:** ``[B, T]``
    """

    def __init__(
        self,
        in_channels: FeatureSpec,
        hidden_channels: int = 64,
        num_layers: int = 4,
        out_channels: int = 1,
        edge_dim: EdgeSpec = "auto",
        dropout: float = 0.0,
        pool: str | Sequence[str] = "sum",
        degree: bool = True,
        norm: NormKind | Literal["none"] = "batch",
        jk: str | None = "cat",
        predict: Predict = "graph",
        head_dropout: float | None = None,
        readout_channels: int | None = None,
        histogram: Sequence[int] = (),
        descriptors: int = 0,
        components: int = 1,
        component_readout: ComponentReadout = "concatenated",
    ) -> None:
        super().__init__(in_channels, hidden_channels, out_channels, edge_dim, degree, histogram=histogram)
        self.num_layers = num_layers
        self.dropout = dropout
        self.norm = norm
        self.jk = jk
        self.layers = self.make_layers()
        self.add_head(
            pool,
            dropout if head_dropout is None else head_dropout,
            predict,
            readout_channels,
            descriptors=descriptors,
            components=components,
            component_readout=component_readout,
        )

    def make_layers(self) -> nn.Module:
        """Layers called as ``layers(nodes, edge_index, edge_attr=edges)``, with ``[N, C]`` in and out."""
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        descriptors: Tensor | None = None,
        component: Tensor | None = None,
    ) -> Tensor:
        """Predict the targets of each graph.

        Args:
            x: Node features, ``[N, F]``.
            edge_index: Edges, each in both directions, ``[2, E]``.
            edge_attr: Edge features, ``[E, D]``, in the order of ``edge_index``.
            batch: Graph of each node, ``[N]``, sorted. (default: all nodes are of one graph)
            batch_size: Number of graphs ``B``.
            descriptors: Standardised descriptors of each graph, ``[B, D]``, if the model was made with such.
            component: Which component of its graph each node is of, ``[N]``, if the model was made with several.
        """
        nodes, edges = self.embed(x, edge_index, edge_attr, both_directions=True)
        nodes = self.layers(nodes, edge_index, edge_attr=edges)
        return self.read_out(nodes, batch, batch_size, edge_index, x, (), descriptors, component)


class _FromPyG(Baseline):
    """One of PyG's own models; without edge features in its convolutions unless it supports them."""

    network: type[models.basic_gnn.BasicGNN]

    def make_layers(self) -> nn.Module:
        channels = self.hidden_channels
        # By its name, GIN puts the batch norm into its inner networks too.
        norm = {"none": None, "batch": "batch_norm"}.get(self.norm, make_norm("rms", channels))
        extra: dict[str, Any] = {}
        if self.network.supports_edge_attr and self.edge_encoder is not None:
            extra["edge_dim"] = channels
        return self.network(channels, channels, self.num_layers, channels, self.dropout, norm=norm, jk=self.jk, **extra)


class GCN(_FromPyG):
    """Graph convolutional network, :class:`torch_geometric.nn.models.GCN`. Arguments as in :class:`Baseline`."""

    network = models.GCN


class GAT(_FromPyG):
    """Graph attention network, :class:`torch_geometric.nn.models.GAT`. Arguments as in :class:`Baseline`."""

    network = models.GAT


class GIN(_FromPyG):
    """Graph isomorphism network, :class:`torch_geometric.nn.models.GIN`. Arguments as in :class:`Baseline`."""

    network = models.GIN


class MPNN(Baseline):
    """Message-passing network: messages from both nodes and the edge, averaged, then a GRU, in each round of its own.

    The network of `"Neural Message Passing for Quantum Chemistry" <https://arxiv.org/abs/1704.01212>`_ with its pair
    messages, which need no edge features. Arguments as in :class:`Baseline`; ``jk`` has no effect.
    """

    def make_layers(self) -> nn.Module:
        """Rounds with a GRU cell each."""
        return _Rounds(self, lambda: nn.GRUCell(self.hidden_channels, self.hidden_channels), shared=False)


class LSTMGNN(Baseline):
    """One LSTM cell that is applied in every round, to the mean message of the neighbours: the paper's "LSTM-GNN".

    Arguments as in :class:`Baseline`; ``jk`` has no effect.
    """

    def make_layers(self) -> nn.Module:
        """Rounds with one LSTM cell for all."""
        return _Rounds(self, lambda: nn.LSTMCell(self.hidden_channels, self.hidden_channels), shared=True)


class _Rounds(nn.Module):
    """Rounds of messages, each followed by a recurrent cell that updates the nodes."""

    def __init__(self, model: Baseline, make_cell: Callable[[], nn.RNNCellBase], shared: bool) -> None:
        super().__init__()
        channels, rounds = model.hidden_channels, model.num_layers
        self.num_layers = rounds
        parts = 1 if shared else rounds
        self.messages = nn.ModuleList(_PairMessage(channels, model.edge_encoder is not None) for _ in range(parts))
        self.cells = nn.ModuleList(make_cell() for _ in range(parts))
        self.norms = nn.ModuleList(
            nn.Identity() if model.norm == "none" else make_norm(model.norm, channels) for _ in range(rounds)
        )
        self.dropout = nn.Dropout(model.dropout)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (*self.messages, *self.cells, *self.norms):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Run all rounds."""
        cell_state = torch.zeros_like(x)
        for number in range(self.num_layers):
            part = number % len(self.cells)
            message = self.messages[part](self.norms[number](x), edge_index, edge_attr)
            cell = self.cells[part]
            if isinstance(cell, nn.LSTMCell):
                x, cell_state = cell(message, (x, cell_state))
            else:
                x = cell(message, x)
            x = self.dropout(x)
        return x


class _PairMessage(MessagePassing):
    """Mean over neighbours of a linear map of both nodes and the edge, rectified."""

    def __init__(self, channels: int, edges: bool) -> None:
        super().__init__(aggr="mean")
        self.lin_end = nn.Linear(channels, channels)
        self.lin_start = nn.Linear(channels, channels, bias=False)
        self.lin_edge = nn.Linear(channels, channels, bias=False) if edges else None

    def reset_parameters(self) -> None:
        for module in (self.lin_end, self.lin_start, self.lin_edge):
            if module is not None:
                module.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor:
        along = None if self.lin_edge is None else self.lin_edge(edge_attr)
        return self.propagate(edge_index, end=self.lin_end(x), start=self.lin_start(x), along=along)

    def message(self, end_i: Tensor, start_j: Tensor, along: OptTensor) -> Tensor:
        total = end_i + start_j
        return (total if along is None else total + along).relu()


def widest(make_model: Callable[[int], nn.Module], limit: int, step: int = 8) -> int:
    """The largest width with which a model has fewer parameters than a limit.

    Args:
        make_model: Makes the model of a width.
        limit: Number of parameters that it must stay below.
        step: The width is a multiple of this.

    Raises:
        ValueError: If even the smallest width has too many.
    """

    def fits(width: int) -> bool:
        return count_parameters(make_model(width)) < limit

    width = 0
    while fits(width + step):
        width += step
    if width == 0:
        raise ValueError(f"no width leaves fewer than {limit:,} parameters; take fewer layers")
    return width
