"""M-mode in C and in torch: the same numbers, whatever the channels, dtype, threads, strides and graph."""

import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm_max_plus
from plstm_graph.ops.dag.max_plus import native as max_plus_native
from plstm_graph.ops.dag.max_plus.native import has_native_max_plus
from plstm_graph.testing import assert_close, random_dag
from tests.ops.catalogue import native_code
from tests.ops.dag.max_plus.test_forms import operands_of, value_and_gradients

pytestmark = pytest.mark.skipif(
    not has_native_max_plus(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)

GRAPHS = {
    "random": lambda: LineGraph(random_dag(60, 110, torch.Generator().manual_seed(0)), 60),
    "hub": lambda: LineGraph(torch.tensor([[*range(40), *[40] * 40], [*[40] * 40, *range(41, 81)]]), 81),
    "grid": lambda: LineGraph.grid(7, 5),
}


def assert_all_close(actual, expected, tolerance):
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        finite = tensor.isfinite()
        assert torch.equal(actual[name][~finite], tensor[~finite]), name
        assert_close(actual[name][finite].double(), tensor[finite].double(), tolerance, name)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("channels", [1, 2, 7, 8, 15, 16, 17, 31, 32, 40, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_number_of_channels(channels, dtype, temperature):
    """Blocks are 16 channels in float32 and 8 in float64; the last one may be narrower."""
    for make in GRAPHS.values():
        for graph in (make(), make().reverse(), make().to_multitree()):
            operands = operands_of(graph, channels, ties=temperature == 0.0, closed=0.1, dtype=dtype)
            with native_code(False):
                expected = value_and_gradients(operands, graph, temperature=temperature)
            actual = value_and_gradients(operands, graph, temperature=temperature)
            # Forty paths meet at the hub; a weight is exp of a difference of sums, each of them rounded.
            assert_all_close(actual, expected, 1e-10 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("channels", [1, 16, 37, 130])
def test_threads_share_nothing(monkeypatch, threads, channels, temperature):
    monkeypatch.setattr(max_plus_native, "_WORTH_A_THREAD", 1)
    graph = LineGraph(random_dag(200, 400, torch.Generator().manual_seed(0)), 200)
    operands = operands_of(graph, channels, ties=True, dtype=torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = value_and_gradients(operands, graph, temperature=temperature)
        torch.set_num_threads(threads)
        several = value_and_gradients(operands, graph, temperature=temperature)
    finally:
        torch.set_num_threads(before)
    for name, tensor in single.items():
        assert torch.equal(several[name], tensor), name  # Channel by channel the same sums in the same order.


def test_large_work_is_spread_over_threads(monkeypatch):
    """Many nodes and channels take threads by themselves."""
    calls = []
    monkeypatch.setattr(
        max_plus_native, "spread", lambda kernel, units, given, work, worth: calls.append(work / worth) or 0
    )
    graph = LineGraph(random_dag(3000, 6000, torch.Generator().manual_seed(0)), 3000)
    for channels in (1, 160):
        plstm_max_plus(**operands_of(graph, channels), line_graph=graph)
    assert calls[0] < 2 <= calls[1]


@pytest.mark.parametrize("reverse", [False, True])
def test_edges_that_stand_in_any_order(reverse):
    """The walk needs no level: edges and pairs may come in an order that follows no path."""
    edge_index = random_dag(50, 120, torch.Generator().manual_seed(3))[:, torch.randperm(120)]
    pairs = LineGraph(edge_index, 50).pairs
    graph = LineGraph(edge_index, 50, pairs=pairs[:, torch.randperm(pairs.size(1))[: pairs.size(1) // 2]])
    graph = graph.reverse() if reverse else graph
    operands = operands_of(graph, 5, ties=True)
    expected = value_and_gradients(operands, graph, form="naive")
    assert_all_close(value_and_gradients(operands, graph), expected, 1e-12)


def test_structure_is_not_built_for_it():
    """Neither levels nor a schedule: pairs are enough."""
    graph = LineGraph(random_dag(50, 120, torch.Generator().manual_seed(3)), 50)
    plstm_max_plus(**operands_of(graph), line_graph=graph)
    assert graph._schedule is None and graph._ancestry is None
