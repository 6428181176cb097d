"""Gates whose values are matrices: their bounds for any weights, their start, eigenvalues, what they read."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.nn import TransitionGate
from plstm_graph.nn.matrix_transition import MatrixTransitionGate
from plstm_graph.ops import householder_product
from plstm_graph.ops.dag.matrix import edge_reads
from plstm_graph.testing import assert_close, random_dag
from tests.strategies import dags

KINDS = ("householder", "signed")


def drawn(gate, scale=1.0):
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return gate.double()


def evaluate(gate, graph, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(graph.num_nodes, 4, dtype=torch.float64, generator=generator)
    edge_attr = torch.randn(graph.num_edges, 2, dtype=torch.float64, generator=generator)
    return gate(x, graph, edge_attr if gate.edge_lin is not None else None)


@given(dags(), st.booleans(), st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.1, 1.0, 20.0]))
def test_householder_norms_are_at_most_one(dag, reverse, size, reflections, scale):
    graph = LineGraph(*dag)
    graph = graph.reverse() if reverse else graph
    matrix = evaluate(drawn(MatrixTransitionGate(4, 2, 2, "D", size, "householder", reflections), scale), graph)
    assert matrix.shape == (graph.num_pairs, 2, size, size)
    if graph.num_pairs:
        assert torch.linalg.matrix_norm(matrix, ord=2).max() <= 1 + 1e-12
    matrix = evaluate(drawn(MatrixTransitionGate(4, 2, 2, "P", size, "householder", reflections), scale), graph)
    if graph.num_pairs:
        norm = torch.linalg.matrix_norm(matrix.detach(), ord=2)
        total = norm.new_zeros(graph.num_edges, 2).index_add(0, graph.pairs[0], norm)
        assert total.max() <= 1 + 1e-12


@given(dags(), st.sampled_from("PD"), st.integers(1, 3), st.sampled_from([0.1, 1.0, 20.0]))
def test_signed_entries_leave_each_row_at_most_once(dag, mode, size, scale):
    graph = LineGraph(*dag)
    matrix = evaluate(drawn(MatrixTransitionGate(4, 2, 2, mode, size, "signed"), scale), graph).detach()
    leaving = matrix.abs().sum(dim=-2)
    if mode == "P":
        leaving = leaving.new_zeros(graph.num_edges, 2, size).index_add(0, graph.pairs[0], leaving)
    if graph.num_pairs:
        assert leaving.max() <= 1 + 1e-12


@pytest.mark.parametrize("reverse", [False, True])
def test_one_factor_of_one_number_is_the_gate_of_d_mode(reverse):
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(0)), 9)
    graph = graph.reverse() if reverse else graph
    scalar = drawn(TransitionGate(4, 3, 2, "D"))
    matrix = drawn(MatrixTransitionGate(4, 3, 2, "D", 1))
    # Of the two logits of a head, the first is a vector of one number, whose length does not matter.
    with torch.no_grad():
        for name, parameter in matrix.named_parameters():
            parameter.unflatten(0, (-1, 2))[:, 1] = scalar.get_parameter(name)
    assert_close(evaluate(matrix, graph)[..., 0, 0], evaluate(scalar, graph), 1e-12, "gate")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["P", "D"])
def test_a_new_gate_is_near_the_identity_and_learns(kind, mode):
    graph = LineGraph(torch.tensor([[0, 1, 1], [1, 2, 3]]))
    torch.manual_seed(0)
    gate = MatrixTransitionGate(4, 4, mode=mode, kind=kind)
    matrix = gate(torch.zeros(4, 4), graph)
    ways = 2 if mode == "P" else 1
    off = (ways * matrix - torch.eye(2)).abs().amax(dim=(0, 2, 3))
    assert (
        off < 0.25
    ).all()  # tanh(5 / 4) = 0.85 is the shortest reach, and a sixteenth of a share lies off the diagonal
    assert off[0] > off[3]  # the reach of heads grows
    (matrix * torch.randn_like(matrix)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in gate.parameters())
    assert (gate.bias.grad != 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_eigenvalues_may_be_negative(kind):
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]))
    gate = MatrixTransitionGate(4, 1, size=2, kind=kind)
    with torch.no_grad():
        gate.bias.view(-1).split(gate.parts)[1].fill_(-5.0)
    values = torch.linalg.eigvals(gate(torch.zeros(3, 4), graph)[0, 0]).real
    assert values.min() < -0.9


def test_eigenvalues_of_householder_factors():
    vectors, values = torch.randn(5, 2, 3, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64) * 2 - 1
    single = householder_product(vectors[:, :1], values[:, :1])
    expected = torch.cat([values[:, :1], torch.ones(5, 2, dtype=torch.float64)], dim=1).sort(dim=1).values
    assert_close(torch.linalg.eigvalsh(single), expected, 1e-12, "eigenvalues of one factor")
    assert_close(householder_product(vectors, -torch.ones(5, 2).double()), householder_product(vectors), 1e-12, "-1")
    determinant = torch.linalg.det(householder_product(vectors, values))
    assert_close(determinant, values.prod(dim=1), 1e-12, "determinant")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["P", "D"])
def test_states_stay_bounded_on_a_deep_dag(kind, mode):
    """Two nodes on each level, all of a level to all of the next: a thousand levels have 2^1000 paths."""
    levels = 1000 if mode == "P" else 60  # The search for a multitree takes its time here.
    level = torch.arange(levels)
    edge_index = torch.cat([torch.stack([2 * level + i, 2 * (level + 1) + j]) for i in (0, 1) for j in (0, 1)], dim=1)
    graph = LineGraph(edge_index, 2 * levels + 2)
    graph = graph.to_multitree() if mode == "D" else graph
    gate = drawn(MatrixTransitionGate(4, 2, None, mode, 2, kind))
    source = torch.zeros(graph.num_edges, 2, 2, dtype=torch.float64)
    source[0] = 0.5
    source[levels] = 0.5
    ones = torch.ones(2 * levels + 2, 2, 1, dtype=torch.float64)
    states = edge_reads(ones, ones, ones, source, evaluate(gate, graph), graph).squeeze(-1)
    size = states.abs().sum(dim=-1) if kind == "signed" else states.norm(dim=-1)
    # What entered two edges is shared out among those of a level, or copied along one path each.
    of_level = size.view(4, levels, 2).sum(dim=0) if mode == "P" else size.amax(dim=0)
    assert of_level.max() <= 2 + 1e-9


def test_without_edge_features_and_lazily():
    graph = LineGraph(random_dag(6, 9, torch.Generator().manual_seed(0)), 6)
    gate = MatrixTransitionGate(-1, 2, size=3, reflections=2)
    assert gate(torch.randn(6, 5), graph).shape == (graph.num_pairs, 2, 3, 3)
    assert "size=3, kind='householder'" in repr(gate)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "M"}, "matrices are transitions of mode 'P' or 'D', got 'M'"),
        ({"kind": "orthogonal"}, "kind must be 'householder' or 'signed', got 'orthogonal'"),
        ({"size": 0}, "size and reflections must be at least 1, got 0 and 1"),
        ({"reflections": 0}, "size and reflections must be at least 1, got 2 and 0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        MatrixTransitionGate(4, 2, **change)
