"""A line graph that is not that of the edges given with it is refused by everything that takes one."""

import pytest
import torch

from plstm_graph import PLSTM, LineGraph, PLSTMConv
from plstm_graph.nn.baselines import ChildSumTreeLSTM, DAGTransformer, LevelGRU
from plstm_graph.testing import random_dag

EDGES = random_dag(8, 14, torch.Generator().manual_seed(0))


def foreign() -> dict[str, torch.Tensor]:
    swapped = EDGES.clone()
    swapped[:, [2, 9]] = swapped[:, [9, 2]]
    return {
        "as many nodes and edges": random_dag(8, 14, torch.Generator().manual_seed(1)),
        "as many nodes": random_dag(8, 9, torch.Generator().manual_seed(1)),
        "another order": EDGES.flip(1),
        "two edges exchanged": swapped,
        "reversed": EDGES.flip(0),
    }


def models() -> dict[str, torch.nn.Module]:
    sizes = {"in_channels": 5, "edge_dim": None, "hidden_channels": 8}
    return {
        "conv": PLSTMConv(5, 8, heads=2),
        "conv, D": PLSTMConv(5, 8, heads=2, mode="D"),
        "conv, against": PLSTMConv(5, 8, heads=2, flow="target_to_source"),
        "conv, both": PLSTMConv(5, 8, heads=2, share_weights=True),
        "conv, node": PLSTMConv(5, 8, heads=2, transition="node"),
        "model": PLSTM(**sizes, num_layers=1),
        "level GRU": LevelGRU(**sizes),
        "Tree-LSTM": ChildSumTreeLSTM(**sizes),
        "transformer": DAGTransformer(**sizes),
    }


@pytest.mark.parametrize("name", models())
def test_foreign_line_graphs_are_refused(name):
    model, x = models()[name], torch.randn(8, 5)
    for edge_index in foreign().values():
        with pytest.raises(ValueError, match="line graph is of other edges"):
            model(x, EDGES, line_graph=LineGraph(edge_index, 8))
    with pytest.raises(ValueError, match="x has 8 rows, but the line graph has 9 nodes"):
        model(x, EDGES, line_graph=LineGraph(EDGES, 9))


@pytest.mark.parametrize("name", models())
def test_line_graphs_of_the_edges_are_accepted(name):
    model, x = models()[name].double().eval(), torch.randn(8, 5, dtype=torch.double)
    expected = model(x, EDGES)
    for given in (EDGES, EDGES.clone()):
        for line_graph in (LineGraph(EDGES, 8), LineGraph(EDGES, 8).prepare(split_nodes=True).to("cpu")):
            torch.testing.assert_close(model(x, given, line_graph=line_graph), expected)


@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("form", ["auto", "recurrent", "parallel", "chunkwise"])
def test_edges_changed_in_place_after_the_line_graph_was_built(mode, form):
    conv, x = PLSTMConv(5, 8, heads=2, mode=mode, form=form).double(), torch.randn(8, 5, dtype=torch.double)
    for edit in (
        lambda edges: edges.fill_(10**12),
        lambda edges: edges.copy_(edges.flip(1)),
        lambda edges: edges.numpy().fill(3),
    ):
        edges = EDGES.clone()
        expected = conv(x, edges)
        line_graph = LineGraph(edges, 8)
        edit(edges)
        with pytest.raises(ValueError, match="line graph is of other edges"):
            conv(x, edges, line_graph=line_graph)
        torch.testing.assert_close(conv(x, EDGES, line_graph=line_graph), expected)
        line_graph.edge_index.fill_(10**12)
        with pytest.raises(ValueError, match="edge_index of this line graph was changed in place"):
            conv(x, EDGES, line_graph=line_graph)


def test_in_inference_mode():
    conv, x = PLSTMConv(5, 8, heads=2, mode="D"), torch.randn(8, 5)
    with torch.inference_mode():
        edges = EDGES.clone()
        line_graph = LineGraph(edges, 8)
        torch.testing.assert_close(conv(x, edges, line_graph=line_graph), conv(x, EDGES))
        edges.copy_(edges.flip(1))
        with pytest.raises(ValueError, match="line graph is of other edges"):
            conv(x, edges, line_graph=line_graph)


def test_in_compiled_code():
    conv, x = PLSTMConv(5, 8, heads=2), torch.randn(8, 5)
    compiled = torch.compile(conv, fullgraph=True, backend="aot_eager")
    line_graph = LineGraph(EDGES, 8).prepare()
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, EDGES, line_graph=line_graph), conv(x, EDGES))
        with pytest.raises(RuntimeError, match="line graph is of other edges than edge_index"):
            compiled(x, EDGES.flip(1), line_graph=line_graph)
