r"""What the gates of one small block of a grid amount to: sums over paths, scalars only, for many blocks at once.

A block of ``x * y`` nodes is entered by ``A = y + x`` edges (from the left, in the order of y, then from above, in the
order of x) and left by as many (to the right, then down). Together with its ``n = x * y`` nodes, the entering edges
are the ``A + n`` *origins* of what travels inside. Nodes are visited in order; each combines the two edges that enter
it into the two that leave it and into what it reads itself. The generalised gates of the paper's blocks are all there:
what nodes read of entering edges (Mark) and of each other (gating matrix), what leaves of entering edges (Transition)
and of the nodes (Source).
"""

from typing import Any

import torch
from torch import Tensor

from plstm_graph.ops.precision import without_autocast


def block_paths(gates: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over paths inside blocks.

    Args:
        gates: In the order of :data:`~plstm_graph.ops.grid2d.GATES`, ``[8, x, y, M]`` for ``M`` independent blocks.

    Returns:
        What nodes read, ``[n, A + n, M]``, and what leaves, ``[A, A + n, M]``, of each origin. A node reads nothing
        of itself here.
    """
    reads, leaves, _ = _block_paths(gates)
    return reads, leaves


@torch.library.custom_op("plstm_graph::block_paths", mutates_args=())
@without_autocast
def _block_paths(gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The results, and what is on the edges right of and below each node, ``[n, 2, A + n, M]``."""
    width, height, blocks = gates.shape[1:]
    entering, nodes = width + height, width * height
    from_left, from_up, source = _combined(gates)
    edges = gates.new_zeros(nodes, 2, entering + nodes, blocks)
    reads = gates.new_zeros(nodes, entering + nodes, blocks)
    for node in range(nodes):
        x, y = divmod(node, height)
        known = slice(entering + node)
        target = edges[node, :, known]
        if x > 0:
            left = edges[node - height, 0, known]
            torch.mul(from_left[node, :2], left, out=target)
            torch.mul(from_left[node, 2], left, out=reads[node, known])
        else:
            target[:, y] = from_left[node, :2, 0]
            reads[node, y] = from_left[node, 2, 0]
        if y > 0:
            up = edges[node - 1, 1, known]
            target.addcmul_(from_up[node, :2], up)
            reads[node, known].addcmul_(from_up[node, 2], up)
        else:
            target[:, height + x] = from_up[node, :2, 0]
            reads[node, height + x] = from_up[node, 2, 0]
        edges[node, :, entering + node] = source[node]
    leaves = torch.cat([edges[nodes - height :, 0], edges[height - 1 :: height, 1]])
    return reads, leaves, edges


@torch.library.custom_op("plstm_graph::block_paths_backward", mutates_args=())
@without_autocast
def _block_paths_backward(grad_reads: Tensor, grad_leaves: Tensor, edges: Tensor, gates: Tensor) -> Tensor:
    """Gradient of the gates. Adjoint sums travel the nodes in the opposite order."""
    width, height, _ = gates.shape[1:]
    entering, nodes = width + height, width * height
    from_left, from_up, _ = _combined(gates)
    grads = torch.zeros_like(edges)
    grads[nodes - height :, 0] += grad_leaves[:height]
    grads[height - 1 :: height, 1] += grad_leaves[height:]
    grad_left, grad_up = torch.empty_like(from_left[:, :, 0]), torch.empty_like(from_left[:, :, 0])
    for node in reversed(range(nodes)):
        x, y = divmod(node, height)
        known = slice(entering + node)
        here, read = grads[node, :, known], grad_reads[node, known]
        if x > 0:
            left, grad = edges[node - height, 0, known], grads[node - height, 0, known]
            grad_left[node, :2] = (here * left).sum(dim=1)
            grad_left[node, 2] = (read * left).sum(dim=0)
            grad.addcmul_(from_left[node, 0], here[0]).addcmul_(from_left[node, 1], here[1])
            grad.addcmul_(from_left[node, 2], read)
        else:
            grad_left[node, :2], grad_left[node, 2] = here[:, y], read[y]
        if y > 0:
            up, grad = edges[node - 1, 1, known], grads[node - 1, 1, known]
            grad_up[node, :2] = (here * up).sum(dim=1)
            grad_up[node, 2] = (read * up).sum(dim=0)
            grad.addcmul_(from_up[node, 0], here[0]).addcmul_(from_up[node, 1], here[1])
            grad.addcmul_(from_up[node, 2], read)
        else:
            grad_up[node, :2], grad_up[node, 2] = here[:, height + x], read[height + x]
    every = torch.arange(nodes, device=gates.device)
    grad_source = grads[every, :, entering + every]
    ordered = [grad_source[:, 0], grad_source[:, 1], grad_left[:, 0], grad_up[:, 1], grad_left[:, 1], grad_up[:, 0]]
    return torch.stack([*ordered, grad_left[:, 2], grad_up[:, 2]]).view_as(gates)


def _combined(gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of what enters from the left and from above in (right, down, read), ``[n, 3, 1, M]``; sources."""
    s_right, s_down, right_left, down_up, down_left, right_up, mark_left, mark_up = gates.flatten(1, 2)
    from_left = torch.stack([right_left, down_left, mark_left], dim=1).unsqueeze(2)
    from_up = torch.stack([right_up, down_up, mark_up], dim=1).unsqueeze(2)
    return from_left, from_up, torch.stack([s_right, s_down], dim=1)


@_block_paths.register_fake
def _(gates):
    width, height, blocks = gates.shape[1:]
    origins = width + height + width * height
    return (
        gates.new_empty(width * height, origins, blocks),
        gates.new_empty(width + height, origins, blocks),
        gates.new_empty(width * height, 2, origins, blocks),
    )


@_block_paths_backward.register_fake
def _(grad_reads, grad_leaves, edges, gates):
    return torch.empty_like(gates)


def _setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[2], inputs[0])
    ctx.mark_non_differentiable(output[2])


def _backward(ctx, grad_reads, grad_leaves, _):
    return _block_paths_backward(grad_reads, grad_leaves, *ctx.saved_tensors)


_block_paths.register_autograd(_backward, setup_context=_setup_context)
