"""Other layers and models to be measured beside pLSTM, where PyG has none to take."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import GATv2Conv, global_mean_pool
from torch_geometric.utils import softmax

from plstm_graph.graph import LineGraph
from plstm_graph.nn import feature_encoder


class LevelGRU(nn.Module):
    """A gated recurrent unit along a DAG, all nodes of a level together, as the DAGNN model does it.

    A node's message is the sum of its predecessors' states, or their mean weighted by additive attention; the unit
    takes the node's features as input and the message as state. Unlike pLSTM it is not linear in the state, so this
    walk over the levels is the only way to evaluate it.

    Args:
        channels (int): Size of features and states.
        aggregation (str): ``"sum"`` or ``"attention"``.
        line_graph (LineGraph): The DAG, whose levels are sorted out here, once.

    Shapes:
        - **input:** ``[N, channels]``
        - **output:** ``[N, channels]``
    """

    def __init__(self, channels: int, aggregation: Literal["sum", "attention"], line_graph: LineGraph) -> None:
        super().__init__()
        self.cell = nn.GRUCell(channels, channels)
        self.attention_query = nn.Linear(channels, 1) if aggregation == "attention" else None
        self.attention_key = nn.Linear(channels, 1, bias=False) if aggregation == "attention" else None
        level = line_graph.level
        order = torch.argsort(level, stable=True)
        position = torch.empty_like(order)
        position[order] = torch.arange(order.numel())
        self._order, self._position = order, position
        start, end = position[line_graph.edge_index]
        by_end = torch.argsort(end, stable=True)
        self._start, self._end = start[by_end], end[by_end]
        nodes = torch.bincount(level)
        edges = torch.bincount(level[line_graph.edge_index[1]], minlength=nodes.numel())
        self._node_ptr = [0, *nodes.cumsum(0).tolist()]
        self._edge_ptr = [0, *edges.cumsum(0).tolist()]

    def forward(self, x: Tensor) -> Tensor:
        """Run along the DAG."""
        x = x[self._order]
        states = torch.zeros_like(x)
        for level in range(len(self._node_ptr) - 1):
            first, last = self._node_ptr[level : level + 2]
            edges = slice(*self._edge_ptr[level : level + 2])
            here = x[first:last]
            message = self._message(here, states[self._start[edges]], self._end[edges] - first)
            states[first:last] = self.cell(here, message)
        return states[self._position]

    def _message(self, here: Tensor, arriving: Tensor, end: Tensor) -> Tensor:
        if self.attention_query is not None and self.attention_key is not None:
            score = self.attention_query(here)[end] + self.attention_key(arriving)
            arriving = softmax(score, end, num_nodes=here.size(0)) * arriving
        return torch.zeros_like(here).index_add_(0, end, arriving)


class GATv2Model(nn.Module):
    """An ordinary graph model for molecules: residual blocks of GATv2 and a feed-forward network, then mean pooling.

    Args:
        channels (int): Size of node embeddings.
        heads (int): Number of heads.
        num_layers (int): Number of blocks.
        ffn_channels (int): Width of the feed-forward networks.

    Shapes:
        - **input:** molecules with OGB's features and both directions of each bond
        - **output:** ``[B, 1]``
    """

    def __init__(self, channels: int, heads: int = 4, num_layers: int = 4, ffn_channels: int = 192) -> None:
        super().__init__()
        self.node_encoder = feature_encoder("atom", channels)
        self.edge_encoder = feature_encoder("bond", channels)
        self.norms = nn.ModuleList(nn.RMSNorm(channels) for _ in range(num_layers))
        self.convs = nn.ModuleList(
            GATv2Conv(channels, channels // heads, heads, edge_dim=channels) for _ in range(num_layers)
        )
        self.ffns = nn.ModuleList(
            nn.Sequential(
                nn.RMSNorm(channels), nn.Linear(channels, ffn_channels), nn.GELU(), nn.Linear(ffn_channels, channels)
            )
            for _ in range(num_layers)
        )
        self.norm = nn.RMSNorm(channels)
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, 1))

    @classmethod
    def of_size(cls, num_parameters: int, channels: int, heads: int = 4, num_layers: int = 4) -> "GATv2Model":
        """The model whose feed-forward networks are as wide as brings it closest to a number of parameters."""
        narrow, wider = (count_parameters(cls(channels, heads, num_layers, width)) for width in (1, 2))
        width = 1 + round((num_parameters - narrow) / (wider - narrow))
        return cls(channels, heads, num_layers, max(width, 1))

    def forward(self, batch: Batch, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Predict; ``edge_index`` and ``edge_attr`` have both directions of each bond."""
        x, edges = self.node_encoder(batch.x), self.edge_encoder(edge_attr)
        for norm, conv, ffn in zip(self.norms, self.convs, self.ffns, strict=True):
            x = x + conv(norm(x), edge_index, edges)
            x = x + ffn(x)
        return self.head(global_mean_pool(self.norm(x), batch.batch, batch.num_graphs))


def count_parameters(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
