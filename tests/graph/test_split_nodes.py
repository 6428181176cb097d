import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from tests.strategies import dags


@given(dags())
def test_every_pair_leads_through_its_node(dag):
    graph = LineGraph(*dag)
    split = graph.split_nodes
    start, end = graph.edge_index
    nodes, edges = graph.num_nodes, graph.num_edges
    assert torch.equal(split.edge_index[:, :edges], torch.stack([start + nodes, end]))
    both = [u for u in range(nodes) if u in start.tolist() and u in end.tolist()]
    assert split.edge_index[:, edges:].tolist() == [both, [u + nodes for u in both]]

    step = torch.zeros(split.num_edges, split.num_edges)
    step[split.pairs[0], split.pairs[1]] = 1
    assert ((step @ step)[:edges, :edges].nonzero().tolist()) == graph.pairs.t().tolist()
    assert split.num_pairs <= 2 * edges


@given(dags())
def test_levels_rise_without_gaps(dag):
    split = LineGraph(*dag).split_nodes
    assert (split.schedule.edge_ptr.diff() > 0).all()
    assert (split.level[split.edge_index[0]] < split.level[split.edge_index[1]]).all()


def test_is_built_once_and_shared_with_the_reverse():
    graph = LineGraph.grid(3, 4)
    assert graph.split_nodes is graph.split_nodes
    assert graph.reverse().split_nodes.reverse() is graph.split_nodes
    moved = graph.prepare(split_nodes=True).to("meta")
    assert moved.split_nodes.schedule.pair_in.device.type == "meta"


def test_a_hub_needs_no_more_pairs_than_edges():
    leaves = torch.arange(1, 10_001)
    hub = torch.zeros_like(leaves)
    graph = LineGraph(torch.cat([torch.stack([leaves, hub]), torch.stack([hub, leaves + 10_000])], dim=1))
    assert graph.num_pairs == 10**8
    assert graph.split_nodes.num_pairs == 20_000


def test_a_choice_of_pairs_does_not_factorise():
    graph = LineGraph.grid(3, 3)
    with pytest.raises(ValueError, match=r"all pairs of the DAG, 14, but this line graph has 1[0-3]"):
        _ = graph.to_multitree().split_nodes
