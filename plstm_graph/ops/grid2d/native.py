"""The native form of grids: node by node in C, on a CPU."""

from collections.abc import Sequence

from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.grid2d.twin import grid2d_twin
from plstm_graph.ops.regular_native import grid_backward, grid_forward, has_native_grids
from plstm_graph.ops.shapes import GATES


def grid2d_native(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Sequence[Tensor],
    direct: Tensor,
    flips: Sequence[tuple[bool, bool]],
) -> Tensor:
    """Outputs of a grid in several orientations.

    Args:
        query: ``[B, X, Y, H, K]``, float32 or float64 on the CPU, as all tensors.
        key: ``[B, X, Y, H, K]``
        value: ``[B, X, Y, H, V]``
        gates: In the order of :data:`~plstm_graph.ops.shapes.GATES`, each ``[B, X, Y, O, H]``.
        direct: ``[B, X, Y, H]``
        flips: Whether each orientation runs against the first and the second axis.

    Returns:
        ``[B, X, Y, H, V]``

    Raises:
        RuntimeError: If there is no native form for the device or dtype, or no C compiler.
    """
    if not has_native_grids(query):
        raise RuntimeError(
            "the native form of grids needs float32 or float64 tensors on a CPU and a C compiler (see CC), got "
            f"{query.dtype} on {query.device}; use form='auto'"
        )
    return _GRID(query, key, value, direct, *gates, options=[int(against) for flip in flips for against in flip])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    return (grid_forward(operands, options),)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    return grid_backward(grad, operands, options)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    value = operands[2]
    return (value.new_empty(value.shape),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    query, key, value, direct, *gates = operands
    # Every head is a grid of its own.
    q, k, v, d = (tensor.movedim(3, 1).flatten(0, 1) for tensor in (query, key, value, direct))
    own = [gate.movedim(4, 1).flatten(0, 1) for gate in gates]
    out = grid2d_twin(q, k, v, own, d, options[::2], options[1::2])
    return out.unflatten(0, (-1, query.size(3))).movedim(1, 3)


_GRID = CustomOperator("grid2d_native", ("query", "key", "value", "direct", *GATES), _forward, _backward, _fake, _twin)
