"""The compiled form of grids: node by node in C, on a CPU; heads and grids are spread over threads.

States are advanced where they lie, in the cache, so this form is linear in nodes and reads and writes little but its
arguments. The backward pass keeps the states that enter every so many lines of one grid and head at a time.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.compiled import REALS, Source, can_compile, check_room, check_tensors, load_compiled, place, spread
from plstm_graph.ops.precision import without_autocast

_SOURCE = Source(Path(__file__).with_name("grid2d.c"), ("forward", "backward"))


def can_compile_grids(tensor: Tensor) -> bool:
    """Whether the compiled form is there for this device and dtype; compiles it at the first call."""
    return can_compile(_SOURCE, tensor)


def grid2d_compiled(
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
        gates: In the order of :data:`~plstm_graph.ops.grid2d.GATES`, each ``[B, X, Y, O, H]``.
        direct: ``[B, X, Y, H]``
        flips: Whether each orientation runs against the first and the second axis.

    Returns:
        ``[B, X, Y, H, V]``

    Raises:
        RuntimeError: If there is no compiled form for the device or dtype, or no C compiler.
    """
    if not can_compile_grids(query):
        raise RuntimeError(
            "the compiled form of grids needs float32 or float64 tensors on a CPU and a C compiler (see CC), got "
            f"{query.dtype} on {query.device}; use form='auto'"
        )
    width = value.size(-1)
    value = F.pad(value, (0, _vector_width(width) - width))
    out = _compiled(query, key, value, list(gates), direct, [against for flip in flips for against in flip])
    return out[..., :width]


def _vector_width(width: int) -> int:
    """The next width whose rows fill vector registers: at 12 and 24 it takes less than half the time."""
    return next((full for full in (8, 16, 32) if width <= full), -(-width // 16) * 16)


@torch.library.custom_op("plstm_graph::grid2d_compiled", mutates_args=())
@without_autocast
def _compiled(
    query: Tensor, key: Tensor, value: Tensor, gates: list[Tensor], direct: Tensor, flips: list[bool]
) -> Tensor:
    inputs = _arranged(query, key, value, gates, direct, flips)
    out = torch.empty_like(inputs[2])
    _run("forward", inputs, flips, [], [out])
    return out


@torch.library.custom_op("plstm_graph::grid2d_compiled_backward", mutates_args=())
@without_autocast
def _compiled_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, gates: list[Tensor], direct: Tensor, flips: list[bool]
) -> list[Tensor]:
    """Gradients of query, key, value, each of the gates, and direct."""
    inputs = _arranged(query, key, value, gates, direct, flips)
    check_tensors(value.dtype, grad=(grad, value.shape))
    grads = [torch.empty_like(tensor) for tensor in inputs]
    _run("backward", inputs, flips, [grad.contiguous()], grads)
    own = [gate.permute(0, 3, 4, 2, 1).contiguous() for gate in grads[3].unbind(dim=-1)]
    return [*grads[:3], *own, grads[4]]


def _arranged(
    query: Tensor, key: Tensor, value: Tensor, gates: list[Tensor], direct: Tensor, flips: list[bool]
) -> list[Tensor]:
    """Inputs as the C functions want them, all gates in one, ``[B, H, O, X, Y, 8]``."""
    batch, width, height, orientations, heads = gates[0].shape
    nodes = (batch, width, height, heads)
    features = {name: (tensor, (*nodes, tensor.size(-1))) for name, tensor in (("query", query), ("value", value))}
    named = {f"gate {number}": (gate, (*nodes[:3], orientations, heads)) for number, gate in enumerate(gates)}
    check_tensors(query.dtype, **features, key=(key, query.shape), direct=(direct, nodes), **named)
    if len(gates) != 8 or len(flips) != 2 * orientations:
        raise ValueError(f"8 gates and {2 * orientations} flips are needed, got {len(gates)} and {len(flips)}")
    together = direct.new_empty(batch, heads, orientations, width, height, len(gates))
    for own, gate in zip(together.unbind(dim=-1), gates, strict=True):
        own.copy_(gate.permute(0, 4, 3, 1, 2))
    return [query.contiguous(), key.contiguous(), value.contiguous(), together, direct.contiguous()]


def _run(name: str, inputs: list[Tensor], flips: list[bool], before: list[Tensor], after: list[Tensor]) -> None:
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
    lines = height * key_width * value.size(4)
    check_room((width + 6) * lines + 9 * value.size(4) + 1, query.dtype, f"the states of a grid of {width} x {height}")
    shape = (ctypes.c_ssize_t * 6)(width, height, gates.size(2), heads, key_width, value.size(4))
    against = (ctypes.c_ubyte * max(len(flips), 1))(*flips)
    pointers = [place(tensor) for tensor in (*before, *inputs, *after)]
    function: Any = getattr(load_compiled(_SOURCE, REALS[query.dtype]), name)

    failed = spread(
        lambda first, last: function(shape, against, first, last, *pointers), batch * heads, torch.get_num_threads()
    )
    if any(failed):
        raise MemoryError(f"no memory for the states of a grid of {width} x {height} nodes")


@_compiled.register_fake
def _(query, key, value, gates, direct, flips):
    return value.new_empty(value.shape)


@_compiled_backward.register_fake
def _(grad, query, key, value, gates, direct, flips):
    return [tensor.new_empty(tensor.shape) for tensor in (query, key, value, *gates, direct)]


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    query, key, value, gates, direct, ctx.flips = inputs
    ctx.save_for_backward(query, key, value, direct, *gates)


def _backward(ctx, grad):
    query, key, value, direct, *gates = ctx.saved_tensors
    *grads, grad_direct = _compiled_backward(grad, query, key, value, gates, direct, ctx.flips)
    return *grads[:3], grads[3:], grad_direct, None


_compiled.register_autograd(_backward, setup_context=_setup_context)
