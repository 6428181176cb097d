from dataclasses import fields

import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from plstm_graph.graph import ancestry as ancestry_module
from plstm_graph.graph import links as links_module
from plstm_graph.graph.ancestry import Ancestry, AncestryTooLargeError
from plstm_graph.graph.links import Links
from plstm_graph.graph.structure_native import has_native_structure
from plstm_graph.testing import random_dag
from tests.strategies import line_graphs

needs_compiler = pytest.mark.skipif(
    not has_native_structure(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)


@given(line_graphs())
def test_entries_are_the_pattern_of_the_resolvent(graph):
    forward = graph.reverse() if graph.is_reversed else graph
    schedule, ancestry = graph.schedule, graph.ancestry
    size = graph.num_edges
    step = torch.zeros(size, size, dtype=torch.float64)
    step[schedule.pair_out, schedule.pair_in] = 1.0
    reach = torch.linalg.inv(torch.eye(size, dtype=torch.float64) - step) > 0.5
    expected = reach.nonzero().t()
    assert torch.equal(torch.stack([ancestry.to_edge, ancestry.from_edge]), expected)
    assert torch.equal(ancestry.from_edge[ancestry.own], torch.arange(size))
    # Each step crosses its pair and keeps its origin, and it starts from an entry of an earlier level.
    pair = forward.pairs[:, ancestry.step_pair]
    assert torch.equal(schedule.edge_order[ancestry.to_edge[ancestry.step_from]], pair[0])
    assert torch.equal(schedule.edge_order[ancestry.to_edge[ancestry.step_to]], pair[1])
    assert torch.equal(ancestry.from_edge[ancestry.step_from], ancestry.from_edge[ancestry.step_to])
    assert ancestry.step_ptr[-1] == ancestry.step_from.numel()


def listed(graph, in_c):
    """Every tensor of the ancestry and of both kinds of links."""
    with pytest.MonkeyPatch.context() as patch:
        if not in_c:
            for module in (ancestry_module, links_module):
                patch.setattr(module, "has_native_structure", lambda tensor: False)
        schedule = graph.schedule
        ancestry = Ancestry.build(schedule)
        links = [Links.between_nodes(schedule, ancestry, graph.num_nodes)]
        links += [Links.of_edges(schedule, ancestry, graph.num_nodes, reverse) for reverse in (False, True)]
    tensors = [getattr(ancestry, f.name) for f in fields(ancestry)]
    for some in links:
        tensors += [*some.by_reader, *some.by_read, some.reader, some.read, some.entry_link, some.own_link]
    return tensors


def assert_c_lists_what_torch_lists(graph):
    for in_c, in_torch in zip(listed(graph, True), listed(graph, False), strict=True):
        assert in_c.dtype == in_torch.dtype and torch.equal(in_c, in_torch)


@needs_compiler
@given(line_graphs())
def test_c_lists_what_torch_lists(graph):
    assert_c_lists_what_torch_lists(graph)


@needs_compiler
def test_c_lists_what_torch_lists_when_lists_have_to_grow():
    chain = LineGraph(torch.stack([torch.arange(300), torch.arange(1, 301)]))
    hub = LineGraph(torch.tensor([[*range(1, 40), *[0] * 40], [0] * 39 + list(range(40, 80))]))
    dense = LineGraph(random_dag(60, 600, torch.Generator().manual_seed(0)), 60)
    for graph in (chain, hub, dense, dense.to_multitree(), LineGraph.grid(9, 7)):
        assert_c_lists_what_torch_lists(graph)


@pytest.mark.parametrize("in_c", [pytest.param(True, marks=needs_compiler), False])
def test_ancestors_that_are_too_many_in_c_and_in_torch(in_c, monkeypatch):
    if not in_c:
        monkeypatch.setattr(ancestry_module, "has_native_structure", lambda tensor: False)
    schedule = LineGraph(torch.stack([torch.arange(50), torch.arange(1, 51)])).schedule
    assert Ancestry.build(schedule, max_entries=50 * 51 // 2).num_entries == 50 * 51 // 2
    with pytest.raises(AncestryTooLargeError, match="the 50 edges have more than 1000 ancestors"):
        Ancestry.build(schedule, max_entries=1000)


def test_too_many_ancestors_are_not_listed():
    chain = LineGraph(torch.stack([torch.arange(500), torch.arange(1, 501)]))
    assert not chain.has_ancestry(1000)
    with pytest.raises(AncestryTooLargeError, match="the 500 edges have more than 1000 ancestors"):
        Ancestry.build(chain.schedule, max_entries=1000)
    assert not chain.reverse().has_ancestry(999)
    assert chain.has_ancestry(500 * 501 // 2)
    assert not chain.has_ancestry(1000)
    assert chain.ancestry.num_entries == 500 * 501 // 2


def test_prepare_lists_ancestors_of_both_modes_and_to_moves_them():
    graph = LineGraph.grid(3, 3).prepare()
    moved = graph.to("cpu")
    assert moved._ancestry is not None and moved.to_multitree()._ancestry is not None
    assert torch.equal(moved.ancestry.from_edge, graph.ancestry.from_edge)
    assert graph.to("meta").ancestry.step_ptr.device.type == "cpu"
