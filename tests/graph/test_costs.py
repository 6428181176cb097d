"""Structure of large and dense graphs: right against simpler ways, and bounded where what is asked for is too large."""

import networkx as nx
import pytest
import torch

from plstm_graph.graph import (
    LineGraph,
    ancestor_pairs,
    centre_distance,
    descendants,
    line_graph_pairs,
    longest_path_levels,
    multitree_mask,
    reachability,
    transitive,
    transitive_closure,
    transitive_reduction,
)
from plstm_graph.graph.orientation import centre as centre_module
from plstm_graph.testing import random_dag


def complete(size):
    return torch.triu_indices(size, size, 1), size


def layers(width, count):
    layer = torch.cartesian_prod(torch.arange(width), torch.arange(width) + width).t()
    return torch.cat([layer + width * number for number in range(count - 1)], dim=1), width * count


def path(size):
    return torch.stack([torch.arange(size - 1), torch.arange(1, size)]), size


def cycle(size):
    node = torch.arange(size)
    return torch.stack([node, (node + 1) % size]), size


def ladder(length):
    node = torch.arange(length)
    sides = torch.stack([node[:-1], node[1:]])
    return torch.cat([torch.stack([node, node + length]), sides, sides + length], dim=1), 2 * length


def hub(leaves):
    node, middle = torch.arange(1, leaves + 1), torch.zeros(leaves, dtype=torch.long)
    return torch.cat([torch.stack([node, middle]), torch.stack([middle, node + leaves])], dim=1), 2 * leaves + 1


def lone(size):
    return torch.empty(2, 0, dtype=torch.long), size


def random(size, edges, seed=0):
    return random_dag(size, edges, torch.Generator().manual_seed(seed)), size


GRAPHS = {
    "complete": complete(40),
    "layers": layers(7, 5),
    "path": path(150),
    "ladder": ladder(40),
    "hub": hub(30),
    "lone": lone(20),
    "random": random(60, 150),
    "dense": random(40, 400, 1),
    "none": lone(0),
}


@pytest.fixture(params=GRAPHS)
def dag(request):
    return GRAPHS[request.param]


def digraph(edge_index, num_nodes):
    graph = nx.DiGraph(edge_index.t().tolist())
    graph.add_nodes_from(range(num_nodes))
    return graph


@pytest.mark.parametrize("most", [2**28, 0])
def test_closure_with_and_without_bits(dag, most, monkeypatch):
    monkeypatch.setattr(reachability, "_MAX_BIT_BYTES", most)
    expected = sorted((w, u) for u, w in nx.transitive_closure_dag(digraph(*dag)).edges)
    assert transitive_closure(*dag).flip(0).t().tolist() == [list(pair) for pair in expected]


@pytest.mark.parametrize("most", [2**28, 0])
def test_reachability_through_pairs_with_and_without_bits(dag, most, monkeypatch):
    pairs = line_graph_pairs(*dag)
    pairs = pairs[:, torch.rand(pairs.size(1)) < 0.6]
    lines = nx.DiGraph(pairs.t().tolist())
    lines.add_nodes_from(range(dag[0].size(1)))
    start, end = dag[0].tolist()
    expected = {(end[f], start[e]) for f in lines for e in [f, *nx.ancestors(lines, f)]}
    monkeypatch.setattr(reachability, "_MAX_BIT_BYTES", most)
    assert ancestor_pairs(*dag, pairs).flip(0).t().tolist() == [list(pair) for pair in sorted(expected)]


@pytest.mark.parametrize("most", [2**15, -1])
def test_reduction_with_and_without_bits(dag, most, monkeypatch):
    monkeypatch.setattr(transitive, "_MAX_NODES_IN_BITS", most)
    edge_index, num_nodes = dag
    doubled = torch.cat([edge_index, edge_index], dim=1)
    keep = transitive_reduction(doubled, num_nodes)
    assert not keep[edge_index.size(1) :].any(), "of equal edges the first stays"
    kept = set(map(tuple, doubled[:, keep].t().tolist()))
    assert kept == set(nx.transitive_reduction(digraph(*dag)).edges)


