"""The chunkwise form of grids: parallel inside blocks, states on the edges between them, memory linear in nodes.

Grids are evaluated a few at a time, and once more in the backward pass, so that states stay in the cache and none is
kept; what is kept are the generalised gates of blocks, scalars.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.grid2d.gates import BlockGates, block_gates, block_gates_gradient, part_of
from plstm_graph.ops.grid2d.states import block_gradients, block_outputs
from plstm_graph.ops.grid2d.twin import grid2d_twin
from plstm_graph.ops.grid2d.wave import Wave, waves

# Numbers in the states of the grids that are evaluated together on a CPU.
_SLICE = 2**18


def grid2d_chunkwise(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Sequence[tuple[bool, bool]],
    side: int,
) -> Tensor:
    """Outputs of a grid in several orientations.

    Args:
        query: ``[B, X, Y, H, K]``
        key: ``[B, X, Y, H, K]``
        value: ``[B, X, Y, H, V]``
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, each ``[B, X, Y, O, H]``.
        direct: ``[B, X, Y, H]``
        flips: Whether each orientation runs against the first and the second axis.
        side: Most nodes along one side of a block; blocks are as equal as can be.

    Returns:
        ``[B, X, Y, H, V]``
    """
    batch, width, height, heads = direct.shape
    blocks = (-(-width // side), -(-height // side))
    inner = (-(-width // blocks[0]), -(-height // blocks[1]))
    padding = (0, blocks[1] * inner[1] - height, 0, blocks[0] * inner[0] - width)

    # [B, I, x, J, y, H, C] to [B * H, I * J, n, C]
    q, k, v, d = (
        _split(F.pad(tensor, (0, 0, 0, 0, *padding)), inner)
        .permute(0, 5, 1, 3, 2, 4, 6)
        .reshape(batch * heads, blocks[0] * blocks[1], inner[0] * inner[1], -1)
        for tensor in (query, key, value, direct.unsqueeze(-1))
    )
    padded = F.pad(torch.stack(list(gates), dim=-1), (0, 0, 0, 0, 0, 0, *padding))
    flipped = [
        padded[:, :, :, o].flip([axis for axis, against in zip((1, 2), flip, strict=True) if against])
        for o, flip in enumerate(flips)
    ]
    # [B, I, x, J, y, H, 8, O] to [8, x, y, O, B * H, I, J]
    own = _split(torch.stack(flipped, dim=-1), inner).permute(6, 2, 4, 7, 0, 5, 1, 3).flatten(4, 5).contiguous()
    out = _BLOCKS(q, k, v, own, d.squeeze(-1), options=[int(against) for flip in flips for against in flip])
    out = out.view(batch, heads, *blocks, *inner, -1).permute(0, 2, 4, 3, 5, 1, 6)
    return out.flatten(3, 4).flatten(1, 2)[:, :width, :height]


def _split(tensor: Tensor, inner: tuple[int, int]) -> Tensor:
    """``[B, X, Y, ...]`` to ``[B, I, x, J, y, ...]``"""
    return tensor.unflatten(2, (-1, inner[1])).unflatten(1, (-1, inner[0]))


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    """Outputs ``[Z, I * J, n, V]``, given gates ``[8, x, y, O, Z, I, J]`` that are flipped already; block gates."""
    query, key, value, gates, direct = operands
    flips = _pairs(options)
    out = torch.empty_like(value)
    generalised = block_gates(gates, flips)
    generalised.gating.diagonal(dim1=1, dim2=2).add_(direct.flatten(0, 1))
    for part in _slices(key, value, gates):
        q, k, v = (tensor[part].flatten(0, 1) for tensor in (query, key, value))
        own = part_of(generalised, part, query.size(0))
        out[part] = block_outputs(q, k, v, own, _order(gates, flips, part), gates.size(2)).view_as(out[part])
    return out, *generalised


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    """States are computed anew, so that none needs to be kept."""
    query, key, value, gates, _ = operands
    flips = _pairs(options)
    grads = [torch.empty_like(tensor) for tensor in (query, key, value)]
    generalised = BlockGates(*kept)
    grad_generalised = BlockGates(*(torch.empty_like(gate) for gate in generalised))
    for part in _slices(key, value, gates):
        q, k, v, g = (tensor[part].flatten(0, 1) for tensor in (query, key, value, grad))
        own = part_of(generalised, part, query.size(0))
        *features, grad_own = block_gradients(g, q, k, v, own, _order(gates, flips, part), gates.size(2))
        for target, tensor in zip(grads, features, strict=True):
            target[part] = tensor.view_as(target[part])
        for target, tensor in zip(part_of(grad_generalised, part, query.size(0)), grad_own, strict=True):
            target.copy_(tensor)
    grad_direct = grad_generalised.gating.diagonal(dim1=1, dim2=2).contiguous().view(query.shape[:3])
    return (*grads, block_gates_gradient(grad_generalised, gates, flips), grad_direct)


def _pairs(options: Options) -> tuple[tuple[bool, bool], ...]:
    """Whether each orientation runs against the first and the second axis."""
    return tuple((bool(first), bool(second)) for first, second in zip(options[::2], options[1::2], strict=True))


def _order(gates: Tensor, flips: tuple[tuple[bool, bool], ...], part: slice) -> list[Wave]:
    return waves(gates.size(5), gates.size(6), flips, part.stop - part.start, gates.device)


def _slices(key: Tensor, value: Tensor, gates: Tensor) -> list[slice]:
    """Grids that are evaluated together: a few on a CPU, all of them elsewhere."""
    (width, height, orientations, items), blocks = gates.shape[1:5], gates.size(5) * gates.size(6)
    size = blocks * orientations * (width + height) * key.size(3) * value.size(3)
    step = max(1, _SLICE // max(size, 1)) if key.device.type == "cpu" else max(items, 1)
    return [slice(begin, min(begin + step, items)) for begin in range(0, items, step)]


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    query, _, value, gates, _ = operands
    (width, height, orientations), nodes = gates.shape[1:4], query.size(2)
    blocks, entering = query.size(0) * query.size(1), width + height
    return (
        value.new_empty(value.shape),
        gates.new_empty(blocks, orientations * entering, nodes),
        gates.new_empty(blocks * orientations, entering, entering),
        gates.new_empty(blocks, nodes, orientations * entering),
        gates.new_empty(blocks, nodes, nodes),
    )


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    query, key, value, gates, direct = operands
    inner, blocks = gates.shape[1:3], gates.shape[5:]

    def as_grid(tensor: Tensor) -> Tensor:
        """``[Z, I * J, n, C]`` to ``[Z, X, Y, C]``"""
        split = tensor.unflatten(2, inner).unflatten(1, blocks)
        return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    flips = _pairs(options)
    by_orientation = gates.permute(3, 0, 4, 5, 1, 6, 2).flatten(5, 6).flatten(3, 4).unbind()
    turned = [
        own.flip([axis for axis, against in zip((2, 3), flip, strict=True) if against])
        for own, flip in zip(by_orientation, flips, strict=True)
    ]
    own = torch.stack(turned, dim=-1).unbind()
    q, k, v = (as_grid(tensor) for tensor in (query, key, value))
    d = as_grid(direct.unsqueeze(-1)).squeeze(-1)
    out = grid2d_twin(q, k, v, own, d, [first for first, _ in flips], [second for _, second in flips])
    return _split(out, (inner[0], inner[1])).transpose(2, 3).flatten(3, 4).flatten(1, 2)


_BLOCKS = CustomOperator(
    "grid2d_blocks", ("query", "key", "value", "gates", "direct"), _forward, _backward, _fake, _twin, kept=4
)
