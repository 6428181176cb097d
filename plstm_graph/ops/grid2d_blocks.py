"""Grids cut into equal blocks: parallel inside a block, states on the edges between blocks, memory linear in nodes."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, stack

from plstm_graph.ops.grid2d_paths import block_paths
from plstm_graph.ops.grid2d_states import BlockGates, block_outputs

Flips = Sequence[tuple[bool, bool]]


def grid2d_chunkwise(
    query: Tensor, key: Tensor, value: Tensor, gates: Sequence[Tensor], direct: Tensor, flips: Flips, side: int
) -> Tensor:
    """Outputs of a grid in several orientations.

    Args:
        query: ``[B, X, Y, H, K]``
        key: ``[B, X, Y, H, K]``
        value: ``[B, X, Y, H, V]``
        gates: In the order of :data:`~plstm_graph.ops.grid2d.GATES`, each ``[B, X, Y, O, H]``.
        direct: ``[B, X, Y, H]``
        flips: Whether each orientation runs against the first and the second axis.
        side: Most nodes along one side of a block; blocks are as equal as can be.

    Returns:
        ``[B, X, Y, H, V]``
    """
    batch, width, height, heads = direct.shape
    blocks = (-(-width // side), -(-height // side))
    shape = (-(-width // blocks[0]), -(-height // blocks[1]))
    padding = (blocks[0] * shape[0] - width, blocks[1] * shape[1] - height)

    q, k, v = (_by_block(tensor, blocks, shape, padding) for tensor in (query, key, value))
    generalised = _generalised(gates, direct, flips, blocks, shape, padding)
    flat = [flip for pair in flips for flip in pair]
    out = block_outputs(q, k, v, generalised, blocks, shape[1], flat)
    out = out.view(batch, heads, *blocks, *shape, -1).permute(0, 2, 4, 3, 5, 1, 6)
    return out.reshape(batch, width + padding[0], height + padding[1], heads, -1)[:, :width, :height]


def _generalised(
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Flips,
    blocks: tuple[int, int],
    shape: tuple[int, int],
    padding: tuple[int, int],
) -> BlockGates:
    """Generalised gates of all blocks. Every orientation is evaluated as right-down, on a flipped grid."""
    batch, _, _, heads = direct.shape
    nodes, entering = shape[0] * shape[1], shape[0] + shape[1]
    padded = F.pad(stack(list(gates)), (0, 0, 0, 0, 0, padding[1], 0, padding[0]))
    flipped = [padded.select(-2, o).flip(_axes(flip, 2, 3)) for o, flip in enumerate(flips)]
    arranged = stack(flipped).unflatten(4, (blocks[1], shape[1])).unflatten(3, (blocks[0], shape[0]))
    # [O, 8, B, I, x, J, y, H] to [8, x, y, O, B, H, I, J]
    arranged = arranged.permute(1, 4, 6, 0, 2, 7, 3, 5)
    reads, leaves = block_paths(arranged.flatten(3).contiguous())

    reads = reads.view(*shape, entering + nodes, len(flips), batch, heads, *blocks)
    leaves = leaves.view(entering, entering + nodes, len(flips), batch, heads, *blocks)
    sources, transitions, marks = [], [], []
    gating = F.pad(direct, (0, 0, 0, padding[1], 0, padding[0])).unsqueeze(-1)
    gating = _by_block(gating, blocks, shape, (0, 0)).squeeze(-1).diag_embed()
    for o, flip in enumerate(flips):
        read = reads[:, :, :, o].flip(_axes(flip, 0, 1) + _axes(flip, 5, 6)).permute(3, 4, 5, 6, 0, 1, 2)
        read = read.reshape(batch * heads, blocks[0] * blocks[1], nodes, entering + nodes)
        leave = leaves[:, :, o].flip(_axes(flip, 4, 5)).permute(2, 3, 4, 5, 0, 1)
        leave = leave.reshape(batch * heads, blocks[0] * blocks[1], entering, entering + nodes)
        marks.append(read[..., :entering])
        gating = gating + _origins(read[..., entering:], shape, flip)
        sources.append(_origins(leave[..., entering:], shape, flip))
        transitions.append(leave[..., :entering])
    return BlockGates(
        source=stack(sources, dim=2).flatten(2, 3),
        transition=stack(transitions, dim=2),
        mark=stack(marks, dim=3).flatten(3, 4),
        gating=gating,
    )


def _by_block(tensor: Tensor, blocks: tuple[int, int], shape: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """``[B, X, Y, H, C]`` to ``[B * H, I * J, n, C]``, zeros for missing nodes."""
    if any(padding):
        tensor = F.pad(tensor, (0, 0, 0, 0, 0, padding[1], 0, padding[0]))
    batch, heads, channels = tensor.size(0), tensor.size(3), tensor.size(4)
    parts = tensor.unflatten(2, (blocks[1], shape[1])).unflatten(1, (blocks[0], shape[0]))
    parts = parts.permute(0, 5, 1, 3, 2, 4, 6)
    return parts.reshape(batch * heads, blocks[0] * blocks[1], shape[0] * shape[1], channels)


def _axes(flip: tuple[bool, bool], first: int, second: int) -> list[int]:
    return [axis for axis, wanted in ((first, flip[0]), (second, flip[1])) if wanted]


def _origins(tensor: Tensor, shape: tuple[int, int], flip: tuple[bool, bool]) -> Tensor:
    """Put origins of a flipped grid, the last dimension, in the order of the grid."""
    return tensor.unflatten(-1, shape).flip(_axes(flip, -2, -1)).flatten(-2)
