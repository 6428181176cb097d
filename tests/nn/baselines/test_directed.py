"""Peers of DAGs: their recurrences against plain loops, their gradients, what reaches what."""

from functools import partial

import pytest
import torch
from torch_geometric.data import Batch, Data

from plstm_graph.graph import LineGraph, ancestors, random_dag
from plstm_graph.nn.baselines import (
    BagOfNodes,
    ChildSumTreeLSTM,
    DAGTransformer,
    DirectedGATv2,
    DirectedGCN,
    DirectedGIN,
    LevelGRU,
)
from plstm_graph.nn.baselines.tree_lstm import TreeLSTMPass

MODELS = (
    BagOfNodes,
    DirectedGIN,
    DirectedGATv2,
    DirectedGCN,
    LevelGRU,
    partial(LevelGRU, aggr="max"),
    ChildSumTreeLSTM,
    DAGTransformer,
)


def dag(nodes=12, edges=20, seed=0):
    edge_index = random_dag(nodes, edges, generator=torch.Generator().manual_seed(seed))
    return torch.cat([edge_index, edge_index[:, :2]], dim=1)  # parallel edges are legal


def tree_lstm_by_nodes(layer, x, edge_index, edge_attr):
    channels = x.size(1)
    start, end = edge_index
    of_node, of_child = layer.state.weight.split([3 * channels, channels])
    states, cells = {}, {}
    for node in torch.argsort(LineGraph.from_edge_index(edge_index, len(x)).level, stable=True).tolist():
        gates, forget = layer.input(x[node]).split([3 * channels, channels])
        cell = x.new_zeros(channels)
        for edge in (end == node).nonzero().view(-1).tolist():
            child = states[int(start[edge])] + layer.edge(edge_attr[edge])
            gates = gates + of_node @ child
            cell = cell + (forget + of_child @ child).sigmoid() * cells[int(start[edge])]
        into, out, update = gates.chunk(3)
        cells[node] = cell + into.sigmoid() * update.tanh()
        states[node] = out.sigmoid() * cells[node].tanh()
    return torch.stack([states[node] for node in range(len(x))])


@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (TreeLSTMPass(5, True), tree_lstm_by_nodes),
    ],
)
def test_recurrence_and_its_gradients(layer, reference):
    layer = layer.double()
    edge_index = dag()
    x = torch.randn(12, 5, dtype=torch.double, requires_grad=True)
    edge_attr = torch.randn(edge_index.size(1), 5, dtype=torch.double, requires_grad=True)
    inputs = [x, edge_attr, *layer.parameters()]
    outputs = layer(x, LineGraph.from_edge_index(edge_index, 12), edge_attr), reference(layer, x, edge_index, edge_attr)
    torch.testing.assert_close(*outputs)
    weight = torch.randn_like(outputs[0])
    found, expected = (torch.autograd.grad((output * weight).sum(), inputs) for output in outputs)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("layer", [TreeLSTMPass(3, False)])
@pytest.mark.parametrize("edges", [0, 12])
def test_gradients_without_edge_features(layer, edges):
    layer = layer.double()
    graph = LineGraph.from_edge_index(random_dag(8, edges), 8)
    x = torch.randn(8, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x, graph), (x, *layer.parameters()))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("predict", ["graph", "node"])
def test_a_batch_is_its_graphs(model, predict):
    graphs = [
        Data(
            x=torch.randint(6, (n, 1)),
            edge_index=random_dag(n, m, generator=torch.Generator().manual_seed(n)),
            edge_attr=torch.randint(2, (m, 1)),
        )
        for n, m in [(6, 9), (1, 0), (11, 14)]
    ]
    network = model([6], 16, out_channels=3, edge_dim=[2], predict=predict).eval()
    batch = Batch.from_data_list(graphs)
    whole = network(batch.x, batch.edge_index, batch.edge_attr, batch.batch, batch_size=3)
    parts = [network(graph.x, graph.edge_index, graph.edge_attr) for graph in graphs]
    torch.testing.assert_close(whole, torch.cat(parts))
    whole.sum().backward()
    used = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not used, f"no gradient reaches {used}"


@pytest.mark.parametrize("model", [LevelGRU, ChildSumTreeLSTM, DAGTransformer])
def test_what_reaches_a_node(model):
    edge_index = dag(14, 16, seed=3)
    network = model(4, 8, 1, 1, predict="node", degree=False).eval()
    x = torch.randn(14, 4, requires_grad=True)
    output = network(x, edge_index)
    for node in range(14):
        (grad,) = torch.autograd.grad(output[node].sum(), x, retain_graph=True)
        expected = ancestors(edge_index, 14, node) | (torch.arange(14) == node)
        if model is not ChildSumTreeLSTM:
            expected |= ancestors(edge_index.flip(0), 14, node)
        assert ((grad.abs().sum(dim=1) > 0) == expected).all()


def test_isolated_nodes_and_no_edges():
    for model in MODELS:
        output = model(3, 8, out_channels=2)(torch.randn(3, 3), torch.zeros(2, 0, dtype=torch.long))
        assert output.shape == (1, 2) and output.isfinite().all()
