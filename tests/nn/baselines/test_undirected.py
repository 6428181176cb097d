"""Baselines take the same graphs as PLSTM, with both directions of each edge."""

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

from plstm_graph.nn.baselines import GAT, GCN, GIN, LSTMGNN, MPNN
from plstm_graph.nn.baselines.undirected import widest

MODELS = [GCN, GAT, GIN, MPNN, LSTMGNN]


def graph(nodes: int, seed: int, edge_dim: int | None = None) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    edge_attr = None if edge_dim is None else torch.randn(nodes - 1, edge_dim, generator=generator)
    x = torch.randn(nodes, 5, generator=generator)
    if edge_attr is None:
        return Data(x=x, edge_index=to_undirected(edge_index))
    edge_index, edge_attr = to_undirected(edge_index, edge_attr)
    return Data(x=x, edge_index=edge_index, edge_attr=edge_attr)


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("edge_dim", [None, 3])
def test_a_batch_gives_what_its_graphs_give(model_class, edge_dim):
    model = model_class(5, 16, 2, 3, edge_dim, pool=["mean", "sum"]).eval()
    graphs = [graph(nodes, seed, edge_dim) for seed, nodes in enumerate([4, 7, 1])]
    batch = Batch.from_data_list(graphs)
    together = model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, batch_size=3)
    alone = torch.cat([model(data.x, data.edge_index, data.edge_attr) for data in graphs])
    assert together.shape == (3, 3)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("norm", ["none", "rms", "batch"])
def test_every_weight_learns_and_can_be_drawn_anew(model_class, norm):
    model = model_class(5, 16, 2, 2, 3, norm=norm, degree=True)
    data = graph(9, 0, 3)
    model(data.x, data.edge_index, data.edge_attr).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    before = [parameter.detach().clone() for parameter in model.parameters() if parameter.dim() == 2]
    model.reset_parameters()
    after = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("model_class", [GAT, MPNN, LSTMGNN])
def test_edge_features_enter_messages(model_class):
    model = model_class(5, 16, 2, 1, 3).eval()
    data = graph(6, 0, 3)
    nodes, edges = model.embed(data.x, data.edge_index, data.edge_attr, both_directions=True)
    changed = model.layers(nodes, data.edge_index, edge_attr=edges + 1)
    assert not torch.allclose(changed, model.layers(nodes, data.edge_index, edge_attr=edges))


def test_the_lstm_cell_is_shared_by_all_rounds():
    sizes = {
        model: [sum(p.numel() for p in model(5, 16, layers, 1, norm="none").parameters()) for layers in (2, 6)]
        for model in (LSTMGNN, MPNN)
    }
    assert sizes[LSTMGNN][0] == sizes[LSTMGNN][1]
    assert sizes[MPNN][0] < sizes[MPNN][1]


def test_the_widest_model_below_a_limit():
    def make(width):
        return GIN(5, width, 4, 2)

    width = widest(make, 300_000)
    sizes = [sum(p.numel() for p in make(w).parameters()) for w in (width, width + 8)]
    assert sizes[0] < 300_000 <= sizes[1]
    with pytest.raises(ValueError, match="no width leaves fewer than 100 parameters"):
        widest(make, 100)
