"""The part of a large DAG that is shown; networkx says which ways there are."""

import networkx as nx
import pytest
import torch

from plstm_graph.graph import longest_path_levels
from plstm_graph.testing import random_dag
from plstm_graph.viz.neighbourhood import neighbourhood
from plstm_graph.viz.overview import overview_layout


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("asks", [True, False])
def test_what_is_shown_hangs_together(seed, asks):
    torch.manual_seed(seed)
    edge_index, total = random_dag(400, 900), 400
    graph = nx.DiGraph(edge_index.t().tolist())
    graph.add_nodes_from(range(total))
    item = int(torch.bincount(edge_index[1], minlength=total).argmax())
    values = torch.randn(total) ** 3 * (torch.rand(total) < 0.3)
    shown = neighbourhood(edge_index, values, [item] if asks else [], most=40)
    nodes = set(shown.nodes.tolist())
    assert len(nodes) <= 40
    assert {tuple(edge) for edge in shown.ends.t().tolist()} == set(graph.subgraph(nodes).edges)
    for (start, end), hidden in zip(shown.ways.t().tolist(), shown.hidden, strict=True):
        assert {start, end} <= nodes and hidden > 0
        assert nx.shortest_path_length(graph, start, end) <= hidden + 1
    drawn = nx.DiGraph([*shown.ends.t().tolist(), *shown.ways.t().tolist()])
    assert nx.is_directed_acyclic_graph(drawn)
    assert int(longest_path_levels(shown.drawn, len(nodes)).max()) < 18
    if asks:
        assert item in nodes and set(graph.predecessors(item)) <= nodes and shown.left_out == 0
        for node in nodes - {item}:
            if nx.has_path(graph, node, item):
                assert nx.has_path(drawn, node, item)
    strongest = values.abs().topk(5).indices.tolist()
    assert asks or set(strongest) <= nodes


def test_in_edges_of_a_hub_are_counted_where_there_is_no_room():
    edge_index = torch.stack([torch.arange(500), torch.full((500,), 500)])
    shown = neighbourhood(edge_index, torch.arange(501.0), [500])
    assert len(shown.nodes) == 60 and shown.left_out == 500 - 59
    assert shown.nodes.tolist() == list(range(441, 501))


def test_nodes_that_add_nothing_are_not_chosen():
    shown = neighbourhood(torch.stack([torch.arange(99), torch.arange(1, 100)]), torch.zeros(100), [50])
    assert shown.nodes.tolist() == [49, 50]


def test_an_overview_has_a_place_for_every_node():
    edge_index = random_dag(3000, 6000)
    places = overview_layout(edge_index, 3000)
    assert places.shape == (3000, 2) and abs(places[:, 1]).max() <= 0.5
    start, end = edge_index
    assert (places[start, 0] < places[end, 0]).all()
    assert len({tuple(place) for place in places.tolist()}) == 3000
