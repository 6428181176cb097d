"""Norms of heads in C and in torch: the same values and gradients, whatever the sizes, layouts and threads."""

import pytest
import torch

from plstm_graph.ops import head_norm
from plstm_graph.ops.head_norm import _HEAD_NORM, _WORTH_A_THREAD, scaled_heads
from plstm_graph.testing import assert_close
from tests.ops.catalogue import native_code
from tests.rounding import rounding

needs_compiler = pytest.mark.skipif(
    not head_norm.has_native(head_norm._SOURCE, torch.empty(0)),
    reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler",
)
KINDS = ("rms", "log")


def drawn(*shape, heads=3, width=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(*sizes, heads, width, generator=generator, dtype=torch.float64).to(dtype) for sizes in (shape, ())
    )
    return x, weight


def outcomes(x, weight, eps, kind, native):
    with native_code(native):
        leaves = [tensor.detach().requires_grad_() for tensor in (x, weight)]
        out = scaled_heads(*leaves, eps, kind)
        grad = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        return [out, *torch.autograd.grad(out, leaves, grad)]


def assert_c_equals_torch(x, weight, eps, kind, tolerance=1e-12):
    for actual, expected in zip(*(outcomes(x, weight, eps, kind, native) for native in (True, False)), strict=True):
        assert actual.dtype == expected.dtype and actual.shape == expected.shape
        assert_close(actual, expected, tolerance, kind)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 5), (0,)], ids=str)
@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 5), (4, 8), (2, 16), (4, 24), (5, 32), (17, 7), (2, 1000)])
def test_c_equals_torch(kind, shape, heads, width):
    x, weight = drawn(*shape, heads=heads, width=width)
    for eps in (1e-5, 0.5):
        assert_c_equals_torch(100 * x, weight, eps, kind)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_zeros_have_a_gradient(kind):
    x, weight = drawn(4)
    assert_c_equals_torch(torch.zeros_like(x), weight, 1e-5, kind)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_any_memory_layout(kind):
    x, weight = drawn(6)
    for other in (x.transpose(0, 2).contiguous().transpose(0, 2), x[::2], x.expand(2, *x.shape), x.flip(0)[1:]):
        assert_c_equals_torch(other, weight.t().contiguous().t(), 1e-5, kind)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_rows(kind, threads):
    """More rows than are worth three threads."""
    rows = 3 * _WORTH_A_THREAD // 15 + 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_c_equals_torch(*drawn(rows), 1e-5, kind, rounding(torch.float64, 15 * rows))
    finally:
        torch.set_num_threads(before)


@needs_compiler
def test_float32_differs_from_float64_by_its_rounding():
    x, weight = drawn(9, width=24)
    for kind in KINDS:
        exact = outcomes(x, weight, 1e-5, kind, True)
        for actual, expected in zip(outcomes(x.float(), weight.float(), 1e-5, kind, True), exact, strict=True):
            assert_close(actual.double(), expected, rounding(torch.float32, 24 * 9), kind)


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_forward_mode_and_vmap(kind):
    x, weight = (tensor.requires_grad_() for tensor in drawn(3))
    run = lambda *operands: scaled_heads(*operands, 0.1, kind)  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, weight), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, (x, weight))
    assert_close(torch.func.vmap(run, (0, None))(x, weight), run(x, weight), 1e-12, "vmap")


@needs_compiler
def test_the_operator_is_registered_soundly():
    x, weight = (tensor.requires_grad_() for tensor in drawn(3))
    eps = torch.tensor([1e-5], dtype=torch.float64)
    results = torch.library.opcheck(_HEAD_NORM.op, (x, weight, [eps], [1]))
    assert set(results.values()) == {"SUCCESS"}


@needs_compiler
def test_tensors_that_do_not_fit_are_refused():
    x, weight = drawn(4)
    eps = torch.tensor([1e-5], dtype=torch.float64)
    out, size = _HEAD_NORM.op(x, weight, [eps], [0])
    for bad in ((x, weight[:2], [eps], [0]), (x, weight.float(), [eps], [0]), (x, weight, [eps.float()], [0])):
        with pytest.raises(ValueError, match="native code needs"):
            _HEAD_NORM.op(*bad)
    for bad in (x, weight, [eps], [2]), (x[0, 0], weight, [eps], [0]):
        with pytest.raises(ValueError, match="native code needs heads"):
            _HEAD_NORM.op(*bad)
    for grad, kept in ((out[:2], size), (out, size[:2]), (out.float(), size)):
        with pytest.raises(ValueError, match="native code needs"):
            _HEAD_NORM.backward_op(grad, [kept], x, weight, [eps], [0])


def test_a_weight_of_another_dtype_is_left_to_torch():
    x, weight = drawn(4, dtype=torch.float32)
    assert scaled_heads(x, weight.bfloat16(), 1e-5, "rms").dtype is torch.float32
    assert scaled_heads(x.bfloat16(), weight.bfloat16(), 1e-5, "log").dtype is torch.bfloat16
