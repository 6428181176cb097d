"""Inputs that know their neighbours, against sums node by node."""

import pytest
import torch
import torch.nn.functional as F

from plstm_graph import PLSTM, PLSTMConv
from plstm_graph.nn.neighbours import make_neighbour_input
from plstm_graph.testing import assert_close, random_dag


@pytest.mark.parametrize("kind", [True, "channel"])
@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize(("nodes", "edges"), [(9, 20), (3, 0), (1, 0), (0, 0)])
def test_equals_sums_node_by_node(kind, undirected, nodes, edges):
    edge_index = random_dag(nodes, edges) if edges else torch.zeros(2, 0, dtype=torch.long)
    edge_index = torch.cat([edge_index, edge_index[:, :2]], dim=1)  # parallel edges count twice
    module, x = make_neighbour_input(kind, 4, 4, undirected).double(), torch.randn(nodes, 4).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    if kind == "channel":
        own, before, behind = (module.weight[[0, 1, 1]] if undirected else module.weight).unbind()
        maps = lambda x: own * x + module.bias, lambda x: before * x, lambda x: behind * x
    else:
        maps = module.lin, module.before, module.before if undirected else module.behind
    expected = torch.zeros(nodes, 4).double()
    for node in range(nodes):
        total = maps[0](x[node])
        for start, end in edge_index.t().tolist():
            if end == node:
                total = total + maps[1](x[start])
            if start == node:
                total = total + maps[2](x[end])
        expected[node] = F.silu(total)
    assert_close(module(x, edge_index), expected, 1e-12, "neighbours")


@pytest.mark.parametrize("mode", ["P", "D", "M"])
@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
@pytest.mark.parametrize("kind", [True, "channel"])
def test_a_layer_runs_on_what_its_neighbourhood_gives(mode, flow, kind):
    edge_index, x = random_dag(9, 16), torch.randn(9, 8).double()
    conv = PLSTMConv(8, 12, heads=3, mode=mode, neighbours=kind, flow=flow).double()
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


def test_wrong_kinds_are_named():
    with pytest.raises(ValueError, match="neighbours must be True, False or 'channel', got 'both'"):
        PLSTM(4, out_channels=1, neighbours="both")
    with pytest.raises(ValueError, match="neighbours='channel' needs to know the number of channels, got -1"):
        PLSTMConv(-1, 8, neighbours="channel")


def test_a_tied_model_treats_both_directions_alike():
    model = PLSTM(5, 8, 1, 2, modes="PM", share_weights=True, neighbours=True).double()
    with torch.no_grad():
        model.size_head.weight.normal_()
    x, edge_index = torch.randn(9, 5).double(), random_dag(9, 16)
    assert_close(model(x, edge_index), model(x, edge_index.flip(0)), 1e-10, "reversed")
