"""Arrival and required times against all paths one by one, and the path that a tracer follows."""

import math

import networkx as nx
import pytest
import torch

from plstm_graph import CycleError
from plstm_graph.datasets.circuits.timing_analysis import arrival_times, latest_path, required_times
from plstm_graph.graph import random_dag
from plstm_graph.testing import assert_close

SIZES = [(1, 0), (2, 1), (9, 14), (14, 40), (30, 45)]


def dag(nodes, edges, seed):
    generator = torch.Generator().manual_seed(seed)
    edge_index = random_dag(nodes, edges, generator=generator)
    if edges > 2:
        edge_index = torch.cat([edge_index, edge_index[:, :2]], dim=1)  # parallel edges are legal
    delay = torch.randn(edge_index.size(1), dtype=torch.double, generator=generator)
    return edge_index, delay + (1.0 if seed % 2 else 0.0)  # also negative ones


def by_paths(edge_index, delay, sources, ends):
    """The largest sum of delays over all paths from any source to each end, by listing them."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from([*sources, *ends])
    graph.add_weighted_edges_from(
        (start, end, value) for (start, end), value in zip(edge_index.t().tolist(), delay.tolist(), strict=True)
    )
    largest = {}
    for end in ends:
        sums = [0.0] if end in sources else []
        for source in sources:
            if source != end:
                paths = nx.all_simple_edge_paths(graph, source, end)
                sums += [sum(graph.edges[edge]["weight"] for edge in path) for path in paths]
        largest[end] = max(sums, default=-math.inf)
    return largest


@pytest.mark.parametrize(("nodes", "edges"), SIZES[:4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_arrival_is_the_largest_sum_over_all_paths(nodes, edges, seed):
    edge_index, delay = dag(nodes, edges, seed)
    sources = sorted(set(range(nodes)) - set(edge_index[1].tolist()))
    expected = by_paths(edge_index, delay, sources, range(nodes))
    found = arrival_times(edge_index, delay, nodes)
    assert_close(found, torch.tensor([expected[node] for node in range(nodes)], dtype=torch.double), 1e-13, "arrival")


@pytest.mark.parametrize(("nodes", "edges"), SIZES[:4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_required_is_the_period_without_the_largest_sum_to_any_endpoint(nodes, edges, seed):
    edge_index, delay = dag(nodes, edges, seed)
    ends = list(range(0, nodes, 3))
    is_endpoint = torch.zeros(nodes, dtype=torch.bool)
    is_endpoint[ends] = True
    found = required_times(edge_index, delay, is_endpoint, 50.0)
    for node in range(nodes):
        expected = 50.0 - max(by_paths(edge_index, delay, [node], ends).values())
        assert found[node].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("nodes", "edges"), SIZES)
def test_slack_is_nowhere_negative_and_zero_along_the_critical_path(nodes, edges):
    edge_index, delay = dag(nodes, edges, 1)
    arrival = arrival_times(edge_index, delay, nodes)
    slack = required_times(edge_index, delay, torch.ones(nodes, dtype=torch.bool), float(arrival.max())) - arrival
    assert slack.min() > -1e-12  # sums of a few numbers of size 1, in another order
    assert slack[arrival.argmax()].abs() < 1e-12


@pytest.mark.parametrize(("nodes", "edges"), SIZES)
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_latest_path_is_critical_where_inputs_of_a_gate_are_alike(nodes, edges, seed):
    """Delays that depend on the gate alone: its latest predecessor is on a longest path to it."""
    edge_index, _ = dag(nodes, edges, seed)
    of_gate = torch.rand(nodes, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    delay = of_gate[edge_index[1]]
    arrival = arrival_times(edge_index, delay, nodes)
    for end in range(nodes):
        path = latest_path(edge_index, arrival, end)
        start, stop = edge_index[:, path]
        assert torch.equal(start[1:], stop[:-1]) and (not len(path) or stop[-1] == end)
        first = start[0] if len(path) else end
        assert not (edge_index[1] == first).any()  # it begins at a source
        assert_close(delay[path].sum(), arrival[end], 1e-13, "delay")


def test_of_equal_predecessors_the_first_column_counts():
    edge_index = torch.tensor([[1, 0, 0, 2], [2, 2, 2, 3]])
    for columns in ([0, 1, 2, 3], [2, 0, 1, 3], [3, 1, 2, 0]):
        turned = edge_index[:, columns]
        path = latest_path(turned, torch.tensor([0.0, 0.0, 1.0, 2.0]), 3)
        into = [column for column in range(4) if turned[1, column] == 2]
        assert path.tolist() == [into[0], columns.index(3)]


def test_a_deep_chain_is_exact():
    nodes = 20_000
    edge_index = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    arrival = arrival_times(edge_index, torch.full((nodes - 1,), 0.5), nodes)
    assert torch.equal(arrival, 0.5 * torch.arange(nodes, dtype=torch.double))  # halves are exact
    assert len(latest_path(edge_index, arrival, nodes - 1)) == nodes - 1


def test_a_cycle_is_named():
    with pytest.raises(CycleError, match="0 -> 1"):
        arrival_times(torch.tensor([[0, 1], [1, 0]]), torch.ones(2), 2)
