"""M-mode in C, on a CPU: node by node, channels side by side, at the cost of reading and writing each operand once.

It needs nothing of a graph but its edges and pairs. What it keeps for the backward pass is the sum at each edge, and
the plan of its walk: which term was the largest is seen again from the sums, exactly, for the same ones are formed.
"""

import ctypes
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plstm_graph.compiled import REALS, Source, can_compile, check_tensors, load_compiled, place, places, spread
from plstm_graph.graph import LineGraph
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.max_plus_levels import level_structure, max_plus_twin
from plstm_graph.ops.max_plus_terms import temperature_of, temperature_tensors
from plstm_graph.ops.native_plan import Plan, kept_plan, make_plan, plan_length

_SOURCE = Source(Path(__file__).with_name("max_plus.c"), ("make_plan", "check_plan", "forward", "backward"))

#: Bytes of the channels that are evaluated together, as in C: threads share no cache line.
_BLOCK_BYTES = 64

#: Numbers in the sums of all edges and pairs below which starting a thread is not worth its while.
_WORTH_THREADS = 2**19


def can_compile_max_plus(tensor: Tensor) -> bool:
    """Whether the compiled form is there for this device and dtype; compiles it at the first call."""
    return can_compile(_SOURCE, tensor)


def max_plus_compiled(
    source: Tensor, transition: Tensor, mark: Tensor, direct: Tensor, line_graph: LineGraph, temperature: float
) -> Tensor:
    """Arguments and result as for :func:`~plstm_graph.ops.plstm_max_plus`, all of one dtype, on the CPU."""
    structure = (line_graph.edge_index, line_graph.pairs, *temperature_tensors(temperature))
    return _MAX_PLUS(source, transition, mark, direct, structure=structure)


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    """Outputs ``[N, C]``, the sum at each edge ``[E, C]``, and the lists of the plan."""
    library, (edge_index, pairs) = _library(operands, structure), structure[:2]
    out, sums = torch.empty_like(operands[3]), torch.empty_like(operands[0])
    plan = make_plan(library, edge_index, pairs, out.size(0))
    _run(library.forward, operands, structure, plan, [place(out), place(sums)])
    return out, sums, plan.lists


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    library = _library(operands, structure)
    (sums, lists, out), (source, _, _, direct) = (tensor.contiguous() for tensor in kept), operands
    check_tensors(direct.dtype, grad=(grad, direct.shape), sums=(sums, source.shape), output=(out, direct.shape))
    grads = tuple(torch.empty_like(tensor) for tensor in operands)
    plan = kept_plan(library, lists, structure[1], direct.size(0), source.size(0))
    _run(library.backward, operands, structure, plan, [places(grads), place(out), place(sums), place(grad)])
    return grads


def _library(operands: Tensors, structure: Tensors) -> Any:
    """The functions for the dtype of the operands, which are held to the sizes that C is told."""
    source, transition, mark, direct = operands
    (nodes, channels), edges, pairs = direct.shape, structure[0].size(-1), structure[1].size(-1)
    check_tensors(
        direct.dtype,
        source=(source, (edges, channels)),
        transition=(transition, (pairs, channels)),
        mark=(mark, (edges, channels)),
        direct=(direct, (nodes, channels)),
    )
    return load_compiled(_SOURCE, REALS[direct.dtype])


def _run(function: Any, operands: Tensors, structure: Tensors, plan: Plan, arguments: list[Any]) -> None:
    """Call a C function on all channels, in as many threads as torch uses and the work is worth."""
    source, transition, _, direct = operands
    real = ctypes.c_float if direct.dtype is torch.float32 else ctypes.c_double
    channels, rows = direct.size(1), source.size(0) + transition.size(0)
    sizes = (ctypes.c_int64 * 4)(direct.size(0), source.size(0), transition.size(0), channels)
    call = partial(function, sizes, plan.pointers, real(temperature_of(structure[2:])))
    blocks = -(-channels * direct.element_size() // _BLOCK_BYTES)
    threads = min(torch.get_num_threads(), rows * channels // _WORTH_THREADS)
    spread(lambda first, last: call(first, last, places(operands), *arguments), blocks, threads)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    (source, _, _, direct), (edge_index, pairs) = operands, structure[:2]
    length = plan_length(direct.size(0), edge_index.size(1), pairs.size(1))
    return direct.new_empty(direct.shape), source.new_empty(source.shape), edge_index.new_empty(length)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    edge_index, pairs, *temperature = structure
    # The C functions need no levels, so nobody has kept any.
    graph = LineGraph(edge_index, operands[3].size(0), pairs)
    return max_plus_twin(operands, (*level_structure(graph), *temperature), [0])


_MAX_PLUS = CustomOperator(
    "max_plus_compiled",
    ("source", "transition", "mark", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=2,
    keeps_output=True,
    features=0,
)
