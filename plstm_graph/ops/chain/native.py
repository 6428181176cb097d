"""The native form of chains: step by step in C, on a CPU, as grids of one node in each line."""

import torch
from torch import Tensor

from plstm_graph.ops.chain.chunkwise import chain_chunkwise
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.regular_native import grid_backward, grid_forward, has_native_grids
from plstm_graph.ops.shapes import GATES

#: Places in a chunk of the form that stands in where derivatives are wanted that C does not compute.
_CHUNK = 16

_FLIPS = (0, 0)
#: The gates of a chain among those of a grid: its edges lead right, and there are no others.
_OWN = {"source_right": 3, "right_from_left": 4, "mark_left": 5}


def has_native_chains(tensor: Tensor) -> bool:
    """Whether the native form is there for this device and dtype; compiles it at the first call."""
    return has_native_grids(tensor)


def chain_native(
    query: Tensor, key: Tensor, value: Tensor, source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor
) -> Tensor:
    """Outputs of chains that begin with a state of zeros.

    Args:
        query: ``[B, L, H, K]``, float32 or float64 on the CPU, as all tensors.
        key: ``[B, L, H, K]``
        value: ``[B, L, H, V]``
        source: ``[B, L, H]``
        transition: ``[B, L, H]``
        mark: ``[B, L, H]``
        direct: ``[B, L, H]``

    Returns:
        ``[B, L, H, V]``

    Raises:
        RuntimeError: If there is no native form for the device or dtype, or no C compiler.
    """
    if not has_native_chains(query):
        raise RuntimeError(
            "the native form of chains needs float32 or float64 tensors on a CPU and a C compiler (see CC), got "
            f"{query.dtype} on {query.device}; use form='auto'"
        )
    return _CHAIN(query, key, value, source, transition, mark, direct)


def _as_grid(operands: Tensors) -> list[Tensor]:
    """Operands of a grid ``[B, L, 1, H]`` in one orientation."""
    nothing = torch.zeros_like(operands[6])
    gates = [operands[_OWN[name]] if name in _OWN else nothing for name in GATES]
    # An axis of lines, and of orientations.
    return [*(tensor.unsqueeze(2) for tensor in (*operands[:3], operands[6])), *(g[:, :, None, None] for g in gates)]


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    return (grid_forward(_as_grid(operands), _FLIPS).squeeze(2),)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    query, key, value, direct, *gates = grid_backward(grad.unsqueeze(2), _as_grid(operands), _FLIPS)
    own = [gates[GATES.index(name)].flatten(1, 3) for name in _OWN]
    return (*(tensor.squeeze(2) for tensor in (query, key, value)), *own, direct.squeeze(2))


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    value = operands[2]
    return (value.new_empty(value.shape),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    query, key, value, source, transition, mark, direct = (t.transpose(1, 2).flatten(0, 1) for t in operands)
    start = value.new_zeros(query.size(0), query.size(2), value.size(2))
    out, _ = chain_chunkwise(query, key, value, source, transition, mark, direct, start, _CHUNK)
    return out.unflatten(0, (-1, operands[0].size(2))).transpose(1, 2)


_CHAIN = CustomOperator(
    "chain_native",
    ("query", "key", "value", "source", "transition", "mark", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
)
