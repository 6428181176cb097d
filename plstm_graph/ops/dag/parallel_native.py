"""The parallel form in C, on a CPU: :mod:`~plstm_graph.ops.dag.parallel` without a pass over memory per step.

Links need no layout for several heads here: a link is visited once and serves all heads. Nodes are divided into parts
that share no edge, such as some graphs of a batch, and those are spread over threads. Where there are too few, as of
one large graph, the attention alone is divided, at any node.
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

#: What each function does to a part, one after the other, and whether that needs the scalars of the whole part.
_STAGES = {
    "forward": (("weigh", True), ("attend_ranges", False)),
    "backward": (("read_back", False), ("give_back", False), ("weigh_back", True)),
}
_FUNCTIONS = ("check", "divide", *_STAGES, *(stage for stages in _STAGES.values() for stage, _ in stages))
_SOURCE = Source(SOURCES / "parallel.c", _FUNCTIONS)

#: Names of the index tensors that the C functions take; those behind them are for the twin alone.
_STRUCTURE = (
    *("edge_order", "own", "step_from", "step_to", "step_pair"),
    *("ptr", "column", "link", "back_ptr", "back_column", "back_link"),
    *("entry_link", "own_link", "start", "end", "pair_in", "pair_out"),
)

#: Numbers in the features that links read that are worth one more thread.
_WORTH_A_THREAD = 2**19
#: Indices that are worth one more thread where they are checked.
_WORTH_A_THREAD_OF_INDICES = 2**17
#: Slices that C checks indices in, and ranges of nodes that it divides the attention into.
_SLICES, _RANGES = 32, 64
#: Links of a part: so few that what they read and write stays in the cache of one core.
_LINKS_OF_A_PART = 2**10


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
    rows, back = links.by_reader, links.by_read
    if line_graph.is_reversed:
        rows, back = back, rows
    structure = [
        *(schedule.edge_order, ancestry.own, ancestry.step_from, ancestry.step_to, ancestry.step_pair, *rows, *back),
        *(links.entry_link, links.own_link, schedule.start, schedule.end, schedule.pair_in, schedule.pair_out),
    ]
    for_twin = [ancestry.to_edge, ancestry.step_ptr, *links.ends(line_graph.is_reversed)]
    return _PARALLEL(query, key, value, begin, transition, finish, direct, structure=[*structure, *for_twin])


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs ``[N, H, V]``, carried scalars ``[A, H]`` and weights of links ``[M, H]``."""
    links = _Links(operands, structure)
    out = torch.empty_like(operands[2])
    carried, weight = links.of_entries(), links.of_links()
    links.run("forward", [*operands, out, carried, weight])
    return out, carried, weight


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    """Gradients of query, key, value, begin, transition, finish and direct."""
    links = _Links(operands, structure)
    query, key, value, _, transition, finish, _ = operands
    grads = [torch.empty_like(tensor) for tensor in operands]
    # C adds to this one, and writes the others.
    grads[4].zero_()
    scratch = links.of_entries(), links.of_links()
    expected = zip(("grad", "carried", "weight"), (grad, *kept), (value, *scratch), strict=True)
    check_tensors(value.dtype, **{name: (tensor, like.shape) for name, tensor, like in expected})
    read = (query, key, value, transition, finish)
    links.run("backward", [grad, *kept, *read, *grads, *scratch, links.of_links(2)])
    return tuple(grads)


