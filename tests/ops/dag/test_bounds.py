"""The two modes are bounded over long distances: the point of the method."""

import math

import pytest
import torch

from plstm_graph.graph import LineGraph, longest_path_levels
from plstm_graph.nn import TransitionGate
from plstm_graph.ops import plstm

DEPTH = 10_000


def ladder(depth: int) -> torch.Tensor:
    """Two rails with all rungs across: 2 edges out of every node, so 2**depth paths from end to end."""
    here = torch.arange(depth)
    ends = [(2 * here + a, 2 * here + 2 + b) for a in (0, 1) for b in (0, 1)]
    return torch.cat([torch.stack(pair) for pair in ends], dim=1)


def state_sums(graph: LineGraph, transition: torch.Tensor, from_node: int) -> torch.Tensor:
    """State of each edge for a unit input at one node, read out by a unit query through single-edge marks."""
    unit = torch.ones(graph.num_nodes, transition.size(1), 1, dtype=transition.dtype)
    value = torch.zeros_like(unit)
    value[from_node] = 1.0
    gate = torch.ones(graph.num_edges, transition.size(1), dtype=transition.dtype)
    return plstm(unit, unit, value, gate, transition, gate, torch.zeros_like(unit[..., 0]), graph).squeeze(-1)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_p_mode_keeps_the_mass_of_a_signal_at_depth(reverse):
    edge_index = ladder(DEPTH)
    graph = LineGraph(edge_index)
    level = graph.level
    graph = graph.reverse() if reverse else graph
    gate = TransitionGate(4, heads=3).double()
    torch.nn.init.normal_(gate.node_lin.weight)
    with torch.no_grad():
        transition = gate(torch.randn(graph.num_nodes, 4, dtype=torch.float64), graph)
    source = 2 * DEPTH if reverse else 0
    mass = torch.zeros(DEPTH + 1, 3, dtype=torch.float64).index_add(0, level, state_sums(graph, transition, source))
    mass = mass.flip(0) if reverse else mass
    # Source puts 1 on each of the two edges; from there on nothing is lost and nothing is made.
    assert mass[1:].sub(2).abs().max() < 1e-9


def test_row_normalization_does_not_bound_the_mass():
    graph = LineGraph(torch.tensor([[0] + [1] * 20, list(range(1, 22))]), 22)
    x = torch.zeros(22, 4)
    column = TransitionGate(4, 1)(x, graph)
    row = TransitionGate(4, 1, normalization="row")(x, graph)
    assert column.sum().item() == pytest.approx(1.0)
    assert row.sum().item() == pytest.approx(20.0)


@pytest.mark.parametrize("mode", ["P", "D"])
def test_gradients_are_bounded_at_depth(mode):
    graph = LineGraph(ladder(DEPTH))
    graph = graph.to_multitree() if mode == "D" else graph
    gate = TransitionGate(4, heads=2, mode=mode).double()
    with torch.no_grad():
        transition = gate(torch.randn(graph.num_nodes, 4, dtype=torch.float64), graph)
    unit = torch.ones(graph.num_nodes, 2, 1, dtype=torch.float64)
    value = unit.clone().requires_grad_()
    ones = torch.ones(graph.num_edges, 2, dtype=torch.float64)
    out = plstm(unit, unit, value, ones, transition, ones, torch.zeros(graph.num_nodes, 2).double(), graph)
    out[-2:].sum().backward()
    assert torch.isfinite(out).all()
    # P: at most the two out-edges' worth of mass. D: at most one path between two edges, so 2 out x 2 nodes x 2 in.
    assert value.grad.abs().max() <= (2 + 1e-9 if mode == "P" else 8)


def test_d_mode_entries_are_at_most_one_at_depth():
    graph = LineGraph(ladder(DEPTH)).to_multitree()
    transition = torch.ones(graph.num_pairs, 1, dtype=torch.float64)
    reached = torch.cat([state_sums(graph, transition, from_node=node) for node in (0, 1)], dim=1)
    # Each of the two out-edges of a node reaches each of the two in-edges of another at most once.
    assert reached.max() <= 4
    # One of the two rails' beginnings is read all the way to the end.
    assert (reached[2:] > 0).sum(dim=0).max() == 2 * DEPTH


def test_without_the_cut_critical_transitions_explode():
    graph = LineGraph(ladder(100))
    reached = state_sums(graph, torch.ones(graph.num_pairs, 1, dtype=torch.float64), from_node=0)
    assert math.log2(reached.max().item()) == pytest.approx(99 + 1, abs=1)


def test_levels_of_the_ladder():
    assert longest_path_levels(ladder(5), 12).tolist() == [i // 2 for i in range(12)]
