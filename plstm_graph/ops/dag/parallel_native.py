"""The parallel form in C, on a CPU: :mod:`~plstm_graph.ops.dag.parallel` without a pass over memory per step.

Links need no layout for several heads here: a link is visited once and serves all heads. Ranges of heads are spread
over threads, since heads share no output.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.native.load import (
    CHANGED,
    REALS,
    SOURCES,
    Source,
    check_tensors,
    has_native,
    load_native,
)
from plstm_graph.native.threads import places, spread
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.twins import read_links_twin

_SOURCE = Source(SOURCES / "parallel.c", ("check", "forward", "backward"))

#: Names of the index tensors that the C functions take; those behind them are for the twin alone.
_STRUCTURE = (
    *("edge_order", "own", "to_edge", "step_from", "step_to", "step_pair"),
    *("ptr", "column", "link", "entry_link", "own_link"),
)

#: Numbers in the features that links read that are worth one more thread.
_WORTH_A_THREAD = 2**19


def has_native_parallel(tensor: Tensor) -> bool:
    """Whether the native form is there for this device and dtype; compiles it at the first call."""
    return has_native(_SOURCE, tensor)


def node_outputs_parallel_native(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    begin: Tensor,
    transition: Tensor,
    finish: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
) -> Tensor:
    """What each node reads.

    Args:
        query: ``[N, H, K]``, float32 or float64 on the CPU, as all tensors.
        key: ``[N, H, K]``
        value: ``[N, H, V]``
        begin: Scales what enters at the first edge of an entry, ``[E, H]``: Source, or Mark if the DAG is reversed.
        transition: ``[P, H]``
        finish: Scales what is read at the last edge of an entry, ``[E, H]``: the other one.
        direct: ``[N, H]``
        line_graph: The structure.

    Returns:
        ``[N, H, V]``
    """
    schedule, ancestry, links = line_graph.schedule, line_graph.ancestry, line_graph.links
    rows = links.by_read if line_graph.is_reversed else links.by_reader
    steps = (ancestry.step_from, ancestry.step_to, ancestry.step_pair)
    structure = [schedule.edge_order, ancestry.own, ancestry.to_edge, *steps, *rows, links.entry_link, links.own_link]
    for_twin = [ancestry.step_ptr, *links.ends(line_graph.is_reversed)]
    return _PARALLEL(query, key, value, begin, transition, finish, direct, structure=[*structure, *for_twin])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs ``[N, H, V]``, carried scalars ``[A, H]`` and weights of links ``[M, H]``."""
    out = torch.empty_like(operands[2])
    carried, weight = _scratch(operands, structure)
    _run("forward", operands, structure, [*operands, out, carried, weight])
    return out, carried, weight


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, begin, transition, finish and direct."""
    query, key, value, _, transition, finish, _ = operands
    # C writes the gradients of queries, and adds to the others.
    grads = (torch.empty_like(query), *(torch.zeros_like(tensor) for tensor in operands[1:]))
    read, scratch = (query, key, value, transition, finish), _scratch(operands, structure)
    expected = zip(("grad", "carried", "weight"), (grad, *kept), (value, *scratch), strict=True)
    check_tensors(value.dtype, **{name: (tensor, like.shape) for name, tensor, like in expected})
    _run("backward", operands, structure, [grad, *kept, *read, *grads, *scratch])
    return grads


def _scratch(inputs: Tensors, structure: Tensors) -> tuple[Tensor, Tensor]:
    """Room for a scalar of each entry ``[A, H]`` and of each link ``[M, H]``."""
    value, (to_edge, column) = inputs[2], (structure[2], structure[7])
    heads = value.size(1)
    return value.new_empty(to_edge.numel(), heads), value.new_empty(column.numel(), heads)


def _run(name: str, inputs: Tensors, structure: Tensors, tensors: list[Tensor]) -> None:
    """Call a C function on all heads, in as many threads as torch uses and the work is worth.

    Args:
        name: The function.
        inputs: Query, key, value and gates, which tell the sizes.
        structure: Index tensors in the order of the C structure.
        tensors: What the function takes, in its order.
    """
    query, value = inputs[0], inputs[2]
    counts = _counts(inputs, structure)
    heads, links = query.size(1), counts[-1]
    sizes = (ctypes.c_int64 * 11)(*counts, heads, query.size(2), value.size(2))
    indices = [tensor.contiguous() for tensor in structure[: len(_STRUCTURE)]]
    indices_in_c = places(indices)
    library: Any = load_native(_SOURCE, REALS[query.dtype])
    wrong = library.check(sizes, indices_in_c)
    if wrong:
        raise ValueError(f"{_STRUCTURE[wrong - 1]} of the line graph has an index outside its range: {CHANGED}")
    arguments = places([sizes, indices_in_c, *tensors])
    work = links * heads * (query.size(2) + value.size(2))
    spread(getattr(library, name), heads, arguments, work, _WORTH_A_THREAD)


def _counts(inputs: Tensors, structure: Tensors) -> tuple[int, ...]:
    """Sizes in the order of the C structure, up to the number of links; all tensors are held to them."""
    query, key, value, begin, transition, finish, direct = inputs
    (nodes, heads, key_width), pairs, own_links = query.shape, transition.size(0), structure[10].numel()
    edges, entries, steps, links = (structure[part].numel() for part in (1, 2, 3, 7))
    check_tensors(
        query.dtype,
        query=(query, (nodes, heads, key_width)),
        key=(key, (nodes, heads, key_width)),
        value=(value, (nodes, heads, value.size(-1))),
        begin=(begin, (edges, heads)),
        transition=(transition, (pairs, heads)),
        finish=(finish, (edges, heads)),
        direct=(direct, (own_links, heads)),
    )
    lengths = (edges, edges, entries, steps, steps, steps, nodes + 1, links, links, entries, own_links)
    index = zip(_STRUCTURE, structure[: len(_STRUCTURE)], lengths, strict=True)
    check_tensors(torch.int64, **{name: (tensor, (length,)) for name, tensor, length in index})
    return nodes, nodes, edges, pairs, own_links, entries, steps, links


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    value = operands[2]
    heads = value.size(1)
    entries, links = structure[2].size(0), structure[7].size(0)
    return value.new_empty(value.shape), value.new_empty(entries, heads), value.new_empty(links, heads)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    entry_link, own_link, step_ptr, *ends = structure[9:]
    return read_links_twin(operands, structure[:3], (*structure[3:6], step_ptr), ends, entry_link, own_link)


_PARALLEL = CustomOperator(
    "parallel_native",
    ("query", "key", "value", "begin", "transition", "finish", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=2,
)
