import networkx as nx
import pytest
import torch
from hypothesis import given

from plstm_graph.graph import CycleError, levels, longest_path_levels
from plstm_graph.testing import random_dag
from tests.strategies import dags


def networkx_levels(edge_index, num_nodes):
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edge_index.t().tolist())
    expected = torch.zeros(num_nodes, dtype=torch.long)
    for level, generation in enumerate(nx.topological_generations(graph)):
        expected[list(generation)] = level
    return expected


@given(dags(max_nodes=30, max_edges=60))
def test_levels_are_topological_generations(dag):
    assert torch.equal(longest_path_levels(*dag), networkx_levels(*dag))


@pytest.mark.parametrize("narrow", [1, 7, 10**9], ids=["wide", "mixed", "narrow"])
def test_wide_and_narrow_peeling_agree(monkeypatch, narrow):
    monkeypatch.setattr(levels, "NARROW", narrow)
    edge_index = random_dag(300, 700, torch.Generator().manual_seed(1))
    assert torch.equal(longest_path_levels(edge_index, 300), networkx_levels(edge_index, 300))


@pytest.mark.parametrize("num_nodes", [0, 1, 5])
def test_graph_without_edges(num_nodes):
    edge_index = torch.empty(2, 0, dtype=torch.long)
    assert torch.equal(longest_path_levels(edge_index, num_nodes), torch.zeros(num_nodes, dtype=torch.long))


def test_self_loop_is_a_cycle():
    with pytest.raises(CycleError, match="3 -> 3 is a cycle of 1 node") as error:
        longest_path_levels(torch.tensor([[0, 3], [1, 3]]), 4)
    assert error.value.cycle == [3]


@pytest.mark.parametrize("tail", [0, 300], ids=["small", "behind a wide level"])
def test_cycle_error_names_the_nodes_of_one_cycle(tail):
    # 0 -> 1 -> 2 -> 3 -> 1, 3 -> 4, and `tail` sources that lead to 0.
    edges = [(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)] + [(5 + i, 0) for i in range(tail)]
    with pytest.raises(CycleError) as error:
        longest_path_levels(torch.tensor(edges).t(), 5 + tail)
    cycle = error.value.cycle
    assert sorted(cycle) == [1, 2, 3]
    assert all((u, v) in edges for u, v in zip(cycle, cycle[1:] + cycle[:1], strict=True))


def test_long_cycle_is_abbreviated_in_the_message():
    nodes = torch.arange(1000)
    with pytest.raises(CycleError, match=r"\.\.\..*cycle of 1000 nodes") as error:
        longest_path_levels(torch.stack([nodes, nodes.roll(-1)]), 1000)
    assert len(str(error.value)) < 300
