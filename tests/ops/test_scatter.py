"""The native and the torch_scatter path; `make test-scatter` insists on the latter."""

import os

import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.ops import scatter
from plstm_graph.testing import OPERANDS, assert_close, random_dag, random_operands, value_and_gradients

INSTALLED = scatter.torch_scatter_version() is not None
needs_torch_scatter = pytest.mark.skipif(
    not INSTALLED and "PLSTM_REQUIRE_SCATTER" not in os.environ, reason="torch_scatter is not installed (make scatter)"
)


@pytest.mark.parametrize("backend", ["native", pytest.param("torch_scatter", marks=needs_torch_scatter)])
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 50])
def test_sums_rows_of_each_target(backend, is_sorted, rows):
    index = torch.randint(0, 9, (rows,))
    index = index.sort().values if is_sorted else index
    values = torch.randn(rows, 2, 3, dtype=torch.float64, requires_grad=True)
    expected = torch.zeros(9, 2, 3, dtype=torch.float64)
    for target, row in zip(index.tolist(), values.detach(), strict=True):
        expected[target] += row
    with scatter.scatter_backend(backend):
        summed = scatter.sum_rows(values, index, 9, is_sorted=is_sorted)
        added = scatter.add_rows_(torch.ones_like(expected), index, values.detach(), is_sorted=is_sorted)
    assert_close(summed, expected, 1e-14, "sum_rows")
    assert_close(added, expected + 1, 1e-14, "add_rows_")
    weight = torch.randn_like(expected)
    (grad,) = torch.autograd.grad(summed, values, weight)
    assert torch.equal(grad, weight[index])  # exact: copies


@needs_torch_scatter
@pytest.mark.parametrize("reverse", [False, True])
def test_operator_is_the_same_with_both_backends(reverse):
    graph = LineGraph(random_dag(60, 150), 60)
    graph = graph.reverse() if reverse else graph
    operands = random_operands(graph)
    out_grad = torch.randn_like(operands["value"])
    results = {}
    for backend in ("native", "torch_scatter"):
        with scatter.scatter_backend(backend):
            results[backend] = value_and_gradients(operands, graph, "recurrent", out_grad)
    for name in ("out", *OPERANDS):
        assert_close(results["torch_scatter"][name], results["native"][name], 1e-12, name)


def test_unknown_backend_is_named():
    with pytest.raises(ValueError, match="unknown scatter backend 'cupy'"), scatter.scatter_backend("cupy"):
        pass


def test_missing_torch_scatter_says_why(monkeypatch):
    monkeypatch.setattr(scatter, "_torch_scatter", None)
    monkeypatch.setattr(scatter, "_why_missing", "undefined symbol: x")
    message = r"undefined symbol: x.*make scatter"
    with pytest.raises(ImportError, match=message), scatter.scatter_backend("torch_scatter"):
        pass


def test_backend_is_restored_after_the_block():
    with scatter.scatter_backend("native"):
        assert scatter._backend == "native"
    assert scatter._backend == "auto"
