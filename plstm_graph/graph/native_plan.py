"""The plan by which native code walks through a DAG node by node: lists of what meets at each node, see ``plan.h``."""

import ctypes
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plstm_graph.graph.structure_native import structure_library
from plstm_graph.native.load import CHANGED, check_tensors

#: Of an index.
_BYTES = 8


class Plan(NamedTuple):
    """Lists that were checked in C.

    Attributes:
        pointers: The C structure.
        lists: All lists one after the other, to which it points.
    """

    pointers: Any
    lists: Tensor

    @property
    def segments(self) -> int:
        """How many segments of the walk share no edge."""
        return int(self.lists[0])

    @property
    def slots(self) -> int:
        """How many edges are under way at once, at most."""
        return int(self.lists[1])

    @property
    def longest(self) -> int:
        """How many edges a segment has, at most."""
        return int(self.lists[2])


def plan_lists(edge_index: Tensor, pairs: Tensor, num_nodes: int) -> Tensor:
    """Check a DAG and list what meets at each of its nodes, all lists one after the other, int64.

    Args:
        edge_index: ``[2, E]``, int64, on the CPU.
        pairs: ``[2, P]``, int64, on the CPU.
        num_nodes: ``N``

    Raises:
        MemoryError: If there is no memory for it.
        ValueError: If an index is outside its range, a pair does not meet at a node, or the graph has a cycle.
    """
    edges, num_pairs = edge_index.size(-1), pairs.size(-1)
    check_tensors(torch.int64, edge_index=(edge_index, (2, edges)), pairs=(pairs, (2, num_pairs)))
    edge_index, pairs = edge_index.contiguous(), pairs.contiguous()
    lists = edge_index.new_empty(_length(num_nodes, edges, num_pairs))
    plan = _plan(lists, num_nodes, edges, num_pairs)
    start, pair_in = edge_index.data_ptr(), pairs.data_ptr()
    places = (start, start + _BYTES * edges, pair_in, pair_in + _BYTES * num_pairs)
    rows = (ctypes.c_void_p(row) for row in places)
    status = structure_library().make_plan(*_sizes(num_nodes, edges, num_pairs), plan.pointers, *rows)
    check_status(status, edges)
    return lists


def open_plan(lists: Tensor, edge_index: Tensor, pairs: Tensor, num_nodes: int) -> Plan:
    """A plan of lists that may have been changed since they were made.

    Args:
        lists: As :func:`plan_lists` makes them, or none, ``[0]``: then they are made here.
        edge_index: ``[2, E]``, int64, on the CPU.
        pairs: ``[2, P]``, int64, on the CPU.
        num_nodes: ``N``

    Raises:
        MemoryError: As from :func:`plan_lists`.
        ValueError: As from :func:`plan_lists`, or if the lists have an index outside its range.
    """
    edges, num_pairs = edge_index.size(-1), pairs.size(-1)
    if lists.numel() == 0:
        return _plan(plan_lists(edge_index, pairs, num_nodes), num_nodes, edges, num_pairs)
    length = _length(num_nodes, edges, num_pairs)
    check_tensors(
        torch.int64, edge_index=(edge_index, (2, edges)), pairs=(pairs, (2, num_pairs)), lists=(lists, (length,))
    )
    plan = _plan(lists.contiguous(), num_nodes, edges, num_pairs)
    check_status(structure_library().check_plan(*_sizes(num_nodes, edges, num_pairs), plan.pointers), edges)
    return plan


def _length(num_nodes: int, edges: int, pairs: int) -> int:
    return sum(_lengths(num_nodes, edges, pairs))


def _lengths(num_nodes: int, edges: int, pairs: int) -> tuple[int, ...]:
    """Of all lists in the order of the C structure."""
    nodes = num_nodes
    of_pairs = (edges + 1, pairs, edges + 1, pairs, pairs)
    return (3, nodes, nodes + 1, edges, nodes + 1, *of_pairs, edges, pairs, edges, nodes + 1)


def _plan(lists: Tensor, num_nodes: int, edges: int, pairs: int) -> Plan:
    lengths = _lengths(num_nodes, edges, pairs)
    begins = accumulate(lengths[:-1], lambda at, length: at + _BYTES * length, initial=lists.data_ptr())
    return Plan((ctypes.c_void_p * len(lengths))(*begins), lists)


def _sizes(*numbers: int) -> list[ctypes.c_int64]:
    return [ctypes.c_int64(number) for number in numbers]


def check_status(status: int, edges: int) -> None:
    """Raise what a C function returned.

    Args:
        status: Of a function of ``plan.h``, or of one that needs memory.
        edges: ``E``, for the message.
    """
    if status == 1:
        raise MemoryError(f"no memory for the states of {edges} edges")
    if status == 2:
        raise ValueError(f"the graph has a cycle: {CHANGED}")
    if status == 3:
        raise ValueError(f"edge_index or pairs of the line graph have an index outside their range: {CHANGED}")
    if status == 4:
        raise ValueError(f"a pair of the line graph does not meet at a node: {CHANGED}")
