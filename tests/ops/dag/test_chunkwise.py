"""The chunkwise form with any cut into blocks and any slices: messages and all gradients against the naive form."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.ops import edge_messages
from plstm_graph.ops.dag import chunkwise
from plstm_graph.ops.dag.chunkwise import edge_messages_chunkwise, slice_sizes
from plstm_graph.testing import assert_close, assert_compiles_once, random_dag, random_operands
from tests.strategies import problems

NAMES = ("query", "key", "value", "source", "transition")


def chain(length):
    return LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)


def ladder(length):
    """A path with a rung over every other node, and one edge that spans it all."""
    edges = [(i, i + 1) for i in range(length)] + [(i, i + 2) for i in range(0, length - 1, 2)] + [(0, length)] * 2
    return LineGraph(torch.tensor(edges).t(), length + 1)


def assert_agrees(graph, operands, block, tolerance=1e-10):
    leaves = [operands[name].detach().requires_grad_() for name in NAMES]
    expected = edge_messages(*leaves, graph, form="naive")
    actual = edge_messages_chunkwise(*leaves, graph, block)
    assert_close(actual, expected, tolerance, "messages")
    out_grad = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, leaves, out_grad, materialize_grads=True)
    found = torch.autograd.grad(actual, leaves, out_grad)
    for name, gradient, reference in zip(NAMES, found, wanted, strict=True):
        assert_close(gradient, reference, tolerance, f"gradient of {name}")


@given(problems(), st.sampled_from([1, 2, 3, None]), st.sampled_from([2**30, 500, 1]), st.sampled_from([2**30, 0]))
def test_any_blocks_and_slices_agree_on_random_dags(problem, block, state_bytes, kept_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunkwise, "STATE_BYTES", state_bytes)
        patch.setattr(chunkwise, "KEPT_BYTES", kept_bytes)
        patch.setattr(chunkwise, "SLICE_NUMBERS", 1)
        assert_agrees(*problem, block)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100, None])
@pytest.mark.parametrize("make", [chain, ladder])
def test_deep_graphs_agree(make, block):
    graph = make(100)
    for directed in (graph, graph.reverse()):
        operands = random_operands(directed, heads=2)
        with torch.no_grad():
            operands["transition"].tanh_().mul_(0.5)
        assert_agrees(directed, operands, block)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck_with_blocks_and_slices(reverse, monkeypatch):
    monkeypatch.setattr(chunkwise, "STATE_BYTES", 100)
    monkeypatch.setattr(chunkwise, "SLICE_NUMBERS", 1)
    graph = LineGraph(random_dag(6, 10, torch.Generator().manual_seed(0)), 6)
    graph = graph.reverse() if reverse else graph
    operands = random_operands(graph, heads=2, key_width=2, value_width=3)
    assert torch.autograd.gradcheck(
        lambda *tensors: edge_messages_chunkwise(*tensors, graph, 2), tuple(operands[name] for name in NAMES)
    )


def test_deterministic_algorithms_are_enough():
    graph = ladder(40)
    operands = random_operands(graph)
    torch.use_deterministic_algorithms(True)
    try:
        assert_agrees(graph, operands, 4)
    finally:
        torch.use_deterministic_algorithms(False)


def test_slices_keep_states_below_the_limit_while_blocks_are_large(monkeypatch):
    monkeypatch.setattr(chunkwise, "STATE_BYTES", 1000)
    monkeypatch.setattr(chunkwise, "SLICE_NUMBERS", 10)
    assert slice_sizes(1000, 10**6, heads=4, columns=16) == (4, 16)
    assert slice_sizes(2000, 10**6, heads=4, columns=16) == (4, 16)
    assert slice_sizes(2001, 10**6, heads=4, columns=16) == (1, 16)
    assert slice_sizes(2001, 10**6, heads=6, columns=16) == (2, 16)
    assert slice_sizes(3000, 10**6, heads=4, columns=16) == (1, 16)
    assert slice_sizes(3000, 10**6, heads=3, columns=16) == (1, 16)
    assert slice_sizes(8000, 10**6, heads=4, columns=16) == (1, 8)
    assert slice_sizes(8001, 10**6, heads=4, columns=16) == (1, 6)
    assert slice_sizes(10**9, 10**6, heads=4, columns=16) == (1, 1)
    assert slice_sizes(10**9, 49, heads=8, columns=16) == (2, 16)
    assert slice_sizes(10**9, 9, heads=4, columns=16) == (4, 16)
    assert slice_sizes(0, 0, heads=1, columns=0) == (1, 1)


def test_saved_states_are_those_of_exits(monkeypatch):
    graph = chain(1000)
    operands = [random_operands(graph)[name] for name in NAMES]

    def saved(block):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.numel()) or tensor, lambda t: t
        ):
            edge_messages_chunkwise(*operands, graph, block)
        return sizes[0]

    assert saved(100) == 9 * 2 * 15
    assert saved(1) == 999 * 2 * 15
    monkeypatch.setattr(chunkwise, "STATE_BYTES", 1000)
    monkeypatch.setattr(chunkwise, "SLICE_NUMBERS", 1)
    assert saved(100) == 9 * 2 * 15
    monkeypatch.setattr(chunkwise, "KEPT_BYTES", 9 * 2 * 15 * 8 - 1)
    assert saved(100) == 0


def test_compiles_once_for_graphs_whose_blocks_are_known():
    class Messages(torch.nn.Module):
        def forward(self, query, key, value, source, transition, line_graph):
            return edge_messages(query, key, value, source, transition, line_graph, form="chunkwise")

    calls = []
    for num_nodes, num_edges in ((40, 400), (50, 500)):
        graph = LineGraph(random_dag(num_nodes, num_edges), num_nodes)
        assert graph.blocks(2, 3, 5).num_blocks > 1
        operands = random_operands(graph)
        calls.append(((*(operands[name] for name in NAMES), graph), {}))
    assert_compiles_once(Messages(), calls, backend="aot_eager")


@pytest.mark.parametrize(("make", "longest"), [(chain, 64), (ladder, 32)])
def test_chosen_blocks_are_long_where_the_graph_is_narrow(make, longest):
    graph = make(1000)
    blocks = graph.blocks(4, 16, 16)
    assert longest / 2 <= graph.schedule.num_levels / blocks.num_blocks <= 2 * longest
    assert blocks is graph.reverse().blocks(4, 16, 16)


def test_a_wide_level_is_cut_into_blocks_that_fit_the_cache():
    edge_index = torch.stack([torch.arange(3000), torch.full((3000,), 3000)])
    blocks = LineGraph(edge_index, 3001).blocks(4, 16, 16)
    assert blocks.edge_ptr.tolist() == [0, 500, 1000, 1500, 2000, 2500, 3000]


def test_blocks_move_with_their_graph():
    graph = ladder(30)
    graph.blocks(2, 3, 5)
    moved = graph.to("meta").blocks(2, 3, 5)
    assert moved.wide.column.device.type == "meta"
    assert moved.edge_ptr.device.type == moved.step_ptr.device.type == "cpu"
    assert graph.to_multitree().blocks(2, 3, 5) is not graph.blocks(2, 3, 5)


def test_block_must_be_positive():
    graph = chain(3)
    operands = [random_operands(graph)[name] for name in NAMES]
    with pytest.raises(ValueError, match="a block must have at least one level, got 0"):
        edge_messages_chunkwise(*operands, graph, 0)
