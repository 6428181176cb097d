"""What native code walks by: right lists, made once for each direction, never those of another graph."""

import copy
import itertools
import pickle

import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from plstm_graph.graph.native_plan import plan_lists
from plstm_graph.graph.structure_native import has_native_structure
from plstm_graph.ops import plstm, plstm_max_plus
from plstm_graph.testing import assert_close, random_dag, random_operands
from tests.ops.catalogue import max_plus_operands
from tests.strategies import line_graphs

pytestmark = pytest.mark.skipif(
    not has_native_structure(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or no C compiler"
)


def parts(graph):
    """The lists of a plan by name, in numbers of the caller; segments as lists of nodes."""
    nodes, edges, pairs = graph.num_nodes, graph.num_edges, graph.num_pairs
    names = ("sizes", "order", "in_ptr", "in_edge", "out_ptr", "pair_ptr", "pair_in")
    names = (*names, "next_ptr", "next_pair", "next_edge", "edge_at", "pair_at", "slot")
    lengths = [3, nodes, nodes + 1, edges, nodes + 1, edges + 1, pairs, edges + 1, pairs, pairs]
    lengths = [*lengths, edges, pairs, edges, nodes + 1]
    lists = [part.tolist() for part in graph.native_plan.split(lengths)]
    plan = dict(zip((*names, "segment"), lists, strict=True))

    def rows(ptr, item):
        return [item[first:last] for first, last in itertools.pairwise(ptr)]

    plan["into"] = rows(plan["in_ptr"], [plan["edge_at"][place] for place in plan["in_edge"]])
    plan["out"] = rows(plan["out_ptr"], plan["edge_at"])
    plan["pairs"] = rows(plan["pair_ptr"], plan["pair_at"])
    plan["from"] = [plan["edge_at"][place] for place in plan["pair_in"]]
    plan["onward"] = rows(plan["next_ptr"], [plan["pair_at"][place] for place in plan["next_pair"]])
    plan["to"] = [plan["edge_at"][place] for place in plan["next_edge"]]
    plan["segments"] = rows(plan["segment"][: plan["sizes"][0] + 1], plan["order"])
    return plan


@given(line_graphs())
def test_lists_are_what_meets_at_each_node(graph):
    plan = parts(graph)
    order, (start, end) = plan["order"], graph.edge_index.tolist()
    assert sorted(order) == list(range(graph.num_nodes))
    place = {node: number for number, node in enumerate(order)}
    assert all(place[u] < place[v] for u, v in zip(start, end, strict=True))
    # In the caller's order, as ties need it.
    assert plan["into"] == [[e for e, v in enumerate(end) if v == node] for node in order]
    assert plan["out"] == [[e for e, u in enumerate(start) if u == node] for node in order]
    before, after = graph.pairs.tolist()
    assert plan["pairs"] == [[p for p, f in enumerate(after) if f == edge] for edge in plan["edge_at"]]
    assert plan["from"] == [before[p] for p in plan["pair_at"]]
    onward = [sorted(row) for row in plan["onward"]]
    assert onward == [[p for p, e in enumerate(before) if e == edge] for edge in plan["edge_at"]]
    assert plan["to"] == [after[p] for row in plan["onward"] for p in row]


@given(line_graphs())
def test_segments_share_no_edge_and_edges_under_way_share_no_slot(graph):
    plan = parts(graph)
    segment_of = {node: number for number, nodes in enumerate(plan["segments"]) for node in nodes}
    assert len(segment_of) == graph.num_nodes
    start, end = graph.edge_index.tolist()
    assert all(segment_of[u] == segment_of[v] for u, v in zip(start, end, strict=True))
    lengths = [sum(segment_of[u] == number for u in start) for number in range(len(plan["segments"]))]
    taken = dict(zip(plan["edge_at"], plan["slot"], strict=True))
    assert plan["sizes"] == [len(lengths), len(set(taken.values())), max(lengths, default=0)]
    under_way = set()
    for node, into, out in zip(plan["order"], plan["into"], plan["out"], strict=True):
        under_way |= {taken[edge] for edge in out}
        assert len(under_way) == len(under_way - {taken[edge] for edge in into}) + len(into), node
        under_way -= {taken[edge] for edge in into}
    assert not under_way


def test_a_batch_has_a_segment_for_each_graph():
    graph = random_dag(12, 30, torch.Generator().manual_seed(0))
    batch = LineGraph(torch.cat([graph, graph + 12, graph + 24], dim=1), 36)
    assert batch.native_plan[0] >= 3 * LineGraph(graph, 12).native_plan[0] >= 3
    assert batch.native_plan[1] == LineGraph(graph, 12).native_plan[1]


def test_it_is_made_once_for_each_direction_and_each_choice_of_pairs():
    graph = LineGraph(random_dag(12, 30, torch.Generator().manual_seed(0)), 12)
    for one in (graph, graph.reverse(), graph.to_multitree(), graph.to_multitree().reverse(), graph.split_nodes):
        assert one.native_plan is one.native_plan
        assert torch.equal(one.native_plan, plan_lists(one.edge_index, one.pairs, one.num_nodes))
    assert graph.reverse().native_plan is graph.reverse().native_plan  # another object, the same structure
    assert not torch.equal(graph.native_plan, graph.reverse().native_plan)
    assert graph.native_plan.shape != graph.to_multitree().native_plan.shape


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda graph: pickle.loads(pickle.dumps(graph)), copy.copy])
@pytest.mark.parametrize("made_before", [True, False])
def test_copies_have_the_same_plan(copied, made_before):
    graph = LineGraph(random_dag(12, 30, torch.Generator().manual_seed(0)), 12)
    if made_before:
        _ = graph.native_plan, graph.reverse().native_plan
    other = copied(graph)
    assert torch.equal(other.native_plan, graph.native_plan)
    assert torch.equal(other.reverse().native_plan, graph.reverse().native_plan)
    assert torch.equal(graph.to("cpu").native_plan, graph.native_plan)
    assert graph.to("meta").native_plan.numel() == 0


@pytest.mark.parametrize("made_in", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_it_serves_trainings_wherever_it_was_made(made_in):
    graph = LineGraph(random_dag(12, 30, torch.Generator().manual_seed(0)), 12)
    with made_in():
        _ = graph.native_plan
    leaves = [tensor.requires_grad_() for tensor in max_plus_operands(graph, 3).values()]
    plstm_max_plus(*leaves, graph).sum().backward()
    assert leaves[0].grad.any()


@pytest.mark.parametrize("made_before", [True, False])
def test_compiled_code_uses_the_one_that_is_there_or_makes_its_own(made_before):
    torch._dynamo.reset()
    graph = LineGraph(random_dag(12, 30, torch.Generator().manual_seed(0)), 12).prepare()
    if made_before:
        _ = graph.native_plan
    operands, maxima = random_operands(graph), max_plus_operands(graph, 3)
    for operator, given_ in ((plstm, operands), (plstm_max_plus, maxima)):
        run = lambda operator=operator, **o: operator(**o, line_graph=graph, form="recurrent")  # noqa: E731
        compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
        assert_close(compiled(**given_), operator(**given_, line_graph=graph, form="naive"), 1e-10, operator.__name__)
