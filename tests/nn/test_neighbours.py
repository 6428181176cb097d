"""Inputs that know their neighbours, against sums node by node."""

import pytest
import torch
import torch.nn.functional as F

from plstm_graph import PLSTM, PLSTMConv
from plstm_graph.nn import NeighbourInput
from plstm_graph.testing import assert_close, random_dag


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize(("nodes", "edges"), [(9, 20), (3, 0), (1, 0), (0, 0)])
def test_equals_sums_node_by_node(undirected, nodes, edges):
    edge_index = random_dag(nodes, edges) if edges else torch.zeros(2, 0, dtype=torch.long)
    edge_index = torch.cat([edge_index, edge_index[:, :2]], dim=1)  # parallel edges count twice
    module, x = NeighbourInput(4, 5, undirected).double(), torch.randn(nodes, 4).double()
    expected = torch.zeros(nodes, 5).double()
    behind = module.before if undirected else module.behind
    for node in range(nodes):
        total = module.lin(x[node])
        for start, end in edge_index.t().tolist():
            if end == node:
                total = total + module.before(x[start])
            if start == node:
                total = total + behind(x[end])
        expected[node] = F.silu(total)
    assert_close(module(x, edge_index), expected, 1e-12, "neighbours")


@pytest.mark.parametrize("mode", ["P", "D", "M"])
@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
def test_a_layer_runs_on_what_its_neighbourhood_gives(mode, flow):
    edge_index, x = random_dag(9, 16), torch.randn(9, 8).double()
    conv = PLSTMConv(8, 12, heads=3, mode=mode, neighbours=True, flow=flow).double()
    inner = conv.neighbours
    seen = inner(x, edge_index.flip(0) if flow == "target_to_source" else edge_index)
    conv.neighbours = None
    expected = conv(seen, edge_index)
    conv.neighbours = inner
    assert_close(conv(x, edge_index), expected, 1e-12, "layer")


def test_lazy_sizes_and_the_output_gate():
    conv = PLSTMConv(-1, 12, heads=3, neighbours=True, output_gate=True)
    x, edge_index = torch.randn(9, 7), random_dag(9, 16)
    assert conv(x, edge_index).shape == (9, 12)
    torch.nn.init.zeros_(conv.output_gate.weight)
    # A closed gate leaves the bias of the output map.
    assert_close(conv(x, edge_index), conv.lin_out.bias.expand(9, 12), 1e-6, "closed")


def test_a_tied_model_treats_both_directions_alike():
    model = PLSTM(2, 5, None, hidden_channels=8, num_layers=1, modes="PM", tied=True, neighbours=True).double()
    with torch.no_grad():
        model.size_head.weight.normal_()
    x, edge_index = torch.randn(9, 5).double(), random_dag(9, 16)
    assert_close(model(x, edge_index), model(x, edge_index.flip(0)), 1e-10, "reversed")
