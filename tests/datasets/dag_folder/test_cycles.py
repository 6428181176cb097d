"""Which edges close cycles; networkx is the judge of what is acyclic."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.datasets.dag_folder.cycles import edges_on_cycles, feedback_edges


def digraph(edge_index):
    return nx.MultiDiGraph(edge_index.T.tolist())


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_no_cycle_is_left_and_only_edges_on_cycles_go(made):
    nodes, edges = made
    edge_index = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    back, on = feedback_edges(edge_index, nodes), edges_on_cycles(edge_index, nodes)
    assert nx.is_directed_acyclic_graph(digraph(edge_index[:, ~back]))
    assert not (back & ~on).any()
    components = enumerate(nx.strongly_connected_components(digraph(edge_index)))
    component = {node: number for number, part in components for node in part}
    assert on.tolist() == [component[a] == component[b] for a, b in edge_index.T.tolist()]


@pytest.mark.parametrize("length", [2, 3, 50])
def test_one_edge_of_a_cycle_goes_the_one_that_leads_back_to_its_first_node(length):
    nodes = np.arange(length)
    edge_index = np.stack([nodes, (nodes + 1) % length])
    assert feedback_edges(edge_index, length).nonzero()[0].tolist() == [length - 1]


def test_few_edges_go():
    """Of a DAG with one edge in fifty turned round, about as many."""
    draw = np.random.default_rng(0)
    edge_index = np.sort(draw.integers(0, 1000, (2, 5000)), axis=0)
    edge_index = edge_index[:, edge_index[0] < edge_index[1]]
    turned = draw.random(edge_index.shape[1]) < 0.02
    edge_index[:, turned] = edge_index[::-1, turned]
    assert feedback_edges(edge_index, 1000).sum() <= turned.sum()


def test_many_parallel_edges_weigh_as_many():
    edge_index = np.array([[0] * 300 + [1], [1] * 300 + [0]])
    assert feedback_edges(edge_index, 2).nonzero()[0].tolist() == [300]


def test_a_graph_without_nodes():
    assert feedback_edges(np.zeros((2, 0), dtype=np.int64), 0).shape == (0,)
