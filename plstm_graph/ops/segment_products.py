"""Products of neighbouring gates between any two places of a chain, exact for gates of any sign and for zeros."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.precision import without_autocast


def segment_products(gate: Tensor) -> Tensor:
    r"""What is left of a unit that travels a chain, :math:`P_{ij} = \prod_{j < m < i} g_m` for :math:`j < i`, else 0.

    They are running products, not differences of summed logarithms: exact for gates of 0 and of either sign without
    any bookkeeping, and without loss of digits where gates are small. The gradient, too, is formed of products only,
    never of quotients.

    Args:
        gate: ``[..., L]``

    Returns:
        ``[..., L, L]``
    """
    return _segment_products(gate)


@torch.library.custom_op("plstm_graph::segment_products", mutates_args=())
@without_autocast
def _segment_products(gate: Tensor) -> Tensor:
    length = gate.size(-1)
    after = torch.ones(length, length, dtype=torch.bool, device=gate.device).tril_(-1)
    running = torch.where(after, gate.unsqueeze(-1), 1).cumprod(dim=-2).tril_()
    return F.pad(running[..., : max(length - 1, 0), :], (0, 0, min(length, 1), 0))


def segment_products_gradient(grad: Tensor, products: Tensor) -> Tensor:
    r"""A product over m is one up to m times one from m on, so this is :math:`\sum_{ij} P_{im} \bar P_{ij} P_{mj}`.

    Args:
        grad: Gradient of the products, ``[..., L, L]``.
        products: The products.

    Returns:
        ``[..., L]``
    """
    return (torch.matmul(grad, products.mT) * products).sum(dim=-2)


@torch.library.custom_op("plstm_graph::segment_products_backward", mutates_args=())
@without_autocast
def _segment_products_backward(grad: Tensor, products: Tensor) -> Tensor:
    return segment_products_gradient(grad, products)


@_segment_products.register_fake
def _(gate):
    return gate.new_empty(*gate.shape, gate.size(-1))


@_segment_products_backward.register_fake
def _(grad, products):
    return grad.new_empty(grad.shape[:-1])


def _setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(output)


def _backward(ctx, grad):
    return _segment_products_backward(grad, *ctx.saved_tensors)


_segment_products.register_autograd(_backward, setup_context=_setup_context)
