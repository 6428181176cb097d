"""Norms of heads against their formulas, what they keep of sizes, and the layers that use them."""

import math

import pytest
import torch

from plstm_graph import LineGraph, PLSTMConv, plstm
from plstm_graph.nn import MultiHeadLogNorm, MultiHeadRatioNorm, PLSTM1d, PLSTM2d
from plstm_graph.nn.head_norm import make_head_norm, with_ones
from plstm_graph.ops import plstm_chain
from plstm_graph.testing import assert_close, random_dag
from tests.nn.vision.test_layers import excite


def naive_log(y, weight, eps):
    out = torch.empty_like(y)
    for index in torch.cartesian_prod(*(torch.arange(size) for size in y.shape[:-1])).view(-1, y.dim() - 1).tolist():
        row = y[tuple(index)]
        size = math.sqrt(sum(each**2 for each in row.tolist()) / len(row) + eps)
        out[tuple(index)] = row * math.log(1 + size) / size
    return out * weight


def naive_ratio(y, weight, eps):
    out = torch.empty_like(y)
    for index in torch.cartesian_prod(*(torch.arange(size) for size in y.shape[:-1])).view(-1, y.dim() - 1).tolist():
        *row, n = y[tuple(index)].tolist()
        signed = math.copysign(math.log(1 + abs(n) / eps), n)
        out[tuple(index)] = torch.tensor([each / (abs(n) + eps) for each in row] + [signed], dtype=y.dtype)
    return out * weight


@pytest.mark.parametrize(("kind", "naive"), [("log", naive_log), ("ratio", naive_ratio)])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
@pytest.mark.parametrize("shape", [(5, 3, 4), (2, 3, 3, 2), (0, 3, 4)])
def test_norms_equal_their_formulas(kind, naive, eps, shape):
    norm = excite(make_head_norm(kind, 3, shape[-1], eps)).double()
    y = torch.randn(shape).double() * torch.logspace(-3, 3, shape[-1], dtype=torch.float64)
    assert_close(norm(y), naive(y, norm.weight, eps), 1e-12, kind)


@pytest.mark.parametrize("norm", [MultiHeadLogNorm(2, 3).double(), MultiHeadRatioNorm(2, 3).double()])
def test_gradients_of_norms(norm):
    y = (3 * torch.randn(4, 2, 3)).double().requires_grad_()
    assert torch.autograd.gradcheck(norm, (y,))
    zeros = torch.zeros(4, 2, 3).double().requires_grad_()
    (grad,) = torch.autograd.grad(norm(zeros).sum(), zeros)
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("eps", [0.1, 1e-3, 2.0])
def test_the_logarithm_of_a_normaliser_has_its_derivative_at_zero(eps):
    """Where an empty patch asks with zeros, everything that it reads is zero, not what it might read."""
    norm, y = make_head_norm("ratio", 1, 3, eps).double(), torch.zeros(1, 1, 3).double().requires_grad_()
    (grad,) = torch.autograd.grad(norm(y)[..., -1].sum(), y)
    assert_close(grad.flatten(), torch.tensor([0, 0, 1 / eps]).double(), 1e-12, "the derivative of log(1 + n / eps)")


@pytest.mark.parametrize("kind", ["rms", "log", "ratio"])
@pytest.mark.parametrize("eps", [0.0, -1.0, math.inf, math.nan])
def test_an_eps_that_would_give_no_number_is_named(kind, eps):
    for make in (PLSTMConv, PLSTM1d, PLSTM2d):
        with pytest.raises(ValueError, match=f"norm_eps must be a positive number, got {eps}"):
            make(8, 8, head_norm=kind, norm_eps=eps)


def test_a_size_survives_the_log_norm_alone():
    rms, log = make_head_norm("rms", 1, 4), make_head_norm("log", 1, 4)
    y = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 1, 4)
    sizes = [log(scale * y).abs().max().item() for scale in (0.01, 1.0, 10.0, 1000.0)]
    for scale, size in zip((0.01, 1.0, 10.0, 1000.0), sizes, strict=True):
        assert size == pytest.approx(math.log1p(scale), rel=0.1)  # eps is not small beside the square of 0.01
    assert_close(rms(10.0 * y), rms(1000.0 * y), 1e-5, "rms")


