"""The way of raw sizes to the prediction."""

import pytest
import torch

from plstm_graph.nn.size_head import SizeHead


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("size", [1001.0, 4097.0, 100_001.0])
def test_differences_of_sizes_survive_any_precision(dtype, size):
    """Two large sizes that differ by one: exact in float32, one number or none in half precision."""
    head = SizeHead(2, 1).to(dtype)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, -1.0]]))
    sizes = torch.tensor([[size, size - 1]])
    assert head(sizes).dtype == dtype
    assert head(sizes).item() == 1.0  # exact: each product and the difference are whole numbers below 2**24
    with torch.autocast("cpu", torch.bfloat16):
        assert head(sizes).item() == 1.0


@pytest.mark.parametrize("size", [1e5, 1e30, 3e38])
def test_a_new_linear_head_adds_nothing_however_large_a_size_is(size):
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert SizeHead(3, 2).to(dtype)(torch.full((4, 3), size)).eq(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 0.3, 1e4, 1e30])
def test_logarithms_of_amounts_have_both_signs(dtype, size):
    head = SizeHead(1, 1, "log").to(dtype)
    torch.nn.init.zeros_(head.log_gain)
    expected = torch.log1p(torch.tensor(size, dtype=torch.double))
    given = torch.tensor([[size], [-size]], dtype=torch.double)
    rtol = {torch.bfloat16: 2**-8, torch.float32: 1e-6, torch.float64: 1e-14}[dtype]  # of the result, and of log1p
    torch.testing.assert_close(head(given).double(), torch.stack([expected, -expected]).view(2, 1), rtol=rtol, atol=0)


@pytest.mark.parametrize("size", [1e32, 3e38, float("inf")])
def test_the_logarithm_of_any_size_is_a_number(size):
    head = SizeHead(3, 2, "log")
    sizes = torch.full((4, 3), size, requires_grad=True)
    head(sizes).sum().backward()
    assert head(sizes).isfinite().all() and sizes.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 4, 9])
def test_the_logarithm_is_of_the_sum_of_what_the_heads_read(channels):
    """So that the prediction for an amount is that amount, whatever its size and however the heads divide it."""
    head = SizeHead(channels, 2, "log")
    with torch.no_grad():
        head.log_gain.copy_(torch.tensor([channels, 2.0 * channels]).log())
    for amount in (1e-3, 1.0, 1e3, 1e8):
        parts = torch.rand(5, channels)
        parts = amount * parts / parts.sum(dim=1, keepdim=True)
        expected = torch.tensor([amount, 2 * amount]).log1p().expand(5, 2)
        torch.testing.assert_close(head(parts), expected, rtol=1e-5, atol=1e-9)


def test_a_head_learns_from_amounts_of_zero():
    sizes = torch.zeros(3, 2, requires_grad=True)
    SizeHead(2, 1, "log")(sizes).sum().backward()
    torch.testing.assert_close(sizes.grad, torch.full((3, 2), torch.tensor(3.0).exp().item() / 2))


def test_an_unknown_scale():
    with pytest.raises(ValueError, match="size_scale must be 'linear' or 'log', got 'sqrt'"):
        SizeHead(1, 1, "sqrt")
