"""The operator with a transition that factorises at the node, against the naive one on all pairs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm
from plstm_graph.ops.dag.factorized import edge_messages_factorized, plstm_factorized
from plstm_graph.testing import assert_close, random_dag, random_operands
from tests.strategies import dags

FORMS = ["recurrent", "parallel", "chunkwise"]


def factorized_operands(graph, generator=None):
    """Operands of ``plstm_factorized``, some of whose gates are exactly 0 or 1."""
    operands = random_operands(graph, generator=generator)
    source = operands["source"]
    operands["transition"] = torch.randn(source.shape, dtype=source.dtype, generator=generator)
    operands["in_gate"] = torch.randn(source.shape, dtype=source.dtype, generator=generator)
    names = ("query", "key", "value", "source", "transition", "in_gate", "mark", "direct")
    leaves = {}
    for name in names:
        leaf = operands[name].detach().clone()
        if leaf.dim() == 2:
            exact = torch.randint(0, 4, leaf.shape, generator=generator)
            leaf[exact == 0] = 0.0
            leaf[exact == 1] = 1.0
        leaves["out_gate" if name == "transition" else name] = leaf.requires_grad_()
    return leaves


def on_all_pairs(graph, query, key, value, source, out_gate, in_gate, mark, direct):
    transition = out_gate[graph.pairs[0]] * in_gate[graph.pairs[1]]
    return plstm(query, key, value, source, transition, mark, direct, graph, form="naive")


@settings(max_examples=30)
@given(dags(), st.booleans(), st.integers(0, 2**16))
def test_equals_the_operator_on_all_pairs(dag, reverse, seed):
    graph = LineGraph(*dag)
    graph = graph.reverse() if reverse else graph
    operands = factorized_operands(graph, torch.Generator().manual_seed(seed))
    leaves = list(operands.values())
    expected = on_all_pairs(graph, **operands)
    out_grad = torch.randn(expected.shape, dtype=expected.dtype)
    grads = torch.autograd.grad(expected, leaves, out_grad, materialize_grads=True)
    for form in FORMS:
        actual = plstm_factorized(**operands, line_graph=graph, form=form)
        assert_close(actual, expected, 1e-10, form)
        found = torch.autograd.grad(actual, leaves, out_grad, materialize_grads=True)
        for name, *pair in zip(operands, found, grads, strict=True):
            assert_close(*pair, 1e-10, f"{form} form, gradient of {name}")


@pytest.mark.parametrize("reverse", [False, True])
def test_messages_of_edges_are_those_that_mark_weighs(reverse):
    graph = LineGraph(random_dag(12, 30), 12)
    graph = graph.reverse() if reverse else graph
    operands = factorized_operands(graph)
    mark, direct = operands.pop("mark"), operands.pop("direct")
    messages = edge_messages_factorized(**operands, line_graph=graph)
    out = torch.zeros(12, 2, 5, dtype=torch.float64).index_add(0, graph.edge_index[1], mark.unsqueeze(-1) * messages)
    expected = plstm_factorized(**operands, mark=mark, direct=torch.zeros_like(direct), line_graph=graph)
    assert_close(out, expected, 1e-12, "messages")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_hub_costs_its_edges(reverse):
    # All pairs would be 10^8. Every leaf below reads the sum of all leaves above, by one path each.
    size = 10_000
    leaves = torch.arange(1, size + 1)
    hub = torch.zeros_like(leaves)
    edge_index = torch.cat([torch.stack([leaves, hub]), torch.stack([hub, leaves + size])], dim=1)
    graph = LineGraph(edge_index, 2 * size + 1)
    graph = graph.reverse() if reverse else graph
    one, gate = torch.ones(2 * size + 1, 1, 1).double(), torch.ones(2 * size, 1).double()
    value = torch.arange(2.0 * size + 1).double().view(-1, 1, 1)
    out = plstm_factorized(one, one, value, gate, gate, gate / size, gate, torch.zeros(2 * size + 1, 1), graph)
    above, below = (leaves + size, leaves) if reverse else (leaves, leaves + size)
    assert_close(out[below], value[above].mean().expand(size, 1, 1), 1e-12, "sum over the hub")
    assert not out[above].any()


@pytest.mark.parametrize("name", ["query", "source", "out_gate", "in_gate", "mark", "direct"])
def test_wrong_shape_is_named(name):
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]), 3)
    operands = factorized_operands(graph)
    operands[name] = torch.cat([operands[name], operands[name]])
    with pytest.raises(ValueError, match=rf"{name} must be \[.*\] = \[.*\], got"):
        plstm_factorized(**operands, line_graph=graph)
