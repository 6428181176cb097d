"""The networks that OGB's own molecule example trains: GIN and GCN with bond features, with or without virtual node."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GINEConv, MessagePassing, global_add_pool
from torch_geometric.nn.aggr import MultiAggregation
from torch_geometric.utils import degree

from plstm_graph.nn.encoders import FeatureSpec, feature_encoder


class OGBGNN(nn.Module):
    """A message-passing network of the shape and size of OGB's example for molecules, to compare with.

    Each layer has an encoder of bonds of its own, batch norm and dropout. A virtual node is joined to all atoms of its
    graph: before each layer atoms receive its state, after it the state is updated from their sum.

    Args:
        in_channels (int, list[int] or str): Node features, see :class:`~plstm_graph.nn.PLSTM`.
        hidden_channels (int): Size of node embeddings. (default: ``300``)
        num_layers (int): Number of layers. (default: ``5``)
        out_channels (int): Number of targets. (default: ``1``)
        edge_dim (int, list[int] or str): Edge features. (default: ``"bond"``)
        conv (str): ``"gin"`` or ``"gcn"``. (default: ``"gin"``)
        virtual_node (bool): Whether there is a virtual node. (default: ``False``)
        dropout (float): Dropout after each layer. (default: ``0.5``)
        pool (str): How nodes are pooled. (default: ``"mean"``)

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]`` with each bond in both directions, edge features
          ``[E, D]``, graph of each node ``[N]``
        - **output:** ``[B, out_channels]``
    """

    def __init__(
        self,
        in_channels: FeatureSpec,
        hidden_channels: int = 300,
        num_layers: int = 5,
        out_channels: int = 1,
        edge_dim: FeatureSpec = "bond",
        conv: Literal["gin", "gcn"] = "gin",
        virtual_node: bool = False,
        dropout: float = 0.5,
        pool: str = "mean",
    ) -> None:
        super().__init__()
        if conv not in ("gin", "gcn"):
            raise ValueError(f"conv must be 'gin' or 'gcn', got {conv!r}")
        channels = hidden_channels
        self.dropout = dropout
        self.node_encoder = feature_encoder(in_channels, channels)
        self.edge_encoders = nn.ModuleList(feature_encoder(edge_dim, channels) for _ in range(num_layers))
        self.convs = nn.ModuleList(
            GINEConv(_mlp(channels), train_eps=True) if conv == "gin" else _BondGCNConv(channels)
            for _ in range(num_layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(num_layers))
        self.virtual_start = nn.Embedding(1, channels) if virtual_node else None
        self.virtual_updates = nn.ModuleList(
            nn.Sequential(_mlp(channels), nn.BatchNorm1d(channels), nn.ReLU())
            for _ in range(num_layers - 1 if virtual_node else 0)
        )
        if self.virtual_start is not None:
            nn.init.zeros_(self.virtual_start.weight)
        self.pool = MultiAggregation([pool])
        self.head = nn.Linear(channels, out_channels)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, batch_size: int | None = None
    ) -> Tensor:
        """Predict the targets of each graph.

        Args:
            x: Node features, ``[N, F]``.
            edge_index: ``[2, E]``, each bond in both directions.
            edge_attr: Edge features, ``[E, D]``.
            batch: Graph of each node, ``[N]``, sorted.
            batch_size: Number of graphs ``B``.
        """
        size = int(batch[-1]) + 1 if batch_size is None else batch_size
        nodes = self.node_encoder(x)
        virtual = None if self.virtual_start is None else self.virtual_start.weight.expand(size, -1)
        last = len(self.convs) - 1
        for number, (conv, norm, encode) in enumerate(zip(self.convs, self.norms, self.edge_encoders, strict=True)):
            if virtual is not None:
                nodes = nodes + virtual[batch]
            hidden = norm(conv(nodes, edge_index, encode(edge_attr)))
            if number < last:
                hidden = hidden.relu()
                if virtual is not None:
                    update = self.virtual_updates[number](global_add_pool(nodes, batch, size) + virtual)
                    virtual = F.dropout(update, self.dropout, self.training)
            nodes = F.dropout(hidden, self.dropout, self.training)
        return self.head(self.pool(nodes, batch, dim_size=size, dim=0))


class _BondGCNConv(MessagePassing):
    """Graph convolution with symmetric normalisation whose messages carry the bond."""

    def __init__(self, channels: int) -> None:
        super().__init__(aggr="add")
        self.lin = nn.Linear(channels, channels)
        self.root = nn.Embedding(1, channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        x = self.lin(x)
        count = degree(edge_index[0], x.size(0), x.dtype) + 1  # with the node itself
        scale = count.rsqrt()
        weight = scale[edge_index[0]] * scale[edge_index[1]]
        out = self.propagate(edge_index, x=x, edge_attr=edge_attr, weight=weight)
        return out + (x + self.root.weight).relu() / count.unsqueeze(-1)

    def message(self, x_j: Tensor, edge_attr: Tensor, weight: Tensor) -> Tensor:
        return weight.unsqueeze(-1) * (x_j + edge_attr).relu()


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, 2 * channels), nn.BatchNorm1d(2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels)
    )
