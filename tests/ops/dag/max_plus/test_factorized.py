"""M-mode with a transition that factorises at the node, against the naive form on all pairs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm_max_plus, plstm_max_plus_factorized
from plstm_graph.testing import random_dag
from tests.ops.catalogue import native_and_torch, native_code
from tests.ops.dag.max_plus.test_forms import assert_same, operands_of
from tests.strategies import dags


def factorized_operands(graph, *, ties=False, closed=0.3, seed=0):
    operands = operands_of(graph, ties=ties, closed=closed, seed=seed)
    more = operands_of(graph, ties=ties, closed=closed, seed=seed + 1)
    del operands["transition"]
    return operands | {"out_gate": more["source"], "in_gate": more["mark"]}


def on_all_pairs(graph, source, out_gate, in_gate, mark, direct, **options):
    transition = out_gate[graph.pairs[0]] + in_gate[graph.pairs[1]]
    return plstm_max_plus(source, transition, mark, direct, graph, form="naive", **options)


def results(run, operands):
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = run(**leaves)
    grad = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(out, list(leaves.values()), grad, materialize_grads=True)
    return {"output": out.detach(), **dict(zip(leaves, grads, strict=True))}


@settings(max_examples=30)
@given(
    dags(), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.5]), st.integers(0, 99)
)
def test_equals_the_operator_on_all_pairs(dag, reverse, ties, closed, temperature, seed):
    """Ties too: whole numbers are added without rounding, so that both see the same ones."""
    graph = LineGraph(*dag)
    graph = graph.reverse() if reverse else graph
    operands = factorized_operands(graph, ties=ties, closed=closed, seed=seed)
    expected = results(lambda **o: on_all_pairs(graph, **o, temperature=temperature), operands)
    for form, native in (("auto", True), ("recurrent", False), ("naive", False)):
        with native_code(native):
            actual = results(
                lambda form=form, **o: plstm_max_plus_factorized(
                    **o, line_graph=graph, temperature=temperature, form=form
                ),
                operands,
            )
        for name, tensor in expected.items():
            assert_same(actual[name], tensor, 1e-10, f"{form}: {name}")


@native_and_torch
@pytest.mark.parametrize("reverse", [False, True])
def test_a_hub_costs_its_edges(reverse, native):
    # All pairs would be 10^8. Every leaf below reads the largest of all leaves above.
    size = 10_000
    leaves = torch.arange(1, size + 1)
    hub = torch.zeros_like(leaves)
    edge_index = torch.cat([torch.stack([leaves, hub]), torch.stack([hub, leaves + size])], dim=1)
    graph = LineGraph(edge_index, 2 * size + 1)
    graph = graph.reverse() if reverse else graph
    source, in_gate, zero = (
        torch.arange(2.0 * size)[:, None],
        torch.arange(2.0 * size)[:, None],
        torch.zeros(2 * size, 1),
    )
    direct = torch.full((2 * size + 1, 1), -torch.inf)
    with native_code(native):
        out = plstm_max_plus_factorized(source, zero, in_gate, zero, direct, graph)
    below = torch.arange(size) if reverse else torch.arange(size) + size
    largest = 2 * size - 1 if reverse else size - 1
    ends = graph.edge_index[1, below]
    # Whole numbers below 2^24 are exact in float32.
    assert torch.equal(out[ends, 0], torch.maximum(largest + in_gate[below, 0], source[below, 0]))


@native_and_torch
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_compiles_once_prepared(native, temperature):
    torch._dynamo.reset()
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20).prepare(split_nodes=True)
    operands = factorized_operands(graph)
    run = lambda **o: plstm_max_plus_factorized(**o, line_graph=graph, temperature=temperature)  # noqa: E731
    with native_code(native):
        compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
        actual, expected = results(compiled, operands), results(run, operands)
    for name, tensor in expected.items():
        assert_same(actual[name], tensor, 1e-12, name)


def test_a_choice_of_pairs_does_not_factorise():
    edge_index = torch.tensor([[0, 1, 1], [1, 2, 2]])
    graph = LineGraph(edge_index, 3, pairs=torch.tensor([[0], [1]]))
    with pytest.raises(ValueError, match="needs all pairs of the DAG, 2, but this line graph has 1"):
        plstm_max_plus_factorized(**factorized_operands(graph), line_graph=graph)


@pytest.mark.parametrize("name", ["source", "out_gate", "in_gate", "mark", "direct"])
def test_wrong_arguments_are_named(name):
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]), 3)
    operands = factorized_operands(graph)
    changes = {
        "shape": (torch.cat([operands[name], operands[name]]), ValueError, rf"{name} must be \[.*\] = \[.*\], got"),
        "axes": (operands[name].unsqueeze(0), ValueError, rf"{name} must be \[.*\], got"),
        "dtype": (operands[name].nan_to_num(neginf=0).long(), TypeError, f"{name} must be float64"),
        "device": (operands[name].to("meta"), ValueError, f"{name} is on meta, but the line graph on cpu"),
    }
    for changed, error, message in changes.values():
        with pytest.raises(error, match=message):
            plstm_max_plus_factorized(**operands | {name: changed}, line_graph=graph)
