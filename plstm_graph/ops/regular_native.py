"""The walk through grids in C, on a CPU, which chains share: node by node, heads and grids spread over threads.

States are advanced where they lie, in the cache, so this is linear in nodes and reads and writes little but its
arguments. The backward pass keeps the states that enter every so many lines of one grid and head at a time.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from plstm_graph.native.load import (
    REALS,
    SOURCES,
    Source,
    check_room,
    check_tensors,
    has_native,
    load_native,
)
from plstm_graph.native.threads import places, spread
from plstm_graph.ops.custom_operator import Options, Tensors
from plstm_graph.ops.shapes import GATES

_SOURCE = Source(SOURCES / "grid2d.c", ("gather", "scatter", "forward", "backward"))

#: Numbers in the states of all nodes that are worth one more thread.
_WORTH_A_THREAD = 2**19

#: Rows, and at most columns, of the states that are evaluated together, as in C.
_ROWS, _COLUMNS = 8, 16


def has_native_grids(tensor: Tensor) -> bool:
    """Whether the native form is there for this device and dtype; compiles it at the first call."""
    return has_native(_SOURCE, tensor)


def grid_forward(operands: Tensors, flips: Options) -> Tensor:
    """The output, outside of autograd.

    Args:
        operands: Contiguous: query, key and value, direct, then the gates in their order:
            ``[B, X, Y, H, K or V]``, ``[B, X, Y, H]`` and ``[B, X, Y, O, H]``.
        flips: Two for each orientation, 0 or 1.

    Returns:
        ``[B, X, Y, H, V]``

    Raises:
        ValueError: If a tensor is not what C takes it for.
        MemoryError: If there is no memory for the states.
    """
    inputs = _arranged(operands, flips)
    out = torch.empty_like(inputs[2])
    _run("forward", inputs, flips, [], [out])
    return out


def grid_backward(grad: Tensor, operands: Tensors, flips: Options) -> tuple[Tensor, ...]:
    """Gradients of the operands of :func:`grid_forward`, from that of its output ``[B, X, Y, H, V]``."""
    inputs = _arranged(operands, flips)
    check_tensors(operands[2].dtype, grad=(grad, operands[2].shape))
    batch, width, height, heads = operands[3].shape
    # Threads have heads of their own, so no line of the cache may hold several.
    direct = grad.new_empty(batch, heads, width, height)
    grads = [torch.empty_like(tensor) for tensor in inputs[:4]]
    _run("backward", inputs, flips, [grad], [*grads, direct])
    own = [torch.empty_like(gate) for gate in operands[4:]]
    _by_line("scatter", grads[3], [grads[3], places(own)], height)
    return (*grads[:3], direct.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format), *own)


def _arranged(operands: Tensors, flips: Options) -> list[Tensor]:
    """Query, key, value, all gates in one, ``[B, H, O, X, Y, 8]``, and direct, as the C functions want them."""
    query, key, value, direct, *gates = operands
    batch, width, height, orientations, heads = gates[0].shape
    nodes = (batch, width, height, heads)
    features = {name: (tensor, (*nodes, tensor.size(-1))) for name, tensor in (("query", query), ("value", value))}
    named = {name: (gate, (*nodes[:3], orientations, heads)) for name, gate in zip(GATES, gates, strict=True)}
    check_tensors(query.dtype, **features, key=(key, query.shape), direct=(direct, nodes), **named)
    if len(flips) != 2 * orientations:
        raise ValueError(f"{2 * orientations} flips are needed, got {len(flips)}")
    together = direct.new_empty(batch, heads, orientations, width, height, len(gates))
    _by_line("gather", together, [places(gates), together], height)
    return [query, key, value, together, direct]


def _by_line(name: str, together: Tensor, arguments: list[Any], height: int) -> None:
    """Bring the gates together, or take them apart, line by line of all grids.

    Args:
        name: The C function.
        together: ``[B, H, O, X, Y, 8]``
        arguments: What it takes behind the shape.
        height: Nodes in a line.
    """
    batch, heads, orientations, width = together.shape[:4]
    shape = (ctypes.c_ssize_t * 6)(width, height, orientations, heads, 0, 0)
    function: Any = getattr(load_native(_SOURCE, REALS[together.dtype]), name)
    spread(function, batch * width, places([shape, *arguments]), together.numel(), _WORTH_A_THREAD)


def _run(name: str, inputs: list[Tensor], flips: Options, before: list[Tensor], after: list[Tensor]) -> None:
    """Call a C function on all grids and heads, in as many threads as torch uses.

    Args:
        name: The function.
        inputs: As from :func:`_arranged`.
        flips: Two for each orientation.
        before: Tensors that the function takes before the inputs.
        after: Tensors that it takes behind them.
    """
    query, value, gates = inputs[0], inputs[2], inputs[3]
    batch, width, height, heads, key_width = query.shape
    packed = width * height * (4 * (key_width + _ROWS) + 3 * (value.size(4) + _COLUMNS))
    lines = 3 * (width + 1) * height * _ROWS * _COLUMNS
    check_room(packed + lines, query.dtype, f"the states of a grid of {width} x {height}")
    shape = (ctypes.c_ssize_t * 6)(width, height, gates.size(2), heads, key_width, value.size(4))
    against = (ctypes.c_ubyte * max(len(flips), 1))(*flips)
    arguments = places([shape, against, *before, *inputs, *after])
    function: Any = getattr(load_native(_SOURCE, REALS[query.dtype]), name)
    work = gates.numel() // gates.size(-1) * key_width * value.size(4)
    if spread(function, batch * heads, arguments, work, _WORTH_A_THREAD):
        raise MemoryError(f"no memory for the states of a grid of {width} x {height} nodes")