class _Links:
    """Operands and the links of a graph, all checked, and the parts of the graph that share no edge."""

    def __init__(self, operands: Tensors, structure: Tensors) -> None:
        query, value = operands[0], operands[2]
        (nodes, heads, key_width), value_width = query.shape, value.size(2)
        self._counts = _counts(operands, structure)
        _, edges, _, entries, _, links = self._counts
        self._entries, self._links, self._heads, self._like = entries, links, heads, value
        self._sizes = (ctypes.c_int64 * 9)(*self._counts, heads, key_width, value_width)
        self._indices = [tensor.contiguous() for tensor in structure[: len(_STRUCTURE)]]
        self._structure = places(self._indices)
        self._library: Any = load_native(_SOURCE, REALS[query.dtype])
        self._work = links * heads * (key_width + value_width)
        self._check()
        self._divide(nodes, edges)

    def of_entries(self) -> Tensor:
        """Room for scalars of each entry, ``[A, H]``."""
        return self._like.new_empty(self._entries, self._heads)

    def of_links(self, numbers: int = 1) -> Tensor:
        """Room for scalars of each link, ``[M, H]``, or several of them."""
        return self._like.new_empty(self._links, self._heads * numbers)

    def run(self, name: str, tensors: list[Tensor]) -> None:
        """Call a C function on all parts, in as many threads as torch uses and the work is worth.

        Args:
            name: The function.
            tensors: What it takes, in its order.
        """
        # Two parts or more for each thread, for they differ.
        threads = min(torch.get_num_threads(), self._work // _WORTH_A_THREAD)
        if threads <= 1 or 2 * self._most * threads <= self._links:
            self._spread(name, True, tensors)
        else:
            for stage, of_parts in _STAGES[name]:
                self._spread(stage, of_parts, tensors)

    def _spread(self, name: str, of_parts: bool, tensors: list[Tensor]) -> None:
        parts, units = (self._parts, self._num_parts) if of_parts else (self._ranges, _RANGES)
        arguments = places([self._sizes, self._structure, parts, *tensors])
        spread(getattr(self._library, name), units, arguments, self._work, _WORTH_A_THREAD)

    def _check(self) -> None:
        arguments, numbers = places([self._sizes, self._structure]), sum(tensor.numel() for tensor in self._indices)
        wrong = spread(self._library.check, _SLICES, arguments, numbers, _WORTH_A_THREAD_OF_INDICES)
        if wrong:
            raise ValueError(f"{_STRUCTURE[wrong - 1]} of the line graph has an index outside its range: {CHANGED}")

    def _divide(self, nodes: int, edges: int) -> None:
        lengths = (nodes + 1, nodes + 1, edges, edges + 1, 1, _RANGES + 1, nodes + 1, nodes + 1)
        lists = self._indices[0].new_empty(sum(lengths)).split(lengths)
        node, edge_ptr, edge, step_ptr, most, ranges, *_ = lists
        where = [ctypes.c_void_p(tensor.data_ptr()) for tensor in lists]
        links = ctypes.c_int64(_LINKS_OF_A_PART)
        self._library.divide.restype = ctypes.c_int64
        self._num_parts = self._library.divide(self._sizes, self._structure, links, *where)
        if self._num_parts < 0:
            raise ValueError(f"steps of the line graph are not those of its pairs: {CHANGED}")
        self._most, self._kept = int(most), lists
        self._parts = places([node, edge_ptr, edge, step_ptr])
        self._ranges = places([ranges, edge_ptr, edge, step_ptr])


def _counts(operands: Tensors, structure: Tensors) -> tuple[int, ...]:
    """Sizes in the order of the C structure, up to the number of links; all tensors are held to them."""
    query, key, value, begin, transition, finish, direct = operands
    lists = dict(zip(_STRUCTURE, structure, strict=False))
    (nodes, heads, key_width), pairs = query.shape, transition.size(0)
    edges, entries, steps, links = (lists[name].numel() for name in ("own", "entry_link", "step_from", "column"))
    check_tensors(
        query.dtype,
        query=(query, (nodes, heads, key_width)),
        key=(key, (nodes, heads, key_width)),
        value=(value, (nodes, heads, value.size(-1))),
        begin=(begin, (edges, heads)),
        transition=(transition, (pairs, heads)),
        finish=(finish, (edges, heads)),
        direct=(direct, (nodes, heads)),
    )
    rows = (nodes + 1, links, links)
    lengths = (edges, edges, steps, steps, steps, *rows, *rows, entries, nodes, edges, edges, pairs, pairs)
    index = zip(lists.items(), lengths, strict=True)
    check_tensors(torch.int64, **{name: (tensor, (length,)) for (name, tensor), length in index})
    return nodes, edges, pairs, entries, steps, links


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor, Tensor]:
    value, lists = operands[2], dict(zip(_STRUCTURE, structure, strict=False))
    heads, entries, links = value.size(1), lists["entry_link"].size(0), lists["column"].size(0)
    return value.new_empty(value.shape), value.new_empty(entries, heads), value.new_empty(links, heads)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    lists = dict(zip(_STRUCTURE, structure, strict=False))
    to_edge, step_ptr, *ends = structure[len(_STRUCTURE) :]
    entries = (lists["edge_order"], lists["own"], to_edge)
    steps = (lists["step_from"], lists["step_to"], lists["step_pair"], step_ptr)
    return read_links_twin(operands, entries, steps, ends, lists["entry_link"], lists["own_link"])


_PARALLEL = CustomOperator(
    "parallel_native",
    ("query", "key", "value", "begin", "transition", "finish", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=2,
)
