"""M-mode in C, on a CPU: node by node, channels side by side, at the cost of reading and writing each operand once.

It needs nothing of a graph but its edges and pairs. What it keeps for the backward pass is the sum at each edge: which
term was the largest is seen again from it, exactly, for the same sums are formed.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.native_plan import open_plan
from plstm_graph.native.load import (
    REALS,
    SOURCES,
    Source,
    check_tensors,
    has_native,
    load_native,
)
from plstm_graph.native.threads import places, spread
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.max_plus.levels import level_structure, max_plus_twin
from plstm_graph.ops.max_plus_terms import temperature_of, temperature_tensors

_SOURCE = Source(SOURCES / "max_plus.c", ("forward", "backward"))

#: Bytes of the channels that are evaluated together, as in C: threads share no cache line.
_BLOCK_BYTES = 64

#: Numbers in the sums of all edges and pairs that are worth one more thread.
_WORTH_A_THREAD = 2**19


def has_native_max_plus(tensor: Tensor) -> bool:
    """Whether the native form is there for this device and dtype; compiles it at the first call."""
    return has_native(_SOURCE, tensor)


def max_plus_native(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype, on the CPU."""
    structure = (line_graph.edge_index, line_graph.pairs, line_graph.native_plan, *temperature_tensors(temperature))
    return _MAX_PLUS(source, transition, mark, direct, structure=structure)


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Outputs ``[N, C]`` and the sum at each edge ``[E, C]``."""
    out, sums = torch.empty_like(operands[3]), torch.empty_like(operands[0])
    _run("forward", operands, structure, [out, sums])
    return out, sums


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    (sums, out), (source, _, _, direct) = (tensor.contiguous() for tensor in kept), operands
    check_tensors(direct.dtype, grad=(grad, direct.shape), sums=(sums, source.shape), output=(out, direct.shape))
    grads = tuple(torch.empty_like(tensor) for tensor in operands)
    _run("backward", operands, structure, [places(grads), out, sums, grad])
    return grads


def _run(name: str, operands: Tensors, structure: Tensors, arguments: list[Any]) -> None:
    """Call a C function on all channels, in as many threads as torch uses and the work is worth."""
    source, transition, mark, direct = operands
    edge_index, pairs, lists, *temperature = structure
    (nodes, channels), edges, num_pairs = direct.shape, edge_index.size(-1), pairs.size(-1)
    check_tensors(
        direct.dtype,
        source=(source, (edges, channels)),
        transition=(transition, (num_pairs, channels)),
        mark=(mark, (edges, channels)),
        direct=(direct, (nodes, channels)),
    )
    plan, real = open_plan(lists, edge_index, pairs, nodes), REALS[direct.dtype]
    sizes = (ctypes.c_int64 * 4)(nodes, edges, num_pairs, channels)
    number = ctypes.c_float if real == "float" else ctypes.c_double
    function = getattr(load_native(_SOURCE, real), name)
    softness, inputs = (number * 1)(temperature_of(temperature)), places(operands)
    given = places([sizes, plan.pointers, softness, inputs, *arguments])
    blocks = -(-channels * direct.element_size() // _BLOCK_BYTES)
    spread(function, blocks, given, (edges + num_pairs) * channels, _WORTH_A_THREAD)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    source, _, _, direct = operands
    return direct.new_empty(direct.shape), source.new_empty(source.shape)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    edge_index, pairs, _, *temperature = structure
    # The C functions need no levels, so nobody has kept any.
    graph = LineGraph(edge_index, operands[3].size(0), pairs)
    return max_plus_twin(operands, (*level_structure(graph), *temperature), [0])


_MAX_PLUS = CustomOperator(
    "max_plus_native",
    ("source", "transition", "mark", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=1,
    keeps_output=True,
    features=0,
)
