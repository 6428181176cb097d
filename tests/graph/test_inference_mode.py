"""Structure that is built in inference mode serves a training afterwards; what records one graph refuses it."""

import pytest
import torch

from plstm_graph import LineGraph, PLSTMConv
from plstm_graph.nn import GatedCell
from plstm_graph.testing import random_dag
from tests.ops.catalogue import native_and_torch, native_code

EDGES = random_dag(9, 16, torch.Generator().manual_seed(1))


@native_and_torch
@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("form", ["auto", "naive", "recurrent", "parallel", "chunkwise"])
def test_a_line_graph_that_was_built_in_inference_mode_can_be_trained_on(form, mode, flow, native):
    layer, x = PLSTMConv(5, 8, heads=2, mode=mode, form=form, flow=flow), torch.randn(9, 5)
    with native_code(native):
        expected = layer(x, EDGES)
        lazily, early = LineGraph(EDGES, 9), None
        with torch.inference_mode():
            layer(x, EDGES, line_graph=lazily)
            early = LineGraph(EDGES.clone(), 9).prepare(widths=(2, 4, 4))
        for graph in (lazily, early, early.to("cpu")):
            layer.zero_grad()
            out = layer(x, EDGES, line_graph=graph)
            torch.testing.assert_close(out, expected)
            out.sum().backward()
            assert layer.lin.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
@pytest.mark.parametrize(
    "make", [lambda flow: PLSTMConv(5, 5, 1, transition="matrix", flow=flow), lambda flow: GatedCell(5, flow=flow)]
)
def test_so_can_matrices_and_gated_cells(make, flow):
    layer, x = make(flow), torch.randn(9, 5)
    expected = layer(x, EDGES)
    lazily = LineGraph(EDGES, 9)
    with torch.inference_mode():
        layer(x, EDGES, line_graph=lazily)
        early = LineGraph(EDGES.clone(), 9).prepare(nodes=True)
    for graph in (lazily, early, early.to("cpu")):
        layer.zero_grad()
        out = layer(x, EDGES, line_graph=graph)
        torch.testing.assert_close(out, expected)
        out.sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters() if parameter.dim() > 1)


@pytest.mark.parametrize("given", ["nothing", "a line graph"])
def test_a_trace_is_refused(given):
    """It would hold the structure of the one graph that it was recorded with."""
    graph = None if given == "nothing" else LineGraph(EDGES, 9)
    layer = PLSTMConv(5, 8, heads=2)
    with pytest.raises(RuntimeError, match=r"torch\.jit\.trace would record"):
        torch.jit.trace(lambda x, edges: layer(x, edges, line_graph=graph), (torch.randn(9, 5), EDGES))


def test_an_export_says_what_it_needs():
    with pytest.raises(RuntimeError, match="prepare one before"):
        torch.export.export(PLSTMConv(5, 8, heads=2), (torch.randn(9, 5), EDGES))


@pytest.mark.parametrize("x", [(torch.randn(9, 5), torch.randn(9, 5)), (torch.randn(9, 5), None), [[0.0] * 5] * 9])
def test_features_that_are_no_tensor_are_refused(x):
    with pytest.raises(TypeError, match=r"x is a (tuple|list) of \d, as of bipartite graphs"):
        PLSTMConv(5, 8, heads=2)(x, EDGES)


@pytest.mark.parametrize("shape", [(9,), (1, 9, 5), ()], ids=str)
def test_features_that_are_no_matrix_are_refused(shape):
    with pytest.raises(ValueError, match=r"x must be \[N, F\]"):
        PLSTMConv(5, 8, heads=2)(torch.randn(shape), EDGES)


@pytest.mark.parametrize("other", [EDGES, "graph", 3], ids=["tensor", "text", "number"])
def test_what_is_no_line_graph_is_refused(other):
    with pytest.raises(TypeError, match="line_graph must be"):
        PLSTMConv(5, 8, heads=2)(torch.randn(9, 5), EDGES, line_graph=other)
