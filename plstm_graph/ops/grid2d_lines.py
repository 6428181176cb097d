"""Generalised gates of the lines of a grid, in closed form: a line is a chain."""

from typing import Any

import torch
from torch import Tensor

from plstm_graph.ops.precision import without_autocast
from plstm_graph.ops.segment_products import segment_products


def line_gates(gates: Tensor, flips: list[bool]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""What passes through lines, along the second axis of the grid, and what they read of themselves.

    With :math:`P` the products of ``right_from_left`` strictly between two places, what a line hands down is
    ``down_from_left * P * right_from_up`` of what enters it from above, and so on; at its own place each node hands
    down ``down_from_up`` directly.

    Args:
        gates: In the order of :data:`~plstm_graph.ops.grid2d.GATES`, ``[8, ..., O, W]`` for lines of ``W`` nodes.
        flips: Whether each orientation runs against the line.

    Returns:
        Transition (from what enters to what leaves), Source (from nodes to what leaves), Mark (from what enters to
        nodes), and the gating matrix between its nodes without its diagonal; each ``[..., O, W, W]``.
    """
    return _line_gates(gates, flips)


@torch.library.custom_op("plstm_graph::line_gates", mutates_args=())
@without_autocast
def _line_gates(gates: Tensor, flips: list[bool]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    s_right, s_down, right_left, down_up, down_left, right_up, mark_left, mark_up = gates
    between = _turned(segment_products(right_left), flips)
    leaving, read = between * down_left.unsqueeze(-1), between.mul_(mark_left.unsqueeze(-1))
    right_up, s_right = right_up.unsqueeze(-2), s_right.unsqueeze(-2)
    transition, source, mark, gating = leaving * right_up, leaving.mul_(s_right), read * right_up, read.mul_(s_right)
    for matrix, own in ((transition, down_up), (source, s_down), (mark, mark_up)):
        matrix.diagonal(dim1=-2, dim2=-1).add_(own)
    return transition, source, mark, gating


@torch.library.custom_op("plstm_graph::line_gates_backward", mutates_args=())
@without_autocast
def _line_gates_backward(
    transition: Tensor, source: Tensor, mark: Tensor, gating: Tensor, gates: Tensor, flips: list[bool]
) -> Tensor:
    """Gradient of the gates from those of the four matrices."""
    s_right, _, right_left, _, down_left, right_up, mark_left, _ = gates
    own = [matrix.diagonal(dim1=-2, dim2=-1) for matrix in (source, transition, mark)]
    products = segment_products(right_left)
    between = _turned(products, flips)

    down_left, mark_left = down_left.unsqueeze(-1), mark_left.unsqueeze(-1)
    right_up, s_right = right_up.unsqueeze(-2), s_right.unsqueeze(-2)
    leaving = (transition * right_up).addcmul_(source, s_right)
    read = (mark * right_up).addcmul_(gating, s_right)
    grad_between = _turned((leaving * down_left).addcmul_(read, mark_left), flips)
    grad_right_left = (torch.matmul(grad_between, products.mT) * products).sum(dim=-2)
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


@_line_gates.register_fake
def _(gates, flips):
    shape = (*gates.shape[1:], gates.size(-1))
    return tuple(gates.new_empty(shape) for _ in range(4))


@_line_gates_backward.register_fake
def _(transition, source, mark, gating, gates, flips):
    return torch.empty_like(gates)


def _setup_context(ctx: Any, inputs: tuple[Tensor, list[bool]], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.flips = inputs[1]


def _backward(ctx, *grads):
    return _line_gates_backward(*grads, *ctx.saved_tensors, ctx.flips), None


_line_gates.register_autograd(_backward, setup_context=_setup_context)
