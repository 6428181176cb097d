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
