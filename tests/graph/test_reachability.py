import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import CycleError, line_graph_pairs
from plstm_graph.graph.reachability import ancestor_pairs
from tests.strategies import dags


def sorted_columns(reached):
    return torch.tensor(sorted((w, u) for u, w in reached), dtype=torch.long).view(-1, 2).flip(1).t()


@given(dags(max_nodes=16, max_edges=40))
def test_ancestors_in_the_dag(dag):
    edge_index = dag[0]
    graph = nx.DiGraph(edge_index.t().tolist())
    expected = sorted_columns((u, w) for w in graph for u in nx.ancestors(graph, w))
    assert torch.equal(ancestor_pairs(*dag), expected)
    assert torch.equal(ancestor_pairs(*dag, line_graph_pairs(*dag)), expected)


@given(dags(max_nodes=12, max_edges=24), st.randoms(use_true_random=False))
def test_ancestors_through_chosen_pairs(dag, random):
    edge_index = dag[0]
    pairs = line_graph_pairs(*dag)
    columns = random.sample(range(pairs.size(1)), pairs.size(1) // 2)
    pairs = pairs[:, torch.tensor(columns, dtype=torch.long)]
    line_graph = nx.DiGraph(pairs.t().tolist())
    line_graph.add_nodes_from(range(edge_index.size(1)))
    reached = {
        (int(edge_index[0, e]), int(edge_index[1, f])) for f in line_graph for e in {f, *nx.ancestors(line_graph, f)}
    }
    assert torch.equal(ancestor_pairs(*dag, pairs), sorted_columns(reached))


@pytest.mark.parametrize("num_nodes", [0, 3])
def test_no_edges(num_nodes):
    empty = torch.empty(2, 0, dtype=torch.long)
    assert ancestor_pairs(empty, num_nodes).shape == ancestor_pairs(empty, num_nodes, empty).shape == (2, 0)


def test_long_chain():
    node = torch.arange(400)
    assert ancestor_pairs(torch.stack([node[:-1], node[1:]]), 400).size(1) == 400 * 399 // 2


def test_cycle():
    with pytest.raises(CycleError, match="cycle of 2 nodes"):
        ancestor_pairs(torch.tensor([[0, 1], [1, 0]]), 2)
