import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.nn import DirectGate, MarkGate, NodeTransitionGate, PLSTMConv, SourceGate, TransitionGate
from plstm_graph.testing import random_dag
from tests.rounding import rounding
from tests.strategies import dags


def randomized(gate):
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter)
    return gate


@given(dags(), st.booleans(), st.sampled_from(["column", "row"]))
def test_p_mode_sums_to_one_in_each_group(dag, reverse, normalization):
    graph = LineGraph(*dag)
    graph = graph.reverse() if reverse else graph
    gate = randomized(TransitionGate(4, heads=3, edge_dim=2, normalization=normalization).double())
    weight = gate(torch.randn(graph.num_nodes, 4).double(), graph, torch.randn(graph.num_edges, 2).double())
    group = graph.pairs[0 if normalization == "column" else 1]
    total = torch.zeros(graph.num_edges, 3, dtype=torch.float64).index_add(0, group, weight.detach())
    present = torch.zeros(graph.num_edges, dtype=torch.bool).index_fill(0, group, True)
    assert torch.allclose(total[present], torch.ones_like(total[present]), rtol=0, atol=1e-12)
    assert (weight > 0).all()


def test_p_mode_survives_extreme_logits():
    graph = LineGraph(torch.tensor([[0, 1, 1], [1, 2, 3]]))
    gate = TransitionGate(1, heads=1)
    torch.nn.init.constant_(gate.bias, -1e4)
    weight = gate(torch.zeros(4, 1), graph)
    torch.testing.assert_close(weight, torch.full((2, 1), 0.5), rtol=rounding(torch.float32, 4), atol=0)
    weight.sum().backward()
    assert torch.isfinite(gate.node_lin.weight.grad).all()


def test_p_mode_depends_on_the_in_edge():
    graph = LineGraph(torch.tensor([[0, 1, 2, 2], [2, 2, 3, 4]]))
    weight = randomized(TransitionGate(3, heads=1))(torch.randn(5, 3), graph).view(2, 2)
    assert not torch.allclose(weight[0], weight[1])


def test_d_mode_is_signed_and_at_most_one():
    graph = LineGraph(random_dag(20, 40))
    gate = randomized(TransitionGate(4, heads=3, mode="D"))
    weight = gate(10 * torch.randn(graph.num_nodes, 4), graph)
    assert weight.abs().max() <= 1
    assert weight.min() < 0 < weight.max()


def test_d_mode_starts_with_reaches_spread_over_heads():
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]))
    weight = TransitionGate(4, heads=4, mode="D")(torch.zeros(3, 4), graph)
    assert weight[0].tolist() == pytest.approx([0.8483, 0.9866, 0.9989, 0.9999], abs=1e-4)


@pytest.mark.parametrize("decay", [True, "node"])
def test_decay_starts_close_to_one_and_keeps_the_bound(decay):
    graph = LineGraph(torch.tensor([[0, 1, 1], [1, 2, 3]]))
    gate = TransitionGate(4, heads=2, decay=decay)
    total = gate(torch.zeros(4, 4), graph).sum(0)
    assert ((total > 0.99) & (total < 1)).all()


@pytest.mark.parametrize("decay", [True, "node"])
@pytest.mark.parametrize("kind", [TransitionGate, NodeTransitionGate])
def test_decay_is_of_the_right_node(decay, kind):
    """Of that where the in-edge starts, or of that which is passed."""
    graph = LineGraph(torch.tensor([[0, 1, 1], [1, 2, 3]]))
    gate, x = randomized(kind(3, 2, decay=decay)), torch.randn(4, 3)
    factor = (5 * gate.decay_lin(x)[1] if decay == "node" else gate.decay_lin(x)[0]).sigmoid()
    found = gate(x, graph)
    # Shares of the two out-edges of node 1 add up to one.
    total = found.sum(0) if kind is TransitionGate else found[0][0] * found[1][1:].sum(0)
    assert torch.allclose(total, factor)


@pytest.mark.parametrize("decay", [True, "node"])
@pytest.mark.parametrize("transition", ["pair", "node"])
def test_decay_starts_alike_where_the_input_size_comes_with_the_first_call(decay, transition):
    x, edge_index = torch.randn(3, 4), torch.tensor([[0, 1], [1, 2]])
    options = {"heads": 2, "transition": transition, "decay": decay}
    given, lazy = PLSTMConv(4, 4, **options), PLSTMConv(-1, 4, **options)
    lazy(x, edge_index)
    bias = given.gates.transition.decay_lin.bias
    assert torch.equal(lazy.gates.transition.decay_lin.bias, bias) and bias.min() >= 1  # constants, so exact
    lazy.gates.transition.decay_lin.bias.data.zero_()
    lazy.reset_parameters()
    assert torch.equal(lazy.gates.transition.decay_lin.bias, bias)


@pytest.mark.parametrize("mode", ["P", "D", "M"])
def test_an_unknown_decay_is_named_in_every_mode(mode):
    with pytest.raises(ValueError, match="decay must be True, False or 'node', got 'nod'"):
        PLSTMConv(4, 4, mode=mode, decay="nod")


@pytest.mark.parametrize("decay", ["edge", "", 2])
@pytest.mark.parametrize("kind", [TransitionGate, NodeTransitionGate])
def test_an_unknown_decay_is_named(decay, kind):
    with pytest.raises(ValueError, match=f"decay must be True, False or 'node', got {decay!r}"):
        kind(3, 2, decay=decay)


def test_edge_gates_read_the_right_node_and_edge():
    source, mark = randomized(SourceGate(3, 2, edge_dim=1)), randomized(MarkGate(3, 2, edge_dim=1))
    x, edge_attr = torch.randn(4, 3), torch.randn(2, 1)
    node = torch.tensor([3, 0])
    for gate in (source, mark):
        expected = (gate.node_lin.weight @ x[3] + gate.node_lin.bias + gate.edge_lin.weight @ edge_attr[0]).sigmoid()
        assert torch.allclose(gate(x, node, edge_attr)[0], expected)
    direct = randomized(DirectGate(3, 2))
    assert torch.allclose(direct(x)[1], (direct.lin.weight @ x[1] + direct.lin.bias).sigmoid())


def test_gates_start_half_open():
    gate = SourceGate(3, 2)
    started = gate(torch.zeros(1, 3), torch.tensor([0]))
    torch.testing.assert_close(started, torch.full((1, 2), 0.5), rtol=rounding(torch.float32, 4), atol=0)


@pytest.mark.parametrize("arguments", [{"mode": "Q"}, {"normalization": "both"}])
def test_wrong_choice_is_named(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"{name} must be .* got {value!r}"):
        TransitionGate(4, 2, **arguments)


def test_repr_names_the_mode():
    assert "mode='P', normalization='column'" in repr(TransitionGate(4, 2))
    assert "mode='D'" in repr(TransitionGate(4, 2, mode="D"))