def test_the_ratio_does_not_fade_with_what_carries_it():
    """A value that arrives weakened by any factor is read as it was sent, and the factor stands beside it."""
    norm, value = MultiHeadRatioNorm(1, 4, eps=1e-6).double(), torch.randn(1, 1, 3).double()
    for strength in (1.0, 0.1, 0.001):
        out = norm(strength * with_ones(value))
        assert_close(out[..., :3], value, 1e-2, "ratio")
        assert out[..., 3].item() == pytest.approx(math.log1p(strength / 1e-6))


def test_unknown_and_narrow_heads_are_named():
    with pytest.raises(ValueError, match="head_norm must be one of 'rms', 'log', 'ratio', got 'layer'"):
        PLSTMConv(8, 8, head_norm="layer")
    with pytest.raises(ValueError, match="a normaliser takes one channel, so heads must be 2 wide or more, got 1"):
        PLSTM2d(4, 4, heads=4, head_norm="ratio")


@pytest.mark.parametrize("mode", ["P", "D"])
def test_a_layer_with_a_normaliser_equals_two_calls_of_the_operator(mode):
    edge_index, x = random_dag(9, 16), torch.randn(9, 8).double()
    conv = PLSTMConv(8, 12, heads=3, mode=mode, head_norm="ratio").double()
    graph = LineGraph(edge_index, 9)
    graph = graph.to_multitree() if mode == "D" else graph
    start, end = graph.edge_index
    query, key, value = (part.view(9, 3, -1) for part in conv.lin(x).split([12, 12, 9], dim=1))
    gates = conv.gates
    rest = (gates.source(x, start), gates.transition(x, graph), gates.mark(x, end), gates.direct(x), graph, "naive")
    read = plstm(query / 2, key, value, *rest)
    normaliser = plstm(query / 2, key, torch.ones(9, 3, 1).double(), *rest)
    expected = conv.lin_out(conv.norm(torch.cat([read, normaliser], dim=-1)).flatten(1))
    assert_close(conv(x, edge_index), expected, 1e-12, "layer")


@pytest.mark.parametrize("kind", ["rms", "log", "ratio"])
def test_layers_on_sequences_and_grids(kind):
    layer, x = PLSTM1d(6, 8, heads=2, head_norm=kind), torch.randn(2, 7, 6)
    sizes = [8, 8, 6 if kind == "ratio" else 8]
    query, key, value = (part.unflatten(-1, (2, -1)) for part in layer.lin(x).split(sizes, dim=-1))
    value = with_ones(value) if kind == "ratio" else value
    direct, source, mark, transition = layer.gate(x).chunk(4, dim=-1)
    gates = source.sigmoid(), (5 * transition).tanh(), mark.sigmoid(), direct.sigmoid()
    read = plstm_chain(query, key / 2, value, *gates, form="naive")
    assert_close(layer(x), layer.lin_out(layer.norm(read).flatten(-2)), 1e-5, "chain")

    grid, image = PLSTM2d(6, 8, heads=2, head_norm=kind), torch.randn(2, 3, 4, 6)
    assert grid(image).shape == (2, 3, 4, 8)
    assert_close(grid(image)[:1], grid(image[:1]), 1e-5, "a batch of images")


@pytest.mark.parametrize("kind", ["log", "ratio"])
def test_what_hears_nothing_and_is_nothing_stays_zero(kind):
    """Empty patches of an image are zero from the first layer to the last, whatever the norm."""
    grid = PLSTM2d(6, 8, heads=2, head_norm=kind)
    assert not grid(torch.zeros(1, 3, 4, 6)).any() or kind == "ratio"
    assert torch.isfinite(grid(torch.zeros(1, 3, 4, 6))).all()
