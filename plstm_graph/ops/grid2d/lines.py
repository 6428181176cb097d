"""Generalised gates of the lines of a grid, in closed form, since a line is a chain. No autograd here."""

import torch
from torch import Tensor

from plstm_graph.ops.segment_products import segment_products, segment_products_gradient


def line_matrices(gates: Tensor, flips: list[bool]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""What passes through lines, along the second axis of the grid, and what they read of themselves.

    With :math:`P` the products of ``right_from_left`` strictly between two places, what a line hands down of what
    enters it from above is ``down_from_left * P * right_from_up``, and so on; at its own place each node hands down
    ``down_from_up`` directly.

    Args:
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, ``[8, ..., O, W]`` for lines of ``W`` nodes.
        flips: Whether each orientation runs against the line.

    Returns:
        Transition (from what enters to what leaves), Source (from nodes to what leaves), Mark (from what enters to
        nodes), and the gating matrix between its nodes without its diagonal; each ``[..., O, W, W]``.
    """
    s_right, s_down, right_left, down_up, down_left, right_up, mark_left, mark_up = gates
    between = _turned(segment_products(right_left), flips)
    leaving, read = between * down_left.unsqueeze(-1), between.mul_(mark_left.unsqueeze(-1))
    right_up, s_right = right_up.unsqueeze(-2), s_right.unsqueeze(-2)
    transition, source, mark, gating = leaving * right_up, leaving.mul_(s_right), read * right_up, read.mul_(s_right)
    for matrix, own in ((transition, down_up), (source, s_down), (mark, mark_up)):
        matrix.diagonal(dim1=-2, dim2=-1).add_(own)
    return transition, source, mark, gating


def line_matrices_gradient(
    transition: Tensor, source: Tensor, mark: Tensor, gating: Tensor, gates: Tensor, flips: list[bool]
) -> Tensor:
    """Gradient of the gates of :func:`line_matrices`, ``[8, ..., O, W]``, from those of its four results."""
    s_right, _, right_left, _, down_left, right_up, mark_left, _ = gates
    own = [matrix.diagonal(dim1=-2, dim2=-1) for matrix in (source, transition, mark)]
    products = segment_products(right_left)
    between = _turned(products, flips)

    down_left, mark_left = down_left.unsqueeze(-1), mark_left.unsqueeze(-1)
    right_up, s_right = right_up.unsqueeze(-2), s_right.unsqueeze(-2)
    leaving = (transition * right_up).addcmul_(source, s_right)
    read = (mark * right_up).addcmul_(gating, s_right)
    grad_between = _turned((leaving * down_left).addcmul_(read, mark_left), flips)
    grad_right_left = segment_products_gradient(grad_between, products)
    grad_right_up = (transition * down_left).addcmul_(mark, mark_left).mul_(between).sum(dim=-2)
    grad_s_right = (source * down_left).addcmul_(gating, mark_left).mul_(between).sum(dim=-2)
    grad_down_left, grad_mark_left = leaving.mul_(between).sum(dim=-1), read.mul_(between).sum(dim=-1)
    return torch.stack(
        [grad_s_right, own[0], grad_right_left, own[1], grad_down_left, grad_right_up, grad_mark_left, own[2]]
    )


def _turned(products: Tensor, flips: list[bool]) -> Tensor:
    """Products as they are for orientations along the line, transposed for those against it."""
    parts = [products[..., o, :, :].mT if flip else products[..., o, :, :] for o, flip in enumerate(flips)]
    return torch.stack(parts, dim=-3)
