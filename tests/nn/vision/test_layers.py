"""Layers on chains and grids: bounds of the gates, equality with the general layer's operator, streaming."""

import math

import pytest
import torch

from plstm_graph import LineGraph, plstm
from plstm_graph.nn import PLSTM1d, PLSTM2d
from plstm_graph.nn.vision.grid_gates import Grid2dGate
from plstm_graph.ops.grid2d.plstm_grid2d import ORIENTATIONS
from tests.rounding import rounding


def excite(module):
    """Weights as after some training: gates far from their initial values."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("weights", [True, False])
def test_p_mode_never_gives_out_more_than_arrives(weights):
    gates = excite(Grid2dGate(12, 3, "P", weights=weights))(3 * torch.randn(2, 4, 5, 12))
    shape = (2, 4, 5, 4, 3)
    assert all(gate.shape == shape for gate in vars(gates).values())
    assert all((gate >= 0).all() for gate in vars(gates).values())
    for first, second in (
        (gates.right_from_left, gates.down_from_left),
        (gates.right_from_up, gates.down_from_up),
        (gates.source_right, gates.source_down),
    ):
        assert (first + second <= 1 + 1e-6).all()
    assert (gates.right_from_left == gates.right_from_up).all()  # exact: one tensor


@pytest.mark.parametrize(("chirality", "none"), [("L", "down_from_left"), ("R", "right_from_up")])
def test_d_mode_has_one_corner_and_no_gate_above_one(chirality, none):
    gates = excite(Grid2dGate(8, 2, "D", chirality=chirality))(torch.randn(3, 3, 8))
    assert (getattr(gates, none) == 0).all()  # exact: written, not computed
    corners = {"down_from_left", "right_from_up"}
    assert (getattr(gates, (corners - {none}).pop()) != 0).all()
    for name in ("right_from_left", "down_from_up", *corners):
        assert getattr(gates, name).abs().max() <= 1
    assert (gates.right_from_left < 0).any(), "a transition may be negative"


def test_orientations_that_use_one_direction_share_its_gates():
    gates = excite(Grid2dGate(8, 2, "D"))(torch.randn(3, 3, 8))
    straight = dict(zip(ORIENTATIONS, gates.right_from_left.unbind(-2), strict=True))
    assert torch.equal(straight["right-down"], straight["right-up"])  # exact: copies
    assert not torch.equal(straight["right-down"], straight["left-down"])
    turns = gates.right_from_up.unbind(-2)
    assert not torch.equal(turns[0], turns[2])


@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 5), (4, 1), (1, 1)])
def test_one_orientation_equals_the_operator_on_a_dag(mode, shape):
    layer = excite(PLSTM2d(8, 8, heads=2, mode=mode, orientations=1)).double()
    x = torch.randn(1, *shape, 8, dtype=torch.double)
    graph = LineGraph.grid(*shape)
    gates, direct = layer.gates(x)
    at = {name: gate.reshape(-1, 2) for name, gate in vars(gates).items()}
    rights = (shape[0] - 1) * shape[1]
    start, end = graph.edge_index
    goes_right = torch.arange(graph.num_edges) < rights
    in_edge, out_edge = graph.pairs
    node = end[in_edge]
    names = {(True, True): "right_from_left", (False, False): "down_from_up"}
    names |= {(True, False): "down_from_left", (False, True): "right_from_up"}
    kinds = zip(goes_right[in_edge].tolist(), goes_right[out_edge].tolist(), node.tolist(), strict=True)
    rows = [at[names[came, goes]][where] for came, goes, where in kinds]
    transition = torch.stack(rows) if rows else torch.zeros(0, 2, dtype=torch.double)
    query, key, value = layer.lin(x).reshape(-1, 3, 2, 4).unbind(1)
    expected = plstm(
        query,
        key / 2,
        value,
        torch.where(goes_right[:, None], at["source_right"][start], at["source_down"][start]),
        transition,
        torch.where(goes_right[:, None], at["mark_left"][end], at["mark_up"][end]),
        direct.reshape(-1, 2),
        graph,
        form="naive",
    )
    torch.testing.assert_close(layer(x), layer.lin_out(layer.norm(expected).flatten(1)).view_as(x))


@pytest.mark.parametrize("mode", ["P", "D"])
def test_every_node_reads_the_whole_grid(mode):
    layer = PLSTM2d(8, 8, heads=2, mode=mode)
    x = torch.randn(1, 4, 5, 8, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x)[0, 2, 1].sum(), x)
    assert (grad.abs().sum(dim=-1) > 0).all()


def test_constant_gates_do_not_depend_on_the_input():
    layer = PLSTM2d(8, 8, heads=2, gate_weights=False)
    gates, direct = layer.gates(torch.randn(2, 3, 3, 8))
    for gate in vars(gates).values():
        assert gate.shape == (2, 3, 3, 4, 2)
        torch.testing.assert_close(
            gate, gate[:1, :1, :1].expand_as(gate), rtol=rounding(torch.float32, 4), atol=rounding(torch.float32, 4)
        )
    assert direct.shape == (2, 3, 3, 2)
    layer(torch.randn(2, 3, 3, 8)).sum().backward()
    assert layer.gate.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("mode", ["P", "D"])
def test_attenuation_weakens_the_transitions_of_an_image_alike_in_training(mode):
    layer = PLSTM2d(8, 8, heads=2, mode=mode, attenuation=0.5).double()
    x = torch.randn(3, 4, 5, 8, dtype=torch.double)
    weakened, _ = layer.gates(x)
    whole, _ = layer.eval().gates(x)
    factors = []
    for name, gate in vars(whole).items():
        other = vars(weakened)[name]
        if name in ("right_from_left", "down_from_up", "down_from_left", "right_from_up"):
            factors += [other / gate] if gate.any() else []
        else:
            torch.testing.assert_close(other, gate)
    per_image = factors[0][:, 0, 0, 0, 0]
    for factor in factors:
        torch.testing.assert_close(factor, per_image.view(3, 1, 1, 1, 1).expand_as(factor))
    assert (per_image < 1).all() and (per_image > math.exp(-0.5)).all() and per_image.unique().numel() == 3


def test_attenuation_must_not_be_negative():
    with pytest.raises(ValueError, match="attenuation must not be negative, got -1"):
        PLSTM2d(8, 8, attenuation=-1)


def test_all_weights_of_2d_layers_are_trained():
    for mode in "PD":
        layer = PLSTM2d(8, 8, heads=2, mode=mode)
        layer(torch.randn(2, 3, 4, 8)).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("bidirectional", [False, True])
def test_1d_layer_reads_what_it_may(bidirectional):
    layer = PLSTM1d(8, 12, heads=2, bidirectional=bidirectional)
    x = torch.randn(1, 6, 8, requires_grad=True)
    out = layer(x)
    assert out.shape == (1, 6, 12)
    (grad,) = torch.autograd.grad(out[0, 2].sum(), x)
    reads = grad[0].abs().sum(dim=-1) > 0  # exact: what is not read is multiplied by zeros
    assert reads.tolist() == [True] * 3 + [bidirectional] * 3


def test_streaming_equals_one_pass():
    layer = excite(PLSTM1d(8, 8, heads=2)).double()
    x = torch.randn(2, 11, 8, dtype=torch.double)
    whole, final = layer(x, return_state=True)
    first, state = layer(x[:, :4], return_state=True)
    second, last = layer(x[:, 4:], state, return_state=True)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(last, final)


def test_bidirectional_is_symmetric_under_reversal():
    layer = PLSTM1d(8, 8, heads=2, bidirectional=True).double()
    with torch.no_grad():
        # The same gates both ways.
        layer.gate.weight[8:14] = layer.gate.weight[2:8]
        layer.gate.bias[8:14] = layer.gate.bias[2:8]
    x = torch.randn(1, 7, 8, dtype=torch.double)
    torch.testing.assert_close(layer(x.flip(1)), layer(x).flip(1))


def test_bad_input():
    with pytest.raises(ValueError, match=r"channels \(9\) must be divisible by heads \(2\)"):
        PLSTM2d(9, 8, heads=2)
    with pytest.raises(ValueError, match="mode must be 'P', 'D' or 'M', got 'p'"):
        PLSTM2d(8, 8, mode="p")
    with pytest.raises(ValueError, match="chirality must be"):
        PLSTM2d(8, 8, chirality="left")
    with pytest.raises(ValueError, match="orientations must be 1 or 4"):
        PLSTM2d(8, 8, orientations=2)
    with pytest.raises(ValueError, match=r"x must be \[B, X, Y, 8\], got \[2, 3, 3, 7\]"):
        PLSTM2d(8, 8)(torch.randn(2, 3, 3, 7))
    with pytest.raises(ValueError, match=r"x must be \[B, L, 8\]"):
        PLSTM1d(8, 8)(torch.randn(2, 3, 7))
    with pytest.raises(ValueError, match="cannot be streamed"):
        PLSTM1d(8, 8, bidirectional=True)(torch.randn(2, 3, 8), return_state=True)
