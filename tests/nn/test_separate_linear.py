"""Products of one input against torch's linear maps: values, gradients of any part, and who watches them."""

import pytest
import torch
import torch.nn.functional as F

from plstm_graph.nn.separate_linear import separate_linear
from plstm_graph.testing import assert_close

SIZES = [3, 3, 2]


@pytest.fixture
def operands():
    generator = torch.Generator().manual_seed(0)
    shapes = ((7, 5), (8, 5), (4, 5), (4,))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def separate(x, several, last, bias):
    return separate_linear(x, [several, last], SIZES, bias)


def plain(x, several, last, bias):
    return [*(F.linear(x, part) for part in several.split(SIZES)), F.linear(x, last, bias)]


def test_results_lie_apart_and_equal_linear_maps(operands):
    found = separate(*operands)
    for actual, expected in zip(found, plain(*operands), strict=True):
        assert actual.is_contiguous()
        assert_close(actual, expected, 1e-12, "product")


@pytest.mark.parametrize("read", [(0, 1, 2, 3), (1,), (3,), (0, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("wanted", [(0, 1, 2, 3), (0,), (1,), (2, 3)], ids=str)
def test_gradients_of_what_is_read(operands, read, wanted):
    leaves = [tensor.detach().requires_grad_(number in wanted) for number, tensor in enumerate(operands)]

    def gradients(run):
        out = run(*leaves)
        # What depends on none of the leaves still has a gradient, of zeros.
        total = sum((out[number] ** 2).sum() for number in read) + 0 * sum(leaf.sum() for leaf in leaves)
        given = [leaf for leaf in leaves if leaf.requires_grad]
        return torch.autograd.grad(total, given)

    for actual, expected in zip(gradients(separate), gradients(plain), strict=True):
        assert_close(actual, expected, 1e-12, "gradient")


def test_second_derivatives_forward_mode_and_vmap(operands):
    run = lambda *given: torch.cat(separate(*given), dim=1)  # noqa: E731
    assert torch.autograd.gradcheck(run, operands, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, operands)
    several = torch.stack([operands[0], 2 * operands[0]])
    expected = torch.stack([run(each, *operands[1:]) for each in several])
    assert_close(torch.func.vmap(run, (0, None, None, None))(several, *operands[1:]), expected, 1e-12, "vmap")


def test_several_gradients_at_once(operands):
    out = torch.cat(separate(*operands), dim=1)
    grads = torch.randn(3, *out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = torch.autograd.grad(out, operands, grads, is_grads_batched=True, retain_graph=True)
    for number, grad in enumerate(grads):
        for actual, expected in zip(found, torch.autograd.grad(out, operands, grad, retain_graph=True), strict=True):
            assert_close(actual[number], expected, 1e-12, "gradient")


def test_autocast_rounds_as_it_rounds_linear_maps(operands):
    given = [tensor.detach().float().requires_grad_() for tensor in operands]
    with torch.autocast("cpu", torch.bfloat16):
        results = separate(*given), plain(*given)
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype is torch.bfloat16
        assert torch.equal(actual, expected)  # The same operations.


def test_no_rows_at_all(operands):
    x, *rest = operands
    empty = x.detach()[:0].requires_grad_()
    out = separate(empty, *rest)
    assert [tuple(each.shape) for each in out] == [(0, 3), (0, 3), (0, 2), (0, 4)]
    grads = torch.autograd.grad(sum(each.sum() for each in out), [empty, *rest])
    assert not any(grad.any() for grad in grads)


def test_the_way_back_under_autocast_alone(operands):
    leaves = [tensor.detach().float().requires_grad_() for tensor in operands]
    given, expected = (sum((part**2).sum() for part in run(*leaves)) for run in (separate, plain))
    expected = torch.autograd.grad(expected, leaves)
    with torch.autocast("cpu", torch.bfloat16):
        actual = torch.autograd.grad(given, leaves)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == torch.float32
        assert_close(one, other, 1e-5, "gradient")
