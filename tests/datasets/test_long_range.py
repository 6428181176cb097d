"""Synthetic long-range tasks: what they ask, and that a graph depends on seed and number alone."""

import networkx
import numpy as np
import pytest
import torch

from plstm_graph.datasets.long_range import LongRange
from plstm_graph.graph import longest_path


def graph_of(data):
    graph = networkx.MultiDiGraph()
    graph.add_nodes_from(range(data.num_nodes))
    graph.add_edges_from(data.edge_index.t().tolist())
    return graph


@pytest.mark.parametrize("task", ["copy", "longest_path", "reachability", "path_parity"])
def test_graphs_depend_on_seed_and_number(task):
    graphs = LongRange(task, 5, 40, smallest=16)
    again, other = LongRange(task, 9, 40, smallest=16), LongRange(task, 5, 40, smallest=16, seed=1)
    assert len(graphs) == 5 and len(list(graphs)) == 5
    assert all(torch.equal(graphs[3].edge_index, graph.edge_index) for graph in (again[3], graphs[-2], graphs[2:][1]))
    torch.testing.assert_close(graphs[3].y, again[3].y, equal_nan=True)
    same = [
        a.x.shape == b.x.shape and torch.equal(a.x, b.x) and torch.equal(a.edge_index, b.edge_index)
        for a, b in zip(graphs, other, strict=True)
    ]
    assert not any(same)
    assert len({data.num_nodes for data in graphs}) > 1
    with pytest.raises(IndexError, match="graph 5 of 5"):
        graphs[5]


@pytest.mark.parametrize("shape", ["chain", "braid"])
def test_copy(shape):
    for data in LongRange("copy", 10, 30, smallest=2, shape=shape):
        (source,), (sink,) = (data.x[:, 1] == 1).nonzero().view(1, -1), (data.x[:, 1] == 2).nonzero().view(1, -1)
        assert data.y.isnan().sum() == data.num_nodes - 1
        assert data.y[sink] == data.x[source, 0]
        path = longest_path(data.edge_index, data.num_nodes)
        assert path[0] == source and path[-1] == sink
        paths = len(list(networkx.all_simple_paths(graph_of(data), int(source), int(sink))))
        assert paths == (1 if shape == "chain" else 2 ** ((len(path) - 1) // 2))


def test_answers_on_random_dags():
    for data in LongRange("longest_path", 3, 40):
        graph = networkx.DiGraph(graph_of(data))
        expected = {node: 0 for node in graph}
        for node in networkx.topological_sort(graph):
            expected[node] = max((expected[before] + 1 for before in graph.predecessors(node)), default=0)
        assert data.y.view(-1).tolist() == [expected[node] for node in range(data.num_nodes)]
    for reach, parity in zip(LongRange("reachability", 4, 40), LongRange("path_parity", 4, 40), strict=True):
        graph = networkx.DiGraph(graph_of(reach))
        (source,) = reach.x.nonzero()[:, 0].tolist()
        reached = networkx.descendants(graph, source)
        assert {node for node, value in enumerate(reach.y.view(-1).tolist()) if value} == reached
        counts = np.linalg.inv(np.eye(40) - networkx.to_numpy_array(graph, nodelist=range(40)))[source].round()
        for node, value in enumerate(parity.y.view(-1).tolist()):
            assert value == counts[node] % 2 if node in reached else np.isnan(value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sort", 1, 20), "task must be one of copy, longest_path"),
        (("copy", 1, 1), "needs 2 <= smallest <= size, got smallest=None, size=1"),
        (("copy", 1, 20, 30), "smallest=30, size=20"),
        (("copy", 1, 20, None, "ring"), "shape chain or braid"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        LongRange(*arguments)
