"""The parallel form in C, on a CPU: what :mod:`~plstm_graph.ops.parallel` does, without a pass over memory per step.

Links need no layout for several heads here: a link is visited once and serves all heads. Ranges of heads are spread
over threads, since heads share no output.
"""

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plstm_graph.compiled import (
    CHANGED,
    REALS,
    Source,
    can_compile,
    check_tensors,
    load_compiled,
    place,
    places,
    spread,
)
from plstm_graph.graph import LineGraph
from plstm_graph.ops.precision import without_autocast

_SOURCE = Source(Path(__file__).with_name("parallel.c"), ("check", "forward", "backward"))

#: Names of the index tensors, in the order of the C structure.
_STRUCTURE = (
    *("edge_order", "own", "to_edge", "step_from", "step_to", "step_pair"),
    *("ptr", "column", "link", "entry_link", "own_link"),
)

#: Numbers in the features that links read below which starting a thread is not worth its while.
_WORTH_THREADS = 2**19


def can_compile_parallel(tensor: Tensor) -> bool:
    """Whether the compiled form is there for this device and dtype; compiles it at the first call."""
    return can_compile(_SOURCE, tensor)


def node_outputs_compiled(
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
    return _compiled(query, key, value, begin, transition, finish, direct, structure)[0]


@torch.library.custom_op("plstm_graph::parallel_compiled", mutates_args=())
@without_autocast
def _compiled(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    begin: Tensor,
    transition: Tensor,
    finish: Tensor,
    direct: Tensor,
    structure: list[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs ``[N, H, V]``, carried scalars ``[A, H]`` and weights of links ``[M, H]``."""
    inputs = [tensor.contiguous() for tensor in (query, key, value, begin, transition, finish, direct)]
    out = torch.empty_like(inputs[2])
    carried, weight = _scratch(inputs, structure)
    _run("forward", inputs, structure, [*inputs, out, carried, weight])
    return out, carried, weight


@torch.library.custom_op("plstm_graph::parallel_compiled_backward", mutates_args=())
@without_autocast
def _compiled_backward(
    grad: Tensor,
    carried: Tensor,
    weight: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    begin: Tensor,
    transition: Tensor,
    finish: Tensor,
    direct: Tensor,
    structure: list[Tensor],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, begin, transition, finish and direct."""
    inputs = [tensor.contiguous() for tensor in (query, key, value, begin, transition, finish, direct)]
    grads = [torch.zeros_like(tensor) for tensor in inputs]
    read, scratch = [*inputs[:3], inputs[4], inputs[5]], _scratch(inputs, structure)
    expected = zip(("grad", "carried", "weight"), (grad, carried, weight), (value, *scratch), strict=True)
    check_tensors(value.dtype, **{name: (tensor, like.shape) for name, tensor, like in expected})
    _run("backward", inputs, structure, [grad.contiguous(), carried, weight, *read, *grads, *scratch])
    return tuple(grads)  # type: ignore[return-value]


def _scratch(inputs: list[Tensor], structure: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Room for a scalar of each entry ``[A, H]`` and of each link ``[M, H]``."""
    value, (to_edge, column) = inputs[2], (structure[2], structure[7])
    heads = value.size(1)
    return value.new_empty(to_edge.numel(), heads), value.new_empty(column.numel(), heads)


def _run(name: str, inputs: list[Tensor], structure: list[Tensor], tensors: list[Tensor]) -> None:
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
    indices = [tensor.contiguous() for tensor in structure]
    indices_in_c = places(indices)
    pointers = [place(tensor) for tensor in tensors]
    library: Any = load_compiled(_SOURCE, REALS[query.dtype])
    wrong = library.check(sizes, indices_in_c)
    if wrong:
        raise ValueError(f"{_STRUCTURE[wrong - 1]} of the line graph has an index outside its range: {CHANGED}")
    function: Any = getattr(library, name)

    work = links * heads * (query.size(2) + value.size(2))
    threads = min(torch.get_num_threads(), work // _WORTH_THREADS)
    spread(lambda first, last: function(sizes, indices_in_c, first, last, *pointers), heads, threads)


def _counts(inputs: list[Tensor], structure: list[Tensor]) -> tuple[int, ...]:
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
    index = zip(_STRUCTURE, structure, lengths, strict=True)
    check_tensors(torch.int64, **{name: (tensor, (length,)) for name, tensor, length in index})
    return nodes, nodes, edges, pairs, own_links, entries, steps, links


@_compiled.register_fake
def _(query, key, value, begin, transition, finish, direct, structure):
    heads = query.size(1)
    return (
        torch.empty(value.shape, dtype=value.dtype, device=value.device),
        value.new_empty(structure[2].size(0), heads),
        value.new_empty(structure[7].size(0), heads),
    )


@_compiled_backward.register_fake
def _(grad, carried, weight, query, key, value, begin, transition, finish, direct, structure):
    return tuple(
        torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        for tensor in (query, key, value, begin, transition, finish, direct)
    )


def _setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, structure = inputs
    ctx.num_inputs, ctx.num_indices = len(tensors), len(structure)
    ctx.save_for_backward(*output[1:], *tensors, *structure)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx, grad, *_):
    if grad is None:
        return (*(None,) * ctx.num_inputs, [None] * ctx.num_indices)
    carried, weight, *saved = ctx.saved_tensors
    inputs, structure = saved[: ctx.num_inputs], saved[ctx.num_inputs :]
    return (*_compiled_backward(grad, carried, weight, *inputs, structure), [None] * ctx.num_indices)


_compiled.register_autograd(_backward, setup_context=_setup_context)
