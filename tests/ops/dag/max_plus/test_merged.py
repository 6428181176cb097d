"""The merged form of M-mode: rounds of merging give what edges one by one give, ties and odd numbers included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm_max_plus, plstm_max_plus_factorized
from plstm_graph.ops.dag.max_plus import merged as max_plus_merged
from plstm_graph.testing import assert_close, random_dag
from tests.ops.catalogue import max_plus_operands
from tests.ops.dag.max_plus.test_forms import assert_same, operands_of, value_and_gradients
from tests.strategies import line_graphs


def chain(length):
    return LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)


@given(
    line_graphs(),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([0.0, 0.3, 0.9]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 999),
)
def test_random_dags(graph, channels, ties, closed, temperature, seed):
    operands = operands_of(graph, channels, ties=ties, closed=closed, seed=seed)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    for name, tensor in value_and_gradients(operands, graph, temperature=temperature, form="merged").items():
        assert_same(tensor, expected[name], 1e-11, name)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize(
    "graph",
    [chain(200), LineGraph.grid(40, 2), LineGraph.grid(6, 7).reverse(), LineGraph.grid(5, 5).to_multitree()],
    ids=["chain", "ladder", "reversed grid", "multitree"],
)
def test_deep_and_narrow_graphs(graph, temperature):
    for ties in (False, True):
        operands = operands_of(graph, ties=ties, closed=0.1)
        expected = value_and_gradients(operands, graph, temperature=temperature, form="recurrent")
        for name, tensor in value_and_gradients(operands, graph, temperature=temperature, form="merged").items():
            assert_same(tensor, expected[name], 1e-11, name)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_a_batch_is_its_graphs_side_by_side(temperature):
    edges = [random_dag(nodes, 2 * nodes, torch.Generator().manual_seed(nodes)) for nodes in (5, 9, 2)]
    graph = LineGraph(torch.cat([edges[0], edges[1] + 5, edges[2] + 14], dim=1), 17)
    operands = operands_of(graph, closed=0.1)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    for name, tensor in value_and_gradients(operands, graph, temperature=temperature, form="merged").items():
        assert_same(tensor, expected[name], 1e-12, name)


def test_where_transitions_factorise():
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(1)), 9)
    operands = max_plus_operands(graph, 3, factorized=True)
    out = plstm_max_plus_factorized(**operands, line_graph=graph, form="merged")
    assert_close(out, plstm_max_plus_factorized(**operands, line_graph=graph, form="naive"), 1e-12, "output")


def _with_out_grad(operands, graph, out_grad, form):
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
    out = plstm_max_plus(**leaves, line_graph=graph, form=form)
    return [out.detach(), *torch.autograd.grad(out, list(leaves.values()), out_grad)]


@pytest.mark.parametrize("where", ["source", "transition", "mark", "direct", None])
@pytest.mark.parametrize("infinite", [1.0, torch.inf, torch.nan])
def test_not_a_number_and_infinite_gradients_go_where_they_belong(where, infinite):
    graph = LineGraph(random_dag(12, 30, torch.Generator().manual_seed(3)), 12)
    operands = operands_of(graph, ties=True, closed=0.1)
    if where is not None:
        operands[where][::5, 1] = torch.nan
    out_grad = torch.arange(36.0, dtype=torch.float64).view(12, 3)
    out_grad[7] *= infinite
    expected = _with_out_grad(operands, graph, out_grad, "naive")
    for got, wanted in zip(_with_out_grad(operands, graph, out_grad, "merged"), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)  # Sums of whole numbers are exact.


def test_a_gradient_is_1_over_ten_thousand_hops():
    length, graph = 10_000, chain(10_000)
    closed = torch.full((length, 1), -torch.inf)
    source = closed.index_fill(0, torch.tensor([0]), 3.0).requires_grad_()
    transition = torch.full((length - 1, 1), 0.5, requires_grad=True)
    direct = torch.full((length + 1, 1), -torch.inf)
    out = plstm_max_plus(source, transition, torch.zeros(length, 1), direct, graph, form="merged")
    assert out[-1].item() == 3.0 + 0.5 * (length - 1)  # Halves below 2^23 are exact in float32.
    grads = torch.autograd.grad(out[-1].sum(), [source, transition])
    assert grads[0][0].item() == 1.0 and (grads[1] == 1.0).all()  # Products of ones.


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_every_gradient_arrives_once_also_where_sums_are_rounded(temperature):
    """Each output is the sum of one source or direct with others: their gradients add up to its own."""
    graph = LineGraph.grid(60, 3)
    operands = operands_of(graph, closed=0.0, dtype=torch.float32)
    leaves = {name: tensor.requires_grad_() for name, tensor in operands.items()}
    out = plstm_max_plus(**leaves, line_graph=graph, temperature=temperature, form="merged")
    grads = dict(zip(leaves, torch.autograd.grad(out.sum(), list(leaves.values())), strict=True))
    total = sum(float(grads[name].double().sum()) for name in ("source", "direct"))
    # Hard gradients are sums of ones, exact in float32; soft ones are rounded at each of 62 levels, and in exponents
    # of sums that reach about a hundred.
    assert abs(total - out.numel()) <= (0.0 if temperature == 0 else 62 * 2**-24 * 100 / 0.5 * out.numel())


def test_a_graph_that_is_too_wide_is_refused_before_anything_is_made(monkeypatch):
    star = torch.stack([torch.zeros(200_000, dtype=torch.long), torch.arange(1, 200_001)])
    graph = LineGraph(star, 200_001)
    edges = torch.zeros(200_000, 1)
    with pytest.raises(
        ValueError, match=r"200000 edges across a cut .* deep and narrow graphs, take the recurrent form"
    ):
        plstm_max_plus(edges, torch.zeros(0, 1), edges, torch.zeros(200_001, 1), graph, form="merged")
    # The number of channels counts.
    small = LineGraph.grid(3, 3)
    operands = operands_of(small, channels=40)
    monkeypatch.setattr(max_plus_merged, "MAX_NUMBERS", 2_000)
    with pytest.raises(ValueError, match="deep and narrow"):
        plstm_max_plus(**operands, line_graph=small, form="merged")
    assert torch.equal(
        plstm_max_plus(**operands, line_graph=small), plstm_max_plus(**operands, line_graph=small, form="recurrent")
    )  # The form that is chosen is the recurrent one.


def test_in_compiled_code_the_recurrent_form_stands_in():
    torch._dynamo.reset()
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20).prepare()
    operands = operands_of(graph, closed=0.0)
    run = lambda **o: plstm_max_plus(**o, line_graph=graph, form="merged")  # noqa: E731
    assert_close(torch.compile(run, backend="aot_eager", fullgraph=True)(**operands), run(**operands), 1e-12, "output")
