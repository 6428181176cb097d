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
def test_a_new_head_adds_nothing_however_large_a_size_is(size):
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert SizeHead(3, 2).to(dtype)(torch.full((4, 3), size)).eq(0).all()
        assert SizeHead(3, 2, "log").to(dtype)(torch.full((4, 3), size)).eq(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 0.3, 1e4, 1e30])
def test_logarithms_of_sizes_have_both_signs(dtype, size):
    head = SizeHead(1, 1, "log").to(dtype)
    torch.nn.init.ones_(head.weight)
    torch.nn.init.zeros_(head.log_gain)
    expected = torch.asinh(torch.tensor(size, dtype=torch.double))
    given = torch.tensor([[size], [-size]], dtype=torch.double)
    rtol = {torch.bfloat16: 2**-8, torch.float32: 1e-6, torch.float64: 1e-14}[dtype]  # of the result, and of asinh
    torch.testing.assert_close(head(given).double(), torch.stack([expected, -expected]).view(2, 1), rtol=rtol, atol=0)


def test_a_target_that_is_the_logarithm_of_an_amount_is_within_reach_at_any_size():
    """One weight serves all sizes: far from zero arsinh(s) is log(2 s)."""
    head = SizeHead(1, 1, "log")
    with torch.no_grad():
        head.weight.fill_(1)
        head.log_gain.fill_(2)
    sizes = torch.tensor([[1e3], [1e5], [1e10]])
    torch.testing.assert_close(head(sizes), (2 * sizes).log() + 2, rtol=1e-6, atol=1e-6)


def test_an_unknown_scale():
    with pytest.raises(ValueError, match="size_scale must be 'linear' or 'log', got 'sqrt'"):
        SizeHead(1, 1, "sqrt")
