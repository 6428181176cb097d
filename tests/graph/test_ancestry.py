import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from plstm_graph.graph.ancestry import Ancestry, AncestryTooLargeError
from tests.strategies import line_graphs


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
