"""Products of neighbouring gates between any two places of a chain, exact for gates of any sign and for zeros."""

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors


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
    return _SEGMENT_PRODUCTS(gate)


def _running_products(gate: Tensor) -> Tensor:
    """Products from behind each place (columns) up to and including each place (rows), with ones above them."""
    length = gate.size(-1)
    after = torch.ones(length, length, dtype=torch.bool, device=gate.device).tril_(-1)
    return torch.where(after, gate.unsqueeze(-1), 1).cumprod(dim=-2)


def _one_place_later(running: Tensor) -> Tensor:
    length = running.size(-1)
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


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    return (_one_place_later(_running_products(operands[0]).tril_()),)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    return (segment_products_gradient(grad, kept[0]),)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    gate = operands[0]
    return (gate.new_empty(*gate.shape, gate.size(-1)),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    return _one_place_later(_running_products(operands[0]).tril())


_SEGMENT_PRODUCTS = CustomOperator(
    "segment_products", ("gate",), _forward, _backward, _fake, _twin, keeps_output=True, features=0
)
