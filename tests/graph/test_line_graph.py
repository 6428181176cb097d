import itertools
import pickle

import networkx as nx
import pytest
import torch
from hypothesis import given

from plstm_graph.graph import CycleError, LineGraph
from plstm_graph.testing import random_dag
from tests.strategies import dags, line_graphs


@given(dags())
def test_pairs_are_the_arcs_of_the_line_graph(dag):
    edge_index, num_nodes = dag
    graph = LineGraph.from_edge_index(edge_index, num_nodes)
    edges = edge_index.t().tolist()
    expected = [(e, f) for e, f in itertools.product(range(len(edges)), repeat=2) if edges[e][1] == edges[f][0]]
    assert list(map(tuple, graph.pairs.t().tolist())) == expected


def test_agrees_with_networkx_line_graph():
    edge_index = torch.unique(random_dag(40, 120, torch.Generator().manual_seed(0)), dim=1)
    dag = nx.DiGraph(edge_index.t().tolist())
    graph = LineGraph(edge_index, 40)
    ends = edge_index.t().tolist()
    ours = {(tuple(ends[e]), tuple(ends[f])) for e, f in graph.pairs.t().tolist()}
    assert ours == set(nx.line_graph(dag).edges)


@given(line_graphs())
def test_schedule_orders_edges_and_pairs_by_level(graph):
    forward = graph.reverse() if graph.is_reversed else graph
    schedule = graph.schedule
    level = forward.level[schedule.start]
    edge_ptr, pair_ptr = schedule.edge_ptr.tolist(), schedule.pair_ptr.tolist()
    assert len(edge_ptr) == len(pair_ptr) == schedule.num_levels + 1
    for number, (first, last) in enumerate(itertools.pairwise(edge_ptr)):
        assert first < last, "every level has edges"
        assert (level[first:last] == number).all()
    for number, (first, last) in enumerate(itertools.pairwise(pair_ptr)):
        assert (level[schedule.pair_out[first:last]] == number).all()
    assert (level[schedule.pair_in] < level[schedule.pair_out]).all()
    assert (schedule.pair_out.diff() >= 0).all()
    stored = torch.stack([schedule.edge_order[schedule.pair_in], schedule.edge_order[schedule.pair_out]])
    assert torch.equal(stored, forward.pairs[:, schedule.pair_order])
    assert torch.equal(torch.stack([schedule.start, schedule.end]), forward.edge_index[:, schedule.edge_order])
    assert torch.equal(schedule.edge_position[schedule.edge_order], torch.arange(graph.num_edges))


@given(line_graphs())
def test_reverse_is_the_transpose_with_the_same_edges_and_pairs(graph):
    reverse = graph.reverse()
    assert torch.equal(reverse.edge_index, graph.edge_index.flip(0))
    assert torch.equal(reverse.pairs, graph.pairs.flip(0))
    assert reverse.schedule is graph.schedule
    assert torch.equal(reverse.level, LineGraph(reverse.edge_index, graph.num_nodes).level)
    assert reverse.reverse() is graph or graph.is_reversed


def test_a_users_dag_keeps_its_directions():
    graph = LineGraph(torch.tensor([[2, 1], [1, 0]]), 3)
    assert graph.level.tolist() == [2, 1, 0]
    assert graph.pairs.tolist() == [[0], [1]]


def test_multitree_is_cached_shared_with_the_reverse_and_idempotent():
    graph = LineGraph.grid(3, 3)
    tree = graph.to_multitree()
    assert tree.num_pairs < graph.num_pairs
    assert graph.to_multitree() is tree
    assert tree.to_multitree() is tree
    assert torch.equal(graph.reverse().to_multitree().pairs, tree.pairs.flip(0))


def test_given_level_and_kept_pairs_are_used():
    full = LineGraph.grid(3, 4)
    kept = torch.zeros(full.num_pairs, dtype=torch.bool)
    kept[:2] = True
    graph = LineGraph(full.edge_index, 12, level=full.level, kept_pairs=kept)
    assert torch.equal(graph.to_multitree().pairs, full.pairs[:, :2])


