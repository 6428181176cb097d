"""The choice of a form keeps memory bounded: at hubs, pairs are many more than edges."""

import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.graph import structure_native as structure_native
from plstm_graph.ops import plstm
from plstm_graph.ops.dag import cost
from plstm_graph.testing import assert_close, random_operands


def hub(num_in: int, num_out: int) -> LineGraph:
    leaves = torch.arange(1, num_in + num_out + 1)
    start, end = leaves.clone(), leaves.clone()
    start[num_in:], end[:num_in] = 0, 0
    return LineGraph(torch.stack([start, end]), num_in + num_out + 1)


def two_hubs(num_in: int, between: int, num_out: int) -> LineGraph:
    """Every in-edge of the first hub is followed by parallel edges to the second, and those by its out-edges."""
    first, second = torch.arange(2, num_in + 2), torch.arange(num_in + 2, num_in + num_out + 2)
    start = torch.cat([first, torch.zeros(between, dtype=torch.long), torch.ones_like(second)])
    end = torch.cat([torch.zeros_like(first), torch.ones(between, dtype=torch.long), second])
    return LineGraph(torch.stack([start, end]), num_in + num_out + 2)


GRAPHS = {"hub": hub(300, 300), "two hubs": two_hubs(150, 150, 150), "in-star": hub(400, 10), "out-star": hub(1, 400)}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", GRAPHS)
def test_no_form_is_chosen_that_takes_more_than_it_may_while_another_takes_less(name, native, monkeypatch):
    widths = 4, 16, 16
    for most in (2**32, 2**27, 2**25, 2**20, 1):
        monkeypatch.setattr(cost, "MAX_BYTES", most)
        graph = GRAPHS[name].to("cpu")
        seconds = cost.estimate_seconds(graph, *widths, native)
        needed = cost.estimate_bytes(graph, *widths, tuple(seconds), native)
        form = cost.choose_form(graph, *widths, native)
        assert needed[form] <= max(most, min(needed.values()))
        fitting = [seconds[other] for other in seconds if needed[other] <= max(most, min(needed.values()))]
        assert seconds[form] == min(fitting)


@pytest.mark.parametrize("native", [True, False])
def test_four_million_pairs_of_a_hub_need_no_state_each(native):
    graph, widths = hub(2000, 2000), (4, 16, 16)
    assert graph.num_pairs == 4_000_000
    assert cost.estimate_bytes(graph, *widths, ("recurrent",), native)["recurrent"] < cost.MAX_BYTES


@pytest.mark.parametrize("graph", [hub(40, 50), two_hubs(20, 15, 20), hub(100, 1), hub(2, 80)])
def test_what_is_chosen_for_hubs_is_right(graph):
    operands = random_operands(graph, heads=2, key_width=3, value_width=2)
    expected = plstm(**operands, line_graph=graph, form="naive")
    assert_close(plstm(**operands, line_graph=graph), expected, 1e-10, "auto")


@pytest.mark.parametrize("name", GRAPHS)
def test_lists_of_ancestors_grow_no_further_than_they_are_filled(name, monkeypatch):
    graph, rooms = GRAPHS[name].to("cpu"), []
    grown = structure_native._grown
    monkeypatch.setattr(structure_native, "_grown", lambda *a: (rooms.append(a[2]), grown(*a))[1])
    size = max(graph.ancestry.num_entries, graph.ancestry.step_to.numel(), graph.num_edges)
    assert max(rooms, default=0) <= 4 * size
