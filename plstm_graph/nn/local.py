"""A local aggregation to run beside pLSTM in the same layer."""

import torch
from torch import Tensor, nn
from torch_geometric.nn.conv import GINConv, GINEConv

from plstm_graph.nn.norm import NormKind, make_norm


class LocalConv(nn.Module):
    """What GIN does in a round: each node adds up its neighbours along and against the edges, then a small network.

    With edge features each neighbour is summed with its edge and rectified first, as in GINE. It knows no directions,
    so it adds the undirected neighbourhood to what pLSTM carries along the DAG.

    Args:
        channels (int): Size of node and edge features.
        edge_features (bool): Whether edges have features.
        norm (str): Norm inside the network, see :func:`~plstm_graph.nn.norm.make_norm`.

    Shapes:
        - **input:** node features ``[N, C]``, edges of a DAG ``[2, E]``, edge features ``[E, C]`` *(optional)*
        - **output:** ``[N, C]``
    """

    def __init__(self, channels: int, edge_features: bool, norm: NormKind = "batch") -> None:
        super().__init__()
        network = nn.Sequential(
            nn.Linear(channels, channels), make_norm(norm, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        conv = GINEConv if edge_features else GINConv
        self.conv = conv(network, train_eps=True)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.conv.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Aggregate the neighbours of each node."""
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
        if edge_attr is None:
            return self.conv(x, edge_index)
        return self.conv(x, edge_index, torch.cat([edge_attr, edge_attr]))