def test_grid():
    graph = LineGraph.grid(4, 3)
    assert graph.num_nodes == 12
    assert graph.edge_index[:, :9].diff(dim=0).unique().tolist() == [3]
    assert graph.edge_index[:, 9:].diff(dim=0).unique().tolist() == [1]
    assert graph.level.view(4, 3).tolist() == [[x + y for y in range(3)] for x in range(4)]
    assert LineGraph.grid(1, 1).num_edges == 0


def test_to_and_pickle_keep_what_was_built():
    graph = LineGraph.grid(3, 3).prepare()
    for copy in (graph.to("cpu"), pickle.loads(pickle.dumps(graph))):
        assert torch.equal(copy.schedule.pair_in, graph.schedule.pair_in)
        assert torch.equal(copy.to_multitree().pairs, graph.to_multitree().pairs)
    assert graph.reverse().to("cpu").is_reversed
    assert graph.to_multitree().to("cpu").to_multitree().num_pairs == graph.to_multitree().num_pairs


def test_meta_device_keeps_boundaries_on_the_cpu():
    schedule = LineGraph.grid(3, 3).prepare().to("meta").schedule
    assert schedule.pair_in.device.type == "meta"
    assert schedule.edge_ptr.device.type == schedule.pair_ptr.device.type == "cpu"


def test_number_of_nodes_is_inferred():
    assert LineGraph(torch.tensor([[0], [6]])).num_nodes == 7
    assert LineGraph(torch.empty(2, 0, dtype=torch.long)).num_nodes == 0


def test_repr():
    assert repr(LineGraph.grid(2, 2)) == "LineGraph(num_nodes=4, num_edges=4, num_pairs=2)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[0], [1]], 2), TypeError, "edge_index must be a tensor"),
        ((torch.tensor([0, 1]), 2), ValueError, r"edge_index must have shape \[2, \*\], got \[2\]"),
        ((torch.tensor([[0], [1]]).int(), 2), TypeError, "dtype torch.int64, got torch.int32"),
        ((torch.tensor([[0.0], [1.0]]), 2), TypeError, "dtype torch.int64"),
        ((torch.tensor([[0, 0], [1, 5]]), 3), ValueError, r"column 1: \[0, 5\], but there are 3 nodes"),
        ((torch.tensor([[0, -1], [1, 2]]), 3), ValueError, r"column 1: \[-1, 2\]"),
        ((torch.tensor([[0], [1]]), 2.0), TypeError, "num_nodes must be an int"),
        ((torch.tensor([[0, 1], [1, 2]]), 3, torch.tensor([[1], [0]])), ValueError, "does not meet at a node"),
        ((torch.tensor([[0, 1], [1, 2]]), 3, torch.tensor([[0], [2]])), ValueError, "there are 2 edges"),
        ((torch.tensor([[0, 1], [1, 2]]), 3, torch.tensor([[0, 0], [1, 1]])), ValueError, r"\(0, 1\) is given 2 times"),
        ((torch.tensor([[0, 1], [1, 0]]), 2), CycleError, "cycle of 2 nodes"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        LineGraph(*arguments)


def test_too_many_pairs_name_the_hub():
    leaves = torch.arange(1, 10_001)
    hub = torch.zeros_like(leaves)
    edge_index = torch.cat([torch.stack([leaves, hub]), torch.stack([hub, leaves + 10_000])], dim=1)
    graph = LineGraph(edge_index, 20_001)
    assert graph.num_pairs == graph.reverse().num_pairs == 10**8
    message = r"100000000 pairs.*node 0 alone, with 10000 in-edges and 10000 out-edges"
    for direction in (graph, graph.prepare().reverse()):
        with pytest.raises(ValueError, match=message):
            _ = direction.schedule


def test_stars_have_no_pairs():
    leaves = torch.arange(1, 10_001)
    for ends in ((leaves, torch.zeros_like(leaves)), (torch.zeros_like(leaves), leaves)):
        assert LineGraph(torch.stack(ends), 10_001).num_pairs == 0


def test_stale_level_is_named():
    edge_index = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="level does not rise along edge 1"):
        LineGraph(edge_index, 3, level=torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match=r"level must be \[N\] = \[3\]"):
        LineGraph(edge_index, 3, level=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"kept_pairs must be \[P\] = \[1\]"):
        LineGraph(edge_index, 3, kept_pairs=torch.tensor([True, True]))
