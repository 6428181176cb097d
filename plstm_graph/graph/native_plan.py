"""The plan by which native code walks through a DAG node by node: lists of what meets at each node."""

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
        lists: All lists one after the other.
        pairs: What the structure points to besides.
    """

    pointers: Any
    lists: Tensor
    pairs: Tensor


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
    plan = _plan(lists, pairs, num_nodes, edges)
    start, pair_out = edge_index.data_ptr(), pairs.data_ptr() + _BYTES * num_pairs
    rows = (ctypes.c_void_p(row) for row in (start, start + _BYTES * edges, pair_out))
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
        return _plan(plan_lists(edge_index, pairs, num_nodes), pairs.contiguous(), num_nodes, edges)
    length = _length(num_nodes, edges, num_pairs)
    check_tensors(
        torch.int64, edge_index=(edge_index, (2, edges)), pairs=(pairs, (2, num_pairs)), lists=(lists, (length,))
    )
    plan = _plan(lists.contiguous(), pairs.contiguous(), num_nodes, edges)
    check_status(structure_library().check_plan(*_sizes(num_nodes, edges, num_pairs), plan.pointers), edges)
    return plan


def _length(num_nodes: int, edges: int, pairs: int) -> int:
    return sum(_lengths(num_nodes, edges)) + pairs


def _lengths(num_nodes: int, edges: int) -> tuple[int, ...]:
    """Of all lists but the last one, that of the pairs, in the order of the C structure."""
    return (num_nodes, num_nodes + 1, edges, num_nodes + 1, edges, edges + 1)


def _plan(lists: Tensor, pairs: Tensor, num_nodes: int, edges: int) -> Plan:
    begins = accumulate(_lengths(num_nodes, edges), lambda at, length: at + _BYTES * length, initial=lists.data_ptr())
    return Plan((ctypes.c_void_p * 8)(*begins, pairs.data_ptr()), lists, pairs)


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
