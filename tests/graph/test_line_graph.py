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


@pytest.mark.parametrize(
    "edit",
    [
        lambda edges: edges.fill_(10**9),
        lambda edges: edges.copy_(edges.flip(1)),
        lambda edges: edges[0].add_(1),
        lambda edges: edges.numpy().fill(-7),
        lambda edges: edges.resize_(2, 0),
    ],
)
def test_tensors_that_change_after_it_was_built_do_not_change_it(edit):
    full = LineGraph.grid(3, 3)
    given = [full.edge_index.clone(), full.pairs.clone(), full.level.clone()]
    graph = LineGraph(given[0], 9, given[1], level=given[2], kept_pairs=torch.ones(full.num_pairs, dtype=torch.bool))
    edit(given[0])
    given[1].zero_()
    given[2].zero_()
    assert torch.equal(graph.edge_index, full.edge_index)
    assert torch.equal(graph.pairs, full.pairs)
    assert torch.equal(graph.level, full.level)
    assert torch.equal(graph.schedule.pair_in, full.schedule.pair_in)
    assert torch.equal(graph.reverse().edge_index, full.edge_index.flip(0))
    with pytest.raises(ValueError, match="line graph is of other edges"):
        graph.check_same_edges(given[0])


@pytest.mark.parametrize("name", ["edge_index", "pairs", "level"])
@pytest.mark.parametrize("direction", [lambda graph: graph, LineGraph.reverse, LineGraph.to_multitree])
def test_its_own_tensors_may_not_be_changed(name, direction):
    graph = direction(pickle.loads(pickle.dumps(LineGraph.grid(3, 3))))
    getattr(graph, name).zero_()
    with pytest.raises(ValueError, match=f"{name} of this line graph was changed in place; build a new LineGraph"):
        getattr(graph, name)
    with pytest.raises(AttributeError):
        setattr(graph, name, torch.zeros(2, 3))


def test_it_knows_its_own_edges():
    edge_index = LineGraph.grid(3, 3).edge_index.clone()
    graph = LineGraph(edge_index, 9)
    for same in (edge_index, edge_index.clone(), graph.edge_index, edge_index.t().contiguous().t()):
        graph.check_same_edges(same)
        pickle.loads(pickle.dumps(graph)).check_same_edges(same)
        graph.to_multitree().check_same_edges(same)
    other = edge_index.clone()
    other[:, [3, 4]] = other[:, [4, 3]]
    for different, message in [
        (other, r"other edges than edge_index: column 3 is .*, but was .* when the line graph was built"),
        (edge_index.flip(1), "column 0"),
        (edge_index[:, 1:], r"edge_index is \[2, 11\], but the line graph is of other edges: \[2, 12\]"),
        (edge_index.to("meta"), r"edge_index is on meta, but the line graph on cpu; see its to\(\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            graph.check_same_edges(different)
    with pytest.raises(ValueError, match="it is reversed"):
        graph.reverse().check_same_edges(edge_index)
    edge_index.numpy()[:, 0] = 0
    with pytest.raises(ValueError, match="column 0"):
        graph.check_same_edges(edge_index)


def test_it_is_built_and_used_in_inference_mode():
    with torch.inference_mode():
        edge_index = LineGraph.grid(3, 3).edge_index.clone()
        graph = LineGraph(edge_index, 9).prepare()
        graph.check_same_edges(edge_index)
        assert graph.to_multitree().num_pairs < graph.num_pairs
    graph.check_same_edges(edge_index)
    assert graph.reverse().pairs.shape == graph.pairs.shape
