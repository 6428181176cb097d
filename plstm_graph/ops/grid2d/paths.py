r"""What the gates of one small block of a grid amount to: sums over paths, scalars only, for many blocks at once.

A block of ``x * y`` nodes is entered by ``A = y + x`` edges (from the left, in the order of y, then from above, in the
order of x) and left by as many (to the right, then down). Together with its ``n = x * y`` nodes, the entering edges
are the ``A + n`` *origins* of what travels inside. Nodes are visited in order; each combines the two edges that enter
it into the two that leave it and into what it reads itself. The generalised gates of the paper's blocks are all there:
what nodes read of entering edges (Mark) and of each other (gating matrix), what leaves of entering edges (Transition)
and of the nodes (Source). No autograd here.
"""

import torch
from torch import Tensor

# Numbers on the edges of the blocks that are evaluated together on a CPU, so that they stay in its cache.
_CHUNK = 2**20


def block_paths(gates: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over paths inside blocks.

    Args:
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, ``[8, x, y, M]`` for ``M`` independent blocks.

    Returns:
        What nodes read, ``[n, A + n, M]``, and what leaves, ``[A, A + n, M]``, of each origin; a node reads nothing of
        itself here.
    """
    parts = [_paths(part)[:2] for part in _chunks(gates)]
    return torch.cat([reads for reads, _ in parts], dim=-1), torch.cat([leaves for _, leaves in parts], dim=-1)


def block_paths_gradient(grad_reads: Tensor, grad_leaves: Tensor, gates: Tensor) -> Tensor:
    """Gradient of the gates, ``[8, x, y, M]``.

    Args:
        grad_reads: Gradient of what nodes read.
        grad_leaves: Gradient of what leaves.
        gates: The gates.
    """
    parts = _chunks(gates)
    size = parts[0].size(-1)
    grads = zip(grad_reads.split(size, dim=-1), grad_leaves.split(size, dim=-1), parts, strict=True)
    return torch.cat([_paths_gradient(*of_part) for of_part in grads], dim=-1)


def _chunks(gates: Tensor) -> tuple[Tensor, ...]:
    """A few blocks at a time on a CPU, all of them elsewhere."""
    width, height, blocks = gates.shape[1:]
    size = 2 * width * height * (width + height + width * height)
    step = max(64, _CHUNK // max(size, 1)) if gates.device.type == "cpu" else max(blocks, 1)
    return gates.split(step, dim=-1)


def _paths(gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Results of :func:`block_paths`, and what is on the edges right of and below each node, ``[n, 2, A + n, M]``."""
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


def _paths_gradient(grad_reads: Tensor, grad_leaves: Tensor, gates: Tensor) -> Tensor:
    """Adjoint sums travel the nodes in the opposite order; sums over paths are computed anew."""
    edges = _paths(gates)[2]
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
