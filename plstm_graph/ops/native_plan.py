"""The plan by which native code walks through a DAG node by node: lists of what meets at each node."""

import ctypes
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plstm_graph.compiled import CHANGED, check_tensors

#: Of an index.
_BYTES = 8


class Plan(NamedTuple):
    """Lists that were checked in C.

    Attributes:
        pointers: The C structure.
        lists: All lists one after the other, int64, which can be kept for another pass.
        pairs: What the structure points to besides.
    """

    pointers: Any
    lists: Tensor
    pairs: Tensor


def make_plan(library: Any, edge_index: Tensor, pairs: Tensor, num_nodes: int) -> Plan:
    """Check a DAG and list what meets at each of its nodes.

    Args:
        library: A library whose source includes ``plan.h``.
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
    lists = edge_index.new_empty(plan_length(num_nodes, edges, num_pairs))
    plan = _plan(lists, pairs, num_nodes, edges)
    start, pair_out = edge_index.data_ptr(), pairs.data_ptr() + _BYTES * num_pairs
    rows = (ctypes.c_void_p(row) for row in (start, start + _BYTES * edges, pair_out))
    check_status(library.make_plan(*_sizes(num_nodes, edges, num_pairs), plan.pointers, *rows), edges)
    return plan


def kept_plan(library: Any, lists: Tensor, pairs: Tensor, num_nodes: int, edges: int) -> Plan:
    """A plan from the lists of an earlier one, checked again, for they were out of sight.

    Args:
        library: As in :func:`make_plan`.
        lists: Of the earlier plan.
        pairs: As for the earlier plan, ``[2, P]``.
        num_nodes: ``N``
        edges: ``E``

    Raises:
        ValueError: If the lists have an index outside its range.
    """
    num_pairs = pairs.size(-1)
    length = plan_length(num_nodes, edges, num_pairs)
    check_tensors(torch.int64, pairs=(pairs, (2, num_pairs)), lists=(lists, (length,)))
    plan = _plan(lists.contiguous(), pairs.contiguous(), num_nodes, edges)
    check_status(library.check_plan(*_sizes(num_nodes, edges, num_pairs), plan.pointers), edges)
    return plan


def plan_length(num_nodes: int, edges: int, pairs: int) -> int:
    """How many numbers the lists of a plan are."""
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
