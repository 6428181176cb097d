"""The recurrent form in C, on a CPU: node by node, where the states of edges are still in the cache.

It needs nothing of a graph but its edges and pairs, and is linear in them. A state is kept as long as its edge is under
way; the backward pass keeps the states of one segment of the walk, such as one graph of a batch, for each thread, in
slices that take no more than :data:`SLICE_BYTES`.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.native_plan import check_status, open_plan
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
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.twins import edge_messages_twin
from plstm_graph.ops.scatter import sum_rows

_SOURCE = Source(SOURCES / "recurrent.c", ("forward", "backward", "arrange", "arrange_back"))

#: States of a head are kept in slices of whole vectors of rows and columns, no wider than the C functions take. Those
#: of all threads together are of this size at most.
SLICE_BYTES = 2**30
_VECTOR, _WIDEST = 8, 32
#: Fewer rows, which costs time, where a slice of one vector each way would take so many times that size.
_TOO_LARGE = 2

#: Numbers in the states of all edges and pairs that are worth one more thread.
_WORTH_A_THREAD = 2**19
#: Gates of edges and pairs that are worth one more thread where they are laid out.
_WORTH_A_THREAD_OF_GATES = 2**18


def has_native_recurrent(tensor: Tensor) -> bool:
    """Whether the native form is there for this device and dtype; compiles it at the first call."""
    return has_native(_SOURCE, tensor)


def node_outputs_recurrent_native(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    source: Tensor,
    transition: Tensor,
    mark: Tensor,
    direct: Tensor,
    line_graph: LineGraph,
) -> Tensor:
    """What each node reads.

    Arguments and result as in :func:`~plstm_graph.plstm`, all float32 or all float64, on the CPU.
    """
    inputs = (query, key, value, source, transition, mark, direct)
    return _RECURRENT(*inputs, structure=(line_graph.edge_index, line_graph.pairs, line_graph.native_plan))


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    out = torch.empty_like(operands[2])
    walk = _Walk(operands, structure)
    inputs = walk.arranged()
    walk.run("forward", [places(inputs), out])
    return (out,)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    check_tensors(operands[2].dtype, grad=(grad, operands[2].shape))
    walk = _Walk(operands, structure)
    by_place = [gate.new_empty(gate.size(1), gate.size(0)) for gate in operands[3:]]
    inputs, of_features = walk.arranged(), [torch.empty_like(tensor) for tensor in operands[:3]]
    walk.run("backward", [places(inputs), places([*of_features, *by_place]), grad])
    del inputs  # of a large graph it takes much memory
    of_gates = [torch.empty_like(gate) for gate in operands[3:]]
    walk.lay_out("arrange_back", [*of_gates, *by_place])
    return (*of_features, *of_gates)


class _Walk:
    """Operands of a graph and the plan by which C functions walk through it, all checked."""

    def __init__(self, operands: Tensors, structure: Tensors) -> None:
        query, value = operands[0], operands[2]
        edge_index, pairs, lists = structure
        (nodes, heads, key_width), value_width = query.shape, value.size(2)
        edges, num_pairs = edge_index.size(-1), pairs.size(-1)
        _check_shapes(operands, edges, num_pairs)
        self._operands = operands
        self._plan = open_plan(lists, edge_index, pairs, nodes)
        threads = max(min(torch.get_num_threads(), self._plan.segments * heads), 1)
        number = self._plan.longest * query.element_size() * threads
        rows, columns = _slice(key_width, value_width, number)
        room = (self._plan.longest + 1) * (rows + _VECTOR) * (columns + _VECTOR)
        check_room(room, query.dtype, f"the states of {edges} edges")
        sizes = nodes, edges, num_pairs, heads, key_width, value_width, rows, columns
        self._sizes = (ctypes.c_int64 * len(sizes))(*sizes)
        self._library: Any = load_native(_SOURCE, REALS[query.dtype])
        self._edges, self._gates = edges, (2 * edges + num_pairs) * heads
        self._work = (edges + num_pairs) * heads * key_width * value_width

    def arranged(self) -> list[Tensor]:
        """The operands, with Source and Mark ``[H, E]`` and Transition ``[H, P]`` in the order of the walk."""
        *features, source, transition, mark, direct = self._operands
        gates = [gate.new_empty(gate.size(1), gate.size(0)) for gate in (source, transition, mark)]
        self.lay_out("arrange", [source, transition, mark, direct, *gates, direct])
        return [*features, *gates, direct]

    def lay_out(self, name: str, gates: Tensors) -> None:
        """Call a C function on the gates of all nodes."""
        given = places([self._sizes, self._plan.pointers, *gates])
        nodes = self._sizes[0]
        spread(getattr(self._library, name), nodes, given, self._gates, _WORTH_A_THREAD_OF_GATES)

    def run(self, name: str, arguments: list[Any]) -> None:
        """Call a C function on the heads of all segments, in as many threads as torch uses and the work is worth."""
        given = places([self._sizes, self._plan.pointers, *arguments])
        units = self._plan.segments * self._sizes[3]
        check_status(spread(getattr(self._library, name), units, given, self._work, _WORTH_A_THREAD), self._edges)


def _slice(key_width: int, value_width: int, number_bytes: int) -> tuple[int, int]:
    """How many rows and columns of all states are kept at a time; columns are filled up to whole vectors.

    Args:
        key_width: ``K``
        value_width: ``V``
        number_bytes: Of one row and column, for all threads.
    """
    rows, columns = key_width, min(value_width, _WIDEST)

    def size() -> int:
        return rows * -(-columns // _VECTOR) * _VECTOR * number_bytes

    # Of rows rather than columns, for what is summed up over columns costs as much for few of them.
    while rows > _VECTOR and size() > SLICE_BYTES:
        rows = -(-rows // (2 * _VECTOR)) * _VECTOR
    while columns > _VECTOR and size() > SLICE_BYTES:
        columns = -(-columns // (2 * _VECTOR)) * _VECTOR
    while rows > 1 and size() > _TOO_LARGE * SLICE_BYTES:
        rows = -(-rows // 2)
    return rows, columns


def _check_shapes(inputs: Tensors, edges: int, num_pairs: int) -> None:
    """Hold tensors to the sizes that C is told."""
    query, key, value, source, transition, mark, direct = inputs
    nodes, heads, key_width = query.shape
    check_tensors(
        query.dtype,
        query=(query, (nodes, heads, key_width)),
        key=(key, (nodes, heads, key_width)),
        value=(value, (nodes, heads, value.size(-1))),
        source=(source, (edges, heads)),
        transition=(transition, (num_pairs, heads)),
        mark=(mark, (edges, heads)),
        direct=(direct, (nodes, heads)),
    )


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    value = operands[2]
    return (value.new_empty(value.shape),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    query, key, value, source, transition, mark, direct = operands
    edge_index, pairs, _ = structure
    # The C functions need no levels, so nobody has kept any.
    s = LineGraph(edge_index, query.size(0), pairs).schedule
    levels = (s.start, s.end, s.pair_in, s.pair_out, s.edge_order, s.pair_order, s.pair_ptr)
    messages = edge_messages_twin((query, key, value, source, transition), levels, reverse=False)
    read = sum_rows(mark.unsqueeze(-1) * messages, edge_index[1], query.size(0))
    return read + (direct * (query * key).sum(dim=-1)).unsqueeze(-1) * value


_RECURRENT = CustomOperator(
    "recurrent_native",
    ("query", "key", "value", "source", "transition", "mark", "direct"),
    _forward,
    _backward,
    _fake,
    _twin,
)
