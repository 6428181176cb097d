"""A small graph model with the call of plstm_graph.nn.PLSTM, so that training is tested apart from it."""

import torch
from torch import Tensor
from torch_geometric.nn import GINEConv, global_mean_pool


class TinyModel(torch.nn.Module):
    def __init__(self, out_channels: int = 1, hidden_channels: int = 16, dropout: float = 0.1) -> None:
        super().__init__()
        self.atoms = torch.nn.Embedding(128, hidden_channels)
        self.bonds = torch.nn.Embedding(8, hidden_channels)
        self.conv = GINEConv(torch.nn.Linear(hidden_channels, hidden_channels))
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden_channels, out_channels)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, line_graph: object, batch_size: int
    ) -> Tensor:
        assert line_graph is not None
        x = self.conv(self.atoms(x[:, 0]), edge_index, self.bonds(edge_attr[:, 0])).relu()
        return self.head(global_mean_pool(self.dropout(x), batch, batch_size))
