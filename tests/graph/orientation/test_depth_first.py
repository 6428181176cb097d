import networkx as nx
import pytest
import torch
from hypothesis import given

from plstm_graph.graph.levels import longest_path_levels
from plstm_graph.graph.orientation.depth_first import depth_first_rank
from plstm_graph.graph.orientation.orient import orient
from tests.strategies import dags


@given(dags())
def test_each_component_has_one_source_and_its_order_is_depth_first(dag):
    edge_index, num_nodes = dag
    rank = depth_first_rank(edge_index, num_nodes)
    assert sorted(rank.tolist()) == list(range(num_nodes))
    oriented, _ = orient(edge_index, rank)
    in_degree = torch.bincount(oriented[1], minlength=num_nodes)
    graph = nx.Graph(edge_index.t().tolist())
    graph.add_nodes_from(range(num_nodes))
    for component in nx.connected_components(graph):
        assert sum(in_degree[node] == 0 for node in component) == 1
        # Depth-first: a node other than the root hangs on the latest-found of its earlier neighbours, and between the
        # two only descendants of that neighbour are found.
        for node in component:
            earlier = [rank[m].item() for m in graph[node] if rank[m] < rank[node]]
            if earlier:
                between = {v for v in component if max(earlier) < rank[v] < rank[node]}
                parent = int((rank == max(earlier)).nonzero())
                kept = graph.subgraph(between | {parent})
                assert nx.is_connected(kept)


def test_path_is_walked_from_end_to_end():
    edge_index = torch.tensor([[3, 1, 0], [1, 0, 2]])
    assert depth_first_rank(edge_index, 4).tolist() in ([2, 1, 3, 0], [1, 2, 0, 3])


def test_tie_decides_root_and_branch():
    star = torch.tensor([[0, 0, 0], [1, 2, 3]])
    assert depth_first_rank(star, 4, tie=torch.tensor([0, 3, 1, 2])).tolist() == [1, 3, 0, 2]


def test_ring_becomes_one_thread():
    ring = torch.stack([torch.arange(6), torch.arange(6).roll(-1)])
    oriented, _ = orient(ring, depth_first_rank(ring, 6))
    assert longest_path_levels(oriented, 6).max() == 5


def test_deep_graph_needs_no_recursion():
    path = torch.stack([torch.arange(4999), torch.arange(1, 5000)])
    assert depth_first_rank(path, 5000).diff().abs().unique().tolist() == [1]


def test_wrong_tie_is_named():
    with pytest.raises(ValueError, match=r"tie must be \[N\] = \[3\]"):
        depth_first_rank(torch.tensor([[0], [1]]), 3, tie=torch.tensor([0, 1]))
