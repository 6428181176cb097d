"""Every form of the operator against the naive one: outputs and all gradients."""

import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm
from plstm_graph.ops.dag import recurrent
from plstm_graph.ops.dag.cost import choose_form, estimate_seconds
from plstm_graph.ops.dag.counts import NANOSECONDS
from plstm_graph.testing import OPERANDS, assert_close, assert_forms_agree, random_dag, random_operands
from tests.ops.catalogue import native_code
from tests.strategies import problems

FORMS = ["recurrent", "parallel", "chunkwise"]

NAMED_GRAPHS = {
    "no nodes": ([], 0),
    "one node": ([], 1),
    "no edges": ([], 4),
    "one edge": ([(1, 0)], 2),
    "parallel edges": ([(0, 1), (0, 1), (1, 2), (1, 2), (1, 2)], 3),
    "hub": ([(i, 20) for i in range(20)] + [(20, 21 + i) for i in range(20)], 41),
    "two components": ([(0, 1), (1, 2), (5, 4), (4, 3)], 7),
    "ladder": ([(i, i + 1) for i in range(60)] + [(i, i + 2) for i in range(0, 60, 2)], 63),
}


@pytest.fixture(params=NAMED_GRAPHS.values(), ids=NAMED_GRAPHS.keys())
def named_graph(request):
    edges, num_nodes = request.param
    return LineGraph(torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), num_nodes)


@given(problems())
def test_forms_agree_on_random_dags(problem):
    assert_forms_agree(*problem, forms=FORMS)


@pytest.mark.parametrize("gate", [None, 0.0, 1.0], ids=["random", "closed", "open"])
def test_forms_agree_on_named_graphs(named_graph, gate):
    for graph in (named_graph, named_graph.reverse(), named_graph.to_multitree()):
        operands = random_operands(graph)
        if gate is not None:
            for name in ("source", "transition", "mark", "direct"):
                operands[name] = torch.full_like(operands[name], gate)
        assert_forms_agree(graph, operands, FORMS)


@pytest.mark.parametrize("piece_bytes", [1, 200, 5000])
def test_levels_with_many_pairs_are_advanced_piece_by_piece(piece_bytes, monkeypatch):
    monkeypatch.setattr(recurrent, "PIECE_BYTES", piece_bytes)
    edges, num_nodes = NAMED_GRAPHS["hub"]
    graph = LineGraph(torch.tensor(edges).t(), num_nodes)
    with native_code(False):
        for direction in (graph, graph.reverse(), graph.to_multitree()):
            assert_forms_agree(direction, random_operands(direction), ["recurrent"])


def _shallow() -> LineGraph:
    return LineGraph(random_dag(100, 220, torch.Generator().manual_seed(3)), 100)


