"""Each tool against networkx."""

import itertools

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import CycleError
from plstm_graph.graph.generations import generations, heights
from plstm_graph.graph.longest_path import longest_path
from plstm_graph.graph.random_dag import random_dag, random_tree
from plstm_graph.graph.transitive import ancestors, descendants, transitive_closure, transitive_reduction
from tests.strategies import dags

_CYCLE = torch.tensor([[0, 1], [1, 0]])
_EMPTY = torch.empty(2, 0, dtype=torch.long)


def _networkx(edge_index, num_nodes):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edge_index.t().tolist())
    return graph


def _edges(edge_index):
    return sorted(map(tuple, edge_index.t().tolist()))


@given(dags())
def test_generations_and_heights(dag):
    graph = _networkx(*dag)
    assert [nodes.tolist() for nodes in generations(*dag)] == [sorted(g) for g in nx.topological_generations(graph)]
    expected = {node: number for number, g in enumerate(nx.topological_generations(graph.reverse())) for node in g}
    assert heights(*dag).tolist() == [expected[node] for node in range(dag[1])]


@given(dags())
def test_the_longest_path_is_one_and_is_longest(dag):
    graph, path = _networkx(*dag), longest_path(*dag).tolist()
    assert len(path) - 1 == nx.dag_longest_path_length(graph)
    assert all(graph.has_edge(u, v) for u, v in itertools.pairwise(path))


@given(dags(), st.data())
def test_ancestors_and_descendants(dag, data):
    graph = _networkx(*dag)
    nodes = data.draw(st.lists(st.integers(0, dag[1] - 1), max_size=3))
    below = set().union(*(nx.descendants(graph, node) for node in nodes))
    above = set().union(*(nx.ancestors(graph, node) for node in nodes))
    index = torch.tensor(nodes, dtype=torch.long)
    assert set(descendants(*dag, index).nonzero().view(-1).tolist()) == below
    assert set(ancestors(*dag, index).nonzero().view(-1).tolist()) == above


def test_a_single_node_may_be_given_as_a_number():
    assert descendants(torch.tensor([[0, 1], [1, 2]]), 3, 1).tolist() == [False, False, True]
    assert ancestors(torch.tensor([[0, 1], [1, 2]]), 3, [1, 2]).tolist() == [True, True, False]


@given(dags())
def test_closure(dag):
    assert _edges(transitive_closure(*dag)) == sorted(nx.transitive_closure_dag(_networkx(*dag)).edges)


@given(dags())
def test_reduction(dag):
    keep = transitive_reduction(*dag)
    assert _edges(dag[0][:, keep]) == sorted(nx.transitive_reduction(_networkx(*dag)).edges)


def test_reduction_of_a_larger_dag_in_groups(monkeypatch):
    monkeypatch.setattr("plstm_graph.graph.transitive._GROUP", 50)
    edge_index = random_dag(150, 2000, generator=torch.Generator().manual_seed(0))
    keep = transitive_reduction(edge_index, 150)
    assert _edges(edge_index[:, keep]) == sorted(nx.transitive_reduction(_networkx(edge_index, 150)).edges)


def test_of_equal_edges_the_first_stays():
    assert transitive_reduction(torch.tensor([[0, 0, 0], [1, 1, 1]]), 2).tolist() == [True, False, False]


@given(st.integers(0, 12), st.data())
def test_random_dags_are_what_was_asked_for(num_nodes, data):
    span = data.draw(st.none() | st.integers(0, 14))
    limit = max(num_nodes - 1, 0) if span is None else min(span, max(num_nodes - 1, 0))
    most = sum(min(limit, num_nodes - 1 - node) for node in range(num_nodes))
    count = data.draw(st.integers(0, most))
    edge_index = random_dag(num_nodes, count, span)
    graph = _networkx(edge_index, num_nodes)
    assert graph.number_of_edges() == count == edge_index.size(1)
    assert nx.is_directed_acyclic_graph(graph)
    assert edge_index.numel() == 0 or int(edge_index.max()) < num_nodes
    with pytest.raises(ValueError, match=f"has 0 to {most} edges, not {most + 1}"):
        random_dag(num_nodes, most + 1, span)


def test_every_possible_edge_is_drawn_alike():
    counts = torch.zeros(6, 6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3000):
        start, end = random_dag(6, 3, generator=generator)
        counts[start, end] += 1
    share = counts[~torch.eye(6, dtype=torch.bool)] / 3000
    torch.testing.assert_close(share, torch.full_like(share, 3 / 30), atol=0.02, rtol=0)


def test_the_order_of_a_seed_is_kept():
    first, second = (random_dag(50, 100, 7, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, random_dag(50, 100, 7, torch.Generator().manual_seed(4)))


def test_random_trees_are_trees():
    graph = _networkx(random_tree(40), 40)
    assert nx.is_arborescence(graph)
    assert random_tree(1).shape == (2, 0)


@pytest.mark.parametrize(
    "tool",
    [generations, heights, longest_path, transitive_closure, transitive_reduction],
    ids=lambda tool: tool.__name__,
)
def test_cycles_are_refused_and_empty_graphs_are_not(tool):
    with pytest.raises(CycleError):
        tool(_CYCLE, 2)
    assert len(tool(_EMPTY, 0)) in (0, 2)
    tool(_EMPTY, 3)
