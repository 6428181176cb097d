"""The gating matrix by merging blocks, against the operator level by level."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plstm_graph.experimental import merge as module
from plstm_graph.experimental.merge import Block, gating_matrix_merged, merge, single_blocks
from plstm_graph.graph import LineGraph
from plstm_graph.graph.blocks.node_blocks import NodeBlocks
from plstm_graph.ops import gating_matrix
from plstm_graph.testing import assert_close, random_dag, random_operands
from tests.strategies import problems

GATES = ("source", "transition", "mark", "direct")


def assert_merged_equals_gating_matrix(graph, operands):
    gates = [operands[name].detach().requires_grad_() for name in GATES]
    expected, actual = gating_matrix(*gates, graph), gating_matrix_merged(*gates, graph)
    assert_close(actual, expected, 1e-10, "gating matrix")
    out_grad = torch.randn(expected.shape, dtype=expected.dtype)
    grads = [torch.autograd.grad(out, gates, out_grad, materialize_grads=True) for out in (actual, expected)]
    for name, *pair in zip(GATES, *grads, strict=True):
        assert_close(*pair, 1e-10, f"gradient of {name}")


@settings(max_examples=50)
@given(problems())
def test_equals_the_gating_matrix_on_random_dags(problem):
    assert_merged_equals_gating_matrix(*problem)


NAMED_GRAPHS = {
    "no edges": LineGraph(torch.empty(2, 0, dtype=torch.long), 5),
    "chain": LineGraph(torch.stack([torch.arange(36), torch.arange(1, 37)])),
    "edges over all blocks": LineGraph(torch.tensor([[0, 1, 2, 3, 0, 0, 1], [1, 2, 3, 4, 4, 4, 3]])),
    "grid": LineGraph.grid(5, 7),
    "hub": LineGraph(torch.tensor([[*range(20), *[20] * 20], [*[20] * 20, *range(21, 41)]])),
    "sparse and dense parts": LineGraph(
        torch.cat([torch.stack([torch.arange(20), torch.arange(1, 21)]), random_dag(30, 60) + 15], dim=1)
        .sort(dim=0)
        .values,
        60,
    ),
}


@pytest.mark.parametrize("name", NAMED_GRAPHS)
@pytest.mark.parametrize("gate", [None, 0.0, 1.0], ids=["random", "closed", "open"])
def test_equals_the_gating_matrix_on_named_graphs(name, gate):
    graph = NAMED_GRAPHS[name]
    for direction in (graph, graph.reverse(), graph.to_multitree()):
        operands = random_operands(direction)
        with torch.no_grad():
            operands["transition"].mul_(0.5)
        if gate is not None:
            operands = {key: torch.full_like(operand, gate) for key, operand in operands.items()}
        assert_merged_equals_gating_matrix(direction, operands)


def test_no_nodes():
    graph = LineGraph(torch.empty(2, 0, dtype=torch.long), 0)
    assert gating_matrix_merged(*(random_operands(graph)[name] for name in GATES), graph).shape == (2, 0, 0)


@given(problems())
def test_edges_keep_their_slots_from_cut_to_cut(problem):
    graph, _ = problem
    blocks = NodeBlocks.build(graph.edge_index, graph.level)
    first, last = blocks.block[graph.edge_index]
    assert (first < last).all()
    crossing = [((first < cut) & (cut <= last)).sum().item() for cut in range(blocks.num_blocks + 1)]
    assert blocks.cut_width.tolist() == crossing
    slots = [*zip((first + 1).tolist(), blocks.first_slot.tolist(), strict=True)]
    slots += [(cut + 1, slot) for cut, _, slot in blocks.passing.t().tolist()]
    assert sorted(slots) == [(cut, slot) for cut, width in enumerate(crossing) for slot in range(width)]
    assert (blocks.place < blocks.ptr.diff()[blocks.block]).all()


@settings(max_examples=30)
@given(problems(), st.integers(0, 2**16))
def test_merging_is_associative(problem, seed):
    graph, operands = problem
    gates = [operands[name].detach() for name in GATES]
    blocks = NodeBlocks.build(graph.edge_index, graph.level)
    maps = single_blocks(*gates, graph, blocks)
    parts = [Block(maps.transition[b], maps.source[b], maps.mark[b], maps.gating[b]) for b in range(blocks.num_blocks)]
    generator = torch.Generator().manual_seed(seed)
    trees = []
    for _ in range(2):
        forest = list(parts)
        while len(forest) > 1:
            i = int(torch.randint(len(forest) - 1, (), generator=generator))
            forest[i : i + 2] = [merge(forest[i], forest[i + 1])]
        trees.append(forest[0])
    for name in ("transition", "source", "mark", "gating"):
        assert_close(getattr(trees[0], name), getattr(trees[1], name), 1e-12, name)


def test_number_of_steps_grows_with_the_logarithm_of_depth(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "merge", lambda first, second: calls.append(1) or merge(first, second))
    counts = []
    for length in (16, 128, 1024):
        calls.clear()
        graph = LineGraph(torch.stack([torch.arange(length - 1), torch.arange(1, length)]))
        operands = random_operands(graph, heads=1)
        gating_matrix_merged(*(operands[name] for name in GATES), graph)
        counts.append(len(calls))
    # Eight times the depth: three rounds more, each of one batched merge.
    assert counts == [8, 11, 14]


def test_half_precision_is_summed_in_float32():
    graph = LineGraph(torch.stack([torch.zeros(512, dtype=torch.long), torch.arange(1, 513)]))
    graph = LineGraph(torch.cat([graph.edge_index, torch.tensor([[*range(1, 513)], [513] * 512])], dim=1))
    one = torch.ones(1024, 1, dtype=torch.bfloat16)
    out = gating_matrix_merged(one, one[:512], one, torch.zeros(514, 1, dtype=torch.bfloat16), graph)
    assert out.dtype == torch.bfloat16
    assert out[0, 513, 0] == 512


def test_wide_cuts_are_refused_before_they_fill_the_memory():
    graph = LineGraph(random_dag(4000, 40_000, torch.Generator().manual_seed(0)), 4000)
    gate = torch.zeros(40_000, 4)
    message = r"\d+ blocks with up to \d+ edges across a cut take \d+ numbers per head, more than 67108864"
    with pytest.raises(ValueError, match=message):
        gating_matrix_merged(gate, torch.zeros(graph.num_pairs, 4), gate, torch.zeros(4000, 4), graph)
