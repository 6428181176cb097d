"""Generalised gates of the blocks of a grid, in all orientations. No autograd here.

Every orientation is evaluated as right-down, on a flipped grid; what comes out is put back in the order of the grid.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from plstm_graph.ops.grid2d.paths import block_paths, block_paths_gradient

Flips = Sequence[tuple[bool, bool]]


class BlockGates(NamedTuple):
    """Generalised gates of ``Z`` grids of ``I x J`` blocks of ``n`` nodes, entered by ``A`` edges per orientation.

    Attributes:
        source: What leaves, of what the nodes put in, ``[Z * I * J, O * A, n]``.
        transition: What leaves, of what enters, ``[Z * I * J * O, A, A]``.
        mark: What the nodes read of what enters, ``[Z * I * J, n, O * A]``.
        gating: What the nodes read of others of their block, all orientations together, ``[Z * I * J, n, n]``.
    """

    source: Tensor
    transition: Tensor
    mark: Tensor
    gating: Tensor


def block_gates(gates: Tensor, flips: Flips) -> BlockGates:
    """Generalised gates from those of nodes.

    Args:
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, ``[8, x, y, O, Z, I, J]``, each orientation
            flipped already.
        flips: Whether each orientation runs against the first and the second axis.
    """
    (width, height), (items, rows, columns) = gates.shape[1:3], gates.shape[4:]
    entering, nodes, count = width + height, width * height, items * rows * columns
    reads, leaves = block_paths(gates.flatten(3))
    reads = reads.view(width, height, entering + nodes, *gates.shape[3:])
    leaves = leaves.view(entering, entering + nodes, *gates.shape[3:])
    source = gates.new_empty(count, len(flips), entering, nodes)
    transition = gates.new_empty(count, len(flips), entering, entering)
    mark = gates.new_empty(count, nodes, len(flips), entering)
    gating = gates.new_zeros(count, nodes, nodes)
    for o, flip in enumerate(flips):
        read, leave = reads[:, :, :, o], leaves[:, :, o]
        within = read[:, :, entering:].unflatten(2, (width, height))
        put = leave[:, entering:].unflatten(1, (width, height))
        mark[:, :, o] = _blocks_first(_flipped(read[:, :, :entering], flip, (0, 4), (1, 5))).reshape(
            mark[:, :, o].shape
        )
        gating += _blocks_first(_flipped(within, flip, (0, 2, 5), (1, 3, 6))).reshape(gating.shape)
        source[:, o] = _blocks_first(_flipped(put, flip, (1, 4), (2, 5))).reshape(source[:, o].shape)
        passing = _blocks_first(_flipped(leave[:, :entering], flip, (3,), (4,)))
        transition[:, o] = passing.reshape(transition[:, o].shape)
    return BlockGates(source.flatten(1, 2), transition.flatten(0, 1), mark.flatten(2, 3), gating)


def block_gates_gradient(grads: BlockGates, gates: Tensor, flips: Flips) -> Tensor:
    """Gradient of the gates of nodes, in their shape.

    Args:
        grads: Gradients of the generalised gates.
        gates: As for :func:`block_gates`.
        flips: As for :func:`block_gates`.
    """
    (width, height), blocks = gates.shape[1:3], gates.shape[4:]
    entering, nodes, inner = width + height, width * height, (width, height)
    reads = gates.new_empty(*inner, entering + nodes, *gates.shape[3:])
    leaves = gates.new_empty(entering, entering + nodes, *gates.shape[3:])
    sources = grads.source.view(*blocks, len(flips), entering, *inner)
    transitions = grads.transition.view(*blocks, len(flips), entering, entering)
    marks = grads.mark.view(*blocks, *inner, len(flips), entering)
    gating = _blocks_last(grads.gating.view(*blocks, *inner, *inner))
    for o, flip in enumerate(flips):
        read, leave = reads[:, :, :, o], leaves[:, :, o]
        read[:, :, :entering] = _flipped(_blocks_last(marks[..., o, :]), flip, (0, 4), (1, 5))
        read[:, :, entering:] = _flipped(gating, flip, (0, 2, 5), (1, 3, 6)).flatten(2, 3)
        leave[:, entering:] = _flipped(_blocks_last(sources[:, :, :, o]), flip, (1, 4), (2, 5)).flatten(1, 2)
        leave[:, :entering] = _flipped(_blocks_last(transitions[:, :, :, o]), flip, (3,), (4,))
    return block_paths_gradient(reads.flatten(0, 1).flatten(2), leaves.flatten(2), gates.flatten(3)).view_as(gates)


def _flipped(
    tensor: Tensor, flip: tuple[bool, bool], along_first: tuple[int, ...], along_second: tuple[int, ...]
) -> Tensor:
    """Flip all dimensions along the axes that an orientation runs against."""
    dims = (along_first if flip[0] else ()) + (along_second if flip[1] else ())
    return tensor.flip(dims) if dims else tensor


def _blocks_first(tensor: Tensor) -> Tensor:
    """Move the last three dimensions, grids and their blocks, to the front."""
    return tensor.movedim((-3, -2, -1), (0, 1, 2))


def _blocks_last(tensor: Tensor) -> Tensor:
    """The inverse of :func:`_blocks_first`."""
    return tensor.movedim((0, 1, 2), (-3, -2, -1))


def part_of(gates: BlockGates, part: slice, grids: int) -> BlockGates:
    """Generalised gates of some of the grids; views.

    Args:
        gates: Generalised gates of all.
        part: Which grids.
        grids: How many there are.
    """
    return BlockGates(*(gate.unflatten(0, (grids, -1))[part].flatten(0, 1) for gate in gates))
