"""Histograms of categories in the readout."""

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Batch, Data

from plstm_graph.nn import PLSTM
from plstm_graph.nn.baselines import GIN
from plstm_graph.nn.histogram import CategoryHistogram
from plstm_graph.transforms import AddWLColors


def test_counts():
    layer = CategoryHistogram([2, 3], channels=4)
    columns, batch = torch.tensor([[0, 2], [1, 2], [0, 2], [0, 0]]), torch.tensor([0, 0, 0, 2])
    counts = torch.tensor([[2.0, 1, 0, 0, 3], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0]])
    expected = F.gelu(layer.lin(torch.log(1 + counts)))
    torch.testing.assert_close(layer(columns, batch, 3), expected)
    torch.testing.assert_close(layer(columns.float(), batch, 3), expected)
    before = layer.lin.weight.clone()
    layer.reset_parameters()
    assert not layer.lin.weight.equal(before)


def _graph(colors: list[int], floats: bool = False) -> Data:
    x = torch.tensor([[1, color] for color in colors])
    edge_index = torch.stack([torch.arange(len(colors) - 1), torch.arange(1, len(colors))])
    return Data(x=x.float() if floats else x, edge_index=edge_index)


@pytest.mark.parametrize("floats", [False, True])
def test_only_the_readout_sees_the_columns(floats):
    """Whatever order colours stand in, nodes are the same, and so are the predictions; other counts change them."""
    torch.manual_seed(0)
    model = PLSTM(1 if floats else [3], 16, 1, 2, histogram=[5]).eval()
    graphs = [_graph(colors, floats) for colors in ([0, 1, 2, 2], [2, 1, 2, 0], [0, 1, 2, 3])]
    first, moved, other = (model(graph.x, graph.edge_index) for graph in graphs)
    torch.testing.assert_close(first, moved)
    assert (first - other).abs().max() > 1e-4
    batch = Batch.from_data_list(graphs)
    together = model(batch.x, batch.edge_index, batch=batch.batch, batch_size=3)
    torch.testing.assert_close(together, torch.cat([first, moved, other]))


def test_baselines_count_too():
    graph = AddWLColors(2, 16)(_graph([0, 1, 2, 0]))
    model = GIN([3, 5], 16, 2, 2, histogram=[16, 16])
    model(graph.x, graph.edge_index).sum().backward()
    assert model.histogram.lin.weight.grad.abs().sum() > 0


def test_a_node_has_no_histogram():
    with pytest.raises(ValueError, match="a histogram is of a whole graph, but predict='node'"):
        PLSTM([3], 16, 1, 2, histogram=[5], predict="node")


def test_a_graph_without_its_columns_is_named():
    model = GIN([3], 16, 2, 2, histogram=[16, 16])
    with pytest.raises(ValueError, match=r"x has 2 columns, but .* after them, 2 columns of categories"):
        model(torch.zeros(4, 2, dtype=torch.long), torch.tensor([[0, 1], [1, 0]]))


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_nodes_need_no_features():
    model = GIN(0, 16, 2, 2).eval()
    assert model(torch.zeros(4, 0), torch.tensor([[0, 1], [1, 0]])).shape == (1, 2)
