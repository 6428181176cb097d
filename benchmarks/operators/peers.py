"""The model to be measured beside PLSTM: PyG has layers, but no such model to take."""

from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import GATv2Conv, global_mean_pool

from plstm_graph.nn import count_parameters, feature_encoder


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
