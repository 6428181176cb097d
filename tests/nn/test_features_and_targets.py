"""What has the targets, and what the columns of features are."""

import pytest
import torch

from plstm_graph.nn import PLSTM

SMALL = {"hidden_channels": 8, "num_layers": 1}


def test_edges_are_predicted_from_both_ends():
    model = PLSTM(in_channels=3, out_channels=2, edge_dim=None, predict="edge", **SMALL).eval()
    edge_index = torch.tensor([[0, 0, 1], [1, 2, 2]])
    x = torch.randn(3, 3)
    nodes = model.encode(x, edge_index)
    expected = model.head(torch.cat([nodes[[0, 0, 1]], nodes[[1, 2, 2]]], dim=1))
    torch.testing.assert_close(model(x, edge_index), expected)
    with pytest.raises(ValueError, match="predict must be 'graph', 'node' or 'edge', got 'path'"):
        PLSTM(in_channels=3, out_channels=2, edge_dim=None, predict="path")


def test_numbers_and_categories_side_by_side():
    encoder = PLSTM(in_channels=[0, 4, 0], out_channels=1, edge_dim=None, **SMALL).node_encoder
    x = torch.tensor([[1.5, 3.0, -1.0], [0.0, 0.0, 2.0]])
    expected = encoder.lin(x[:, [0, 2]]) + encoder.embedding.embedding(torch.tensor([3, 0]))
    torch.testing.assert_close(encoder(x), expected)
    with pytest.raises(ValueError, match="expected 3 floating-point columns"):
        encoder(x.long())
