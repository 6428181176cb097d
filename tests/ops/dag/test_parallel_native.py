"""The parallel form in C and in torch: the same values, whatever the widths, threads and graph."""

import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm
from plstm_graph.ops.dag import parallel, parallel_native
from plstm_graph.ops.dag.parallel_native import has_native_parallel
from plstm_graph.testing import assert_close, assert_forms_agree, random_dag, random_operands
from tests.rounding import rounding
from tests.strategies import problems

needs_compiler = pytest.mark.skipif(
    not has_native_parallel(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)


def outputs_and_gradients(graph, operands, in_c):
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    with pytest.MonkeyPatch.context() as patch:
        if not in_c:
            patch.setattr(parallel, "has_native_parallel", lambda tensor: False)
        out = plstm(**leaves, line_graph=graph, form="parallel")
    return {"output": out, **dict(zip(leaves, torch.autograd.grad(out.square().sum(), leaves.values()), strict=True))}


def assert_c_equals_torch(graph, operands, tolerance):
    expected, actual = (outputs_and_gradients(graph, operands, in_c) for in_c in (False, True))
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        assert_close(actual[name].double(), tensor.double(), tolerance, name)


@given(problems())
def test_the_form_in_torch_agrees_with_the_naive_one(problem):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "has_native_parallel", lambda tensor: False)
        assert_forms_agree(*problem, forms=["parallel"])


@needs_compiler
@pytest.mark.parametrize("widths", [(8, 8), (16, 16), (24, 24), (32, 32), (16, 32), (1, 1), (7, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_width(widths, dtype):
    graph = LineGraph(random_dag(60, 110, torch.Generator().manual_seed(0)), 60)
    for direction in (graph, graph.reverse(), graph.to_multitree(), graph.to_multitree().reverse()):
        operands = random_operands(direction, 3, *widths)
        operands["transition"] = operands["transition"].tanh() / 2
        operands = {name: tensor.to(dtype) for name, tensor in operands.items()}
        assert_c_equals_torch(direction, operands, 1e-10 if dtype == torch.float64 else 1e-4)


def batch_of_dags(count, nodes, edges):
    generator = torch.Generator().manual_seed(0)
    dags = [random_dag(nodes, edges, generator) + number * nodes for number in range(count)]
    return torch.cat(dags, dim=1), count * nodes


@needs_compiler
@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("width", [1, 3, 8, 20, 24, 40])
def test_c_agrees_with_the_naive_form(heads, width):
    # The edges of the second one are the caller's in another order.
    edge_index, nodes = batch_of_dags(3, 7, 9)
    for edges in (edge_index, edge_index[:, torch.randperm(27, generator=torch.Generator().manual_seed(1))]):
        graph = LineGraph(edges, nodes)
        for direction in (graph, graph.reverse()):
            assert_forms_agree(direction, random_operands(direction, heads, width, width), forms=["parallel"])


#: One DAG that cannot be divided, several of one size, and a large one among small ones.
GRAPHS = {
    "one": lambda: (random_dag(1000, 1500, torch.Generator().manual_seed(0)), 1000),
    "many": lambda: batch_of_dags(60, 40, 60),
    "few": lambda: batch_of_dags(3, 400, 600),
    "mixed up": lambda: (batch_of_dags(60, 40, 60)[0] * 7 % 2400, 2400),
}


@needs_compiler
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("part", [0, 100, parallel_native._LINKS_OF_A_PART])
def test_threads_and_parts_share_nothing(name, threads, part, monkeypatch):
    graph = LineGraph(*GRAPHS[name]())
    operands = random_operands(graph, 5, 8, 8)
    operands["transition"] = operands["transition"].tanh() / 2
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = outputs_and_gradients(graph, operands, in_c=False)
        torch.set_num_threads(threads)
        monkeypatch.setattr(parallel_native, "_LINKS_OF_A_PART", part)
        monkeypatch.setattr(parallel_native, "_WORTH_A_THREAD", 1)
        monkeypatch.setattr(parallel_native, "_WORTH_A_THREAD_OF_INDICES", 1)
        actual = outputs_and_gradients(graph, operands, in_c=True)
    finally:
        torch.set_num_threads(before)
    for key, tensor in expected.items():
        assert_close(actual[key], tensor, 1e-10, key)


@needs_compiler
def test_tensors_may_have_any_strides():
    graph = LineGraph.grid(4, 3)
    operands = random_operands(graph, 2, 4, 4)
    turned = {name: tensor.transpose(0, 1).contiguous().transpose(0, 1) for name, tensor in operands.items()}
    for reverse in (graph, graph.reverse()):
        plain = plstm(**operands, line_graph=reverse, form="parallel")
        out = plstm(**turned, line_graph=reverse, form="parallel")
        assert_close(out, plain, rounding(torch.float64, graph.num_edges), "outputs")
