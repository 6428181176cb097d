"""The layer with matrices as transitions: the operator, directions, batches, orders, explainers, compiled code."""

import pytest
import torch
from torch_geometric.explain.algorithm.utils import set_masks

from plstm_graph import LineGraph, PLSTMConv
from plstm_graph.nn import MatrixTransitionGate
from plstm_graph.ops import plstm_matrix
from plstm_graph.testing import (
    assert_close,
    assert_compiles_once,
    assert_edge_order_invariance,
    assert_node_permutation_equivariance,
    random_dag,
)

EDGES = torch.tensor([[0, 1, 1, 2, 3, 3], [1, 2, 3, 4, 5, 6]])  # a tree, which no cut to a multitree changes
KINDS = [("P", "householder"), ("D", "householder"), ("P", "signed"), ("D", "signed")]


def layer(mode="P", kind="householder", **options):
    return PLSTMConv(8, 12, 3, mode, edge_dim=3, transition="matrix", matrix_kind=kind, matrix_size=2, **options)


def inputs(nodes=9, edges=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, edge_attr = (torch.randn(rows, width, generator=generator) for rows, width in ((nodes, 8), (edges, 3)))
    return x.double(), random_dag(nodes, edges, generator), edge_attr.double()


@pytest.mark.parametrize("mode, kind", KINDS)
@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
def test_output_equals_the_operator(mode, kind, flow):
    x, edge_index, edge_attr = inputs()
    conv = layer(mode, kind, flow=flow, reflections=2).double()
    assert isinstance(conv.gates.transition, MatrixTransitionGate)
    graph = LineGraph(edge_index, 9)
    graph = graph.to_multitree() if mode == "D" else graph
    graph = graph.reverse() if flow == "target_to_source" else graph
    query, key, value = conv.lin(x).view(9, 3, 3, 4).unbind(1)
    start, end = graph.edge_index
    y = plstm_matrix(
        query / 2,
        key,
        value,
        conv.gates.source(x, start, edge_attr).view(-1, 3, 2),
        conv.gates.transition(x, graph, edge_attr),
        conv.gates.mark(x, end, edge_attr).view(-1, 3, 2),
        conv.gates.direct(x),
        graph,
        form="naive",
    )
    expected = conv.lin_out(conv.norm(y).flatten(1))
    assert_close(conv(x, edge_index, edge_attr), expected, 1e-11, "layer")
    conv.register_message_forward_hook(lambda module, inputs, output: None)
    assert_close(conv(x, edge_index, edge_attr), expected, 1e-11, "layer with a hook")


@pytest.mark.parametrize("form", ["naive", "recurrent", "parallel", "chunkwise"])
def test_every_form_gives_the_same(form):
    given = inputs()
    conv = layer(form=form).double()
    other = layer().double()
    other.load_state_dict(conv.state_dict())
    assert_close(conv(*given), other(*given), 1e-11, form)


@pytest.mark.parametrize("mode, kind", KINDS)
def test_directions_orders_and_batches(mode, kind):
    generator = torch.Generator().manual_seed(1)
    x, edge_attr = torch.randn(7, 8, generator=generator), torch.randn(6, 3, generator=generator)
    conv, backward = layer(mode, kind), layer(mode, kind, flow="target_to_source")
    backward.load_state_dict(conv.state_dict())
    out = conv(x, EDGES, edge_attr)
    assert_close(backward(x, EDGES.flip(0), edge_attr), out, 1e-5, "backward")
    assert_edge_order_invariance(conv, x, EDGES, edge_attr)
    assert_node_permutation_equivariance(conv, x, EDGES, edge_attr)
    x2, edges2, attr2 = (tensor.float() if tensor.is_floating_point() else tensor for tensor in inputs())
    both = conv(torch.cat([x, x2]), torch.cat([EDGES, edges2 + 7], dim=1), torch.cat([edge_attr, attr2]))
    assert_close(both, torch.cat([out, conv(x2, edges2, attr2)]), 1e-5, "batch")


@pytest.mark.parametrize("mode, kind", KINDS)
def test_the_gating_matrix_times_scores_is_the_layer(mode, kind):
    x, edge_index, edge_attr = inputs()
    conv = layer(mode, kind).double()
    query, key, value = conv.lin(x).view(9, 3, 3, 4).unbind(1)
    score = torch.einsum("nhk,mhk->hnm", query, key) / 2
    y = torch.einsum("hnm,mhv->nhv", conv.gating_matrix(x, edge_index, edge_attr) * score, value)
    assert_close(conv(x, edge_index, edge_attr), conv.lin_out(conv.norm(y).flatten(1)), 1e-11, "layer")


def test_a_masked_edge_brings_nothing_along():
    x, edge_attr = torch.randn(7, 8), torch.randn(6, 3)
    conv = layer("D")
    whole = conv(x, EDGES, edge_attr)
    mask = torch.ones(6)
    mask[1] = 0.0  # from 1 to 2, and on to 4
    set_masks(conv, mask, EDGES, apply_sigmoid=False)
    out = conv(x, EDGES, edge_attr)
    for node in range(7):
        assert torch.allclose(out[node], whole[node], atol=1e-6) == (node not in (2, 4)), node


@pytest.mark.parametrize("nodes", [0, 1, 4])
def test_graphs_without_edges(nodes):
    x = torch.randn(nodes, 8, requires_grad=True)
    out = layer()(x, torch.empty(2, 0, dtype=torch.long), torch.empty(0, 3))
    assert out.shape == (nodes, 12)
    out.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["householder", "signed"])
def test_runs_in_every_dtype(dtype, kind):
    conv = layer(kind=kind).to(dtype)
    x, edge_index, edge_attr = inputs()
    out = conv(x.to(dtype), edge_index, edge_attr.to(dtype))
    assert out.dtype == dtype
    out.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in conv.parameters())


@pytest.mark.parametrize("mode, kind", [("P", "signed"), ("D", "householder")])
def test_compiles_into_one_graph_for_all_depths(mode, kind):
    def calls():
        for seed, (nodes, edges) in enumerate([(43, 64), (47, 90), (30, 29)]):
            x, edge_index, edge_attr = inputs(nodes, edges, seed)
            graph = LineGraph(edge_index, nodes).prepare(rows=2, widths=(3, 4, 4))
            yield (x.float().requires_grad_(), edge_index, edge_attr.float()), {"line_graph": graph}

    # One of the two with its backward pass, which takes most of the time.
    assert_compiles_once(layer(mode, kind), calls(), backend="aot_eager" if kind == "householder" else "eager")