def _deep() -> LineGraph:
    return LineGraph(torch.stack([torch.arange(2000), torch.arange(1, 2001)]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [_shallow, _deep])
def test_float32_is_close_to_float64(form, make):
    graph = make()
    operands = random_operands(graph, heads=2, key_width=8, value_width=8)
    with torch.no_grad():
        operands["transition"].tanh_().mul_(0.5 if make is _shallow else 1.0)

    def run(tensors, form):
        leaves = {name: t.detach().requires_grad_() for name, t in tensors.items()}
        out = plstm(**leaves, line_graph=graph, form=form)
        return [out, *torch.autograd.grad(out.square().mean(), list(leaves.values()))]

    expected = run(operands, "recurrent")
    actual = run({name: t.float() for name, t in operands.items()}, form)
    for got, wanted, name in zip(actual, expected, ("output", *operands), strict=True):
        assert got.dtype == torch.float32
        assert_close(got.double(), wanted, 1e-5, name)


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_half_precision_keeps_float32_states(form):
    # A sum of 512 ones: bfloat16 states would stop growing at 256.
    length = 512
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    ones = torch.ones(length + 1, 1, 1, dtype=torch.bfloat16)
    gate = torch.ones(length, 1, dtype=torch.bfloat16)
    out = plstm(ones, ones, ones, gate, gate[1:], gate, torch.zeros(length + 1, 1), graph, form=form)
    assert out.dtype == torch.bfloat16
    assert out[-1].item() == length


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck(form, reverse):
    graph = LineGraph(random_dag(6, 10, torch.Generator().manual_seed(0)), 6)
    graph = graph.reverse() if reverse else graph
    operands = random_operands(graph, heads=2, key_width=2, value_width=3)
    assert torch.autograd.gradcheck(lambda *tensors: plstm(*tensors, graph, form=form), tuple(operands.values()))


def test_auto_takes_the_parallel_form_for_few_ancestors_only():
    shallow = LineGraph.grid(4, 4)
    chain = LineGraph(torch.stack([torch.arange(20_000), torch.arange(1, 20_001)]))
    wide = LineGraph(random_dag(2000, 10_000, torch.Generator().manual_seed(0)), 2000)
    for native in (False, True):
        for graph, widths, form in [
            (shallow, (4, 16, 16), "parallel"),
            (wide, (1, 2, 2), "recurrent"),
            (chain, (4, 16, 16), "recurrent" if native else "chunkwise"),
        ]:
            assert choose_form(graph, *widths, native) == choose_form(graph.reverse(), *widths, native) == form
    assert choose_form(LineGraph(torch.empty(2, 0, dtype=torch.long), 3), 4, 16, 16) in NANOSECONDS
    assert choose_form(shallow, 0, 16, 16) in NANOSECONDS


def test_auto_takes_the_cheapest_estimate_and_lists_no_ancestors_that_cannot_pay():
    chain = LineGraph(torch.stack([torch.arange(5000), torch.arange(1, 5001)]))
    seconds = estimate_seconds(chain, 4, 16, 16, native=False)
    assert set(seconds) == {"recurrent", "chunkwise"}
    assert not chain.has_links
    assert seconds[choose_form(chain, 4, 16, 16, native=False)] == min(seconds.values())
    assert chain.has_blocks(4, 16, 16)


def test_operator_is_equivariant_under_renumbering():
    edge_index = random_dag(30, 60)
    graph = LineGraph(edge_index, 30)
    operands = random_operands(graph)
    new_of_old = torch.randperm(30)
    renumbered = LineGraph(new_of_old[edge_index], 30, pairs=graph.pairs)
    by_node = {}
    for name, tensor in operands.items():
        by_node[name] = torch.empty_like(tensor).index_copy(0, new_of_old, tensor) if tensor.size(0) == 30 else tensor
    actual = plstm(**by_node, line_graph=renumbered)[new_of_old]
    assert_close(actual, plstm(**operands, line_graph=graph), 1e-12, "renumbered")


def test_operator_is_linear_in_the_value():
    graph = LineGraph(random_dag(30, 60), 30)
    operands = random_operands(graph)
    other = torch.randn_like(operands["value"])
    summed = plstm(**{**operands, "value": operands["value"] + 2 * other}, line_graph=graph)
    parts = plstm(**operands, line_graph=graph) + 2 * plstm(**{**operands, "value": other}, line_graph=graph)
    assert_close(summed, parts, 1e-12, "linearity")


@pytest.mark.parametrize("name", OPERANDS)
def test_wrong_shape_is_named(name):
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]), 3)
    operands = random_operands(graph)
    operands[name] = torch.cat([operands[name], operands[name]])
    with pytest.raises(ValueError, match=rf"{name} must be \[.*\] = \[.*\], got"):
        plstm(**operands, line_graph=graph)


def test_wrong_form_is_named():
    graph = LineGraph(torch.tensor([[0], [1]]), 2)
    operands = random_operands(graph)
    with pytest.raises(ValueError, match="unknown form 'dense'; choose one of 'auto', 'naive'"):
        plstm(**operands, line_graph=graph, form="dense")
