"""Operands of any memory layout: every form of every operator gives the values and gradients of contiguous ones."""

import pytest
import torch
from torch import Tensor

from plstm_graph.testing import assert_close
from tests.ops.catalogue import case_of, every_case, one_case_of_each_operator


def permuted(tensor: Tensor) -> Tensor:
    """The same values, the last axis first in memory."""
    return tensor.movedim(-1, 0).contiguous().movedim(0, -1)


def reversed_axes(tensor: Tensor) -> Tensor:
    """The same values, axes in the opposite order in memory."""
    return tensor.permute(*reversed(range(tensor.dim()))).contiguous().permute(*reversed(range(tensor.dim())))


def sliced(tensor: Tensor) -> Tensor:
    """The same values within a larger tensor: gaps along every axis, and an offset."""
    larger = tensor.new_full([2 * size + 1 for size in tensor.shape], torch.nan)
    view = larger[tuple(slice(1, None, 2) for _ in tensor.shape)]
    view.copy_(tensor)
    return view


def expanded(tensor: Tensor) -> Tensor:
    """The same values for all items of the first axis that has several, held in memory once."""
    return tensor[:1].expand(tensor.shape)


def expanded_heads(tensor: Tensor) -> Tensor:
    """The same values along the last axis, held in memory once."""
    return tensor[..., :1].expand(tensor.shape)


def negated(tensor: Tensor) -> Tensor:
    """The same values as a view whose sign torch has not applied yet, every second number in memory."""
    return torch.complex(torch.zeros_like(tensor), -tensor).conj().imag


LAYOUTS = [permuted, reversed_axes, sliced, negated, expanded, expanded_heads]


def values_and_gradients(call, operands):
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = call(**leaves)
    out_grad = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(3))
    grads = torch.autograd.grad(out, list(leaves.values()), permuted(out_grad), materialize_grads=True)
    return {"output": out, **dict(zip(leaves, grads, strict=True))}


@every_case
def test_any_layout_of_all_operands(chosen):
    with case_of(*chosen) as case:
        for layout in LAYOUTS:
            laid_out = {name: layout(tensor.detach()) for name, tensor in case.operands.items()}
            expected = values_and_gradients(
                case.reference, {n: t.clone(memory_format=torch.contiguous_format) for n, t in laid_out.items()}
            )
            actual = values_and_gradients(case.call, laid_out)
            for name, tensor in expected.items():
                assert_close(actual[name], tensor, 1e-10, f"{layout.__name__}: {name}")


@one_case_of_each_operator
def test_one_operand_at_a_time(chosen):
    """Layouts that differ between operands decide the layout of what is computed from them."""
    with case_of(*chosen) as case:
        expected = values_and_gradients(case.reference, case.operands)
        for position, name in enumerate(case.operands):
            layout = LAYOUTS[position % 4]
            actual = values_and_gradients(case.call, case.operands | {name: layout(case.operands[name].detach())})
            for of, tensor in expected.items():
                assert_close(actual[of], tensor, 1e-10, f"{layout.__name__} {name}: {of}")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layouts_are_what_they_say(layout):
    tensor = torch.arange(24.0).view(2, 3, 4)
    assert not layout(tensor).is_contiguous()
    if layout in LAYOUTS[:4]:
        assert torch.equal(layout(tensor), tensor)  # Copies, not sums.