def test_descendants_of_wide_and_narrow_graphs(dag):
    edge_index, num_nodes = dag
    for node in range(0, num_nodes, 7):
        expected = nx.descendants(digraph(*dag), node)
        assert set(descendants(edge_index, num_nodes, node).nonzero().view(-1).tolist()) == expected
    wide = torch.stack([torch.arange(600), torch.arange(600, 1200)])
    long = torch.stack([torch.arange(1199, 1300), torch.arange(1200, 1301)])
    found = descendants(torch.cat([wide, long], dim=1), 1301, torch.arange(600))
    assert found.nonzero().view(-1).tolist() == list(range(600, 1301))


@pytest.mark.parametrize("of", [transitive_closure, ancestor_pairs])
@pytest.mark.parametrize(
    ("graph", "most"), [(path(20_000), None), (path(200), 1000), (layers(10, 6), 1200), (hub(100), 9000)]
)
def test_too_many_pairs_are_refused(of, graph, most, monkeypatch):
    if most is not None:
        monkeypatch.setattr(reachability, "MAX_ANCESTOR_PAIRS", most)
    with pytest.raises(ValueError, match=r"takes more than \d+ pairs, too many; ask for the ancestors"):
        of(*graph)


@pytest.mark.parametrize("budget", [4_000_000, 0])
@pytest.mark.parametrize(
    "graph", [cycle(50), complete(30), layers(9, 2), path(77), hub(40), ladder(1), lone(5), cycle(3)]
)
def test_centre_of_what_looks_alike_everywhere_and_of_trees_is_exact(graph, budget, monkeypatch):
    monkeypatch.setattr(centre_module, "_BUDGET", budget)
    undirected = digraph(*graph).to_undirected()
    distance = centre_distance(*graph).tolist()
    for members in nx.connected_components(undirected):
        component = undirected.subgraph(members)
        reached = nx.multi_source_dijkstra_path_length(component, set(nx.center(component)))
        assert {node: distance[node] for node in members} == reached


def test_centre_without_budget_is_still_a_distance():
    for seed in range(5):
        edge_index, num_nodes = random(80, 130, seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(centre_module, "_BUDGET", 0)
            patch.setattr(centre_module, "_SEARCHES", 1)
            distance = centre_distance(edge_index, num_nodes)
        start, end = distance[edge_index]
        assert ((start - end).abs() <= 1).all()
        assert (distance >= 0).all()


def test_large_graphs_end():
    """Each of these took from ten seconds to hours."""
    assert centre_distance(*cycle(5000)).tolist() == [0] * 5000
    edge_index, num_nodes = complete(400)
    assert transitive_closure(edge_index, num_nodes).size(1) == edge_index.size(1)
    assert edge_index[:, transitive_reduction(edge_index, num_nodes)].tolist() == path(400)[0].tolist()
    assert descendants(*path(100_000), 0).sum() == 99_999
    assert LineGraph(*hub(1500)).to_multitree().num_pairs == 1500**2


@pytest.mark.parametrize("graph", [complete(14), layers(5, 4), ladder(12), random(20, 60)])
@pytest.mark.parametrize("most", ["_MAX_SEARCH_EDGES", "_MAX_SEARCH_PAIRS"])
def test_multitree_of_components_too_large_to_search(graph, most, monkeypatch):
    import plstm_graph.graph.multitree.mask as multitree

    monkeypatch.setattr(multitree, most, 3)
    edge_index, num_nodes = graph
    pairs = line_graph_pairs(edge_index, num_nodes)
    keep = multitree_mask(edge_index, num_nodes, pairs, longest_path_levels(edge_index, num_nodes))
    lines = nx.DiGraph(pairs[:, keep].t().tolist())
    order = list(nx.topological_sort(lines))
    for first in order:
        count = dict.fromkeys(order, 0) | {first: 1}
        for edge in order:
            for following in lines.successors(edge):
                count[following] += count[edge]
        assert max(count.values()) == 1
