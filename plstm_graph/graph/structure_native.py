"""Structure of a DAG in C, on a CPU: what ancestry.py and links.py list with torch."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from plstm_graph.graph.schedule import Schedule
from plstm_graph.native.load import CHANGED, SOURCES, Source, check_tensors, load_native, place

_FUNCTIONS = ("list_ancestors", "unique_links", "stable_order", "make_plan", "check_plan")
_SOURCE = Source(SOURCES / "structure.c", _FUNCTIONS)
_DONE, _MORE_ROOM, _TOO_MANY = 0, 1, 2


class _State(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("edges", "pairs", "max_entries", "entry_room", "step_room", "edge", "pair", "entries", "steps")
    ]


def has_native_structure(tensor: Tensor) -> bool:
    """Whether the native functions are there for this device; compiles them at the first call."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and load_native(_SOURCE) is not None


def structure_library() -> Any:
    """The native functions, where :func:`has_native_structure` says that they are there."""
    return load_native(_SOURCE)


def list_ancestors(schedule: Schedule, max_entries: int) -> tuple[Tensor, ...] | None:
    """Entries and steps of an :class:`~plstm_graph.graph.ancestry.Ancestry`.

    Args:
        schedule: The line graph in storage order, on the CPU.
        max_entries: Stop when there are more entries or steps than this.

    Returns:
        ``from_edge [A]``, ``to_edge [A]``, ``own [E]``, ``step_from [S]``, ``step_to [S]``, ``step_pair [S]``,
        ``step_ptr [L + 1]``; None if there are more.

    Raises:
        ValueError: If a pair leads to an edge from one that is not stored before it.
    """
    library: Any = load_native(_SOURCE)
    edges, pairs = schedule.edge_order.numel(), schedule.pair_order.numel()
    state = _State(edges=edges, pairs=pairs, max_entries=max_entries)
    state.entry_room, state.step_room = (8 * size + 1 for size in (edges, min(pairs, max_entries // 8)))
    new = schedule.edge_order.new_empty
    entries = [new(state.entry_room) for _ in range(2)]  # from_edge, to_edge
    steps = [new(state.step_room) for _ in range(3)]  # step_from, step_to, step_pair
    own, first, step_first = new(edges), new(edges + 1), new(edges + 1)
    seen, where = new(edges).fill_(-1), new(edges)
    first[:1], step_first[:1] = 0, 0
    given = [tensor.contiguous() for tensor in (schedule.pair_in, schedule.pair_out, schedule.pair_order)]
    names = ("pair_in", "pair_out", "pair_order")
    check_tensors(torch.int64, **{name: (tensor, (pairs,)) for name, tensor in zip(names, given, strict=True)})
    while True:
        tensors = [*given, *entries, own, *steps, first, step_first, seen, where]
        status = library.list_ancestors(ctypes.byref(state), *(place(tensor) for tensor in tensors))
        if status == _DONE:
            break
        if status == _TOO_MANY:
            return None
        if status != _MORE_ROOM:
            raise ValueError(f"pairs of the line graph are not in the order of their edges: {CHANGED}")
        # Each list grows by what the next edge may need, at least twofold, so that copies are few.
        last = torch.searchsorted(given[1], state.edge, right=True)
        before = given[0][state.pair : int(last)]
        arriving = int((first[before + 1] - first[before]).sum())
        if state.entries + arriving + 1 > state.entry_room:
            state.entry_room = max(2 * state.entry_room, state.entries + arriving + 1)
            entries = [_grown(tensor, state.entries, state.entry_room) for tensor in entries]
        if state.steps + arriving > state.step_room:
            state.step_room = max(2 * state.step_room, state.steps + arriving)
            steps = [_grown(tensor, state.steps, state.step_room) for tensor in steps]
    step_ptr = step_first[schedule.edge_ptr]
    return (
        *(tensor[: state.entries].clone() for tensor in entries),
        own,
        *(tensor[: state.steps].clone() for tensor in steps),
        step_ptr,
    )


def unique_links(reader: Tensor, read: Tensor, num_readers: int, num_read: int) -> tuple[Tensor, Tensor, Tensor]:
    """Different pairs (reader, read), sorted.

    Args:
        reader: ``[n]``, below ``num_readers``, on the CPU.
        read: ``[n]``, below ``num_read``.
        num_readers: Number of readers.
        num_read: Number of what can be read.

    Returns:
        Reader and read of each link, ``[M]``, and the link of each of the given pairs, ``[n]``.

    Raises:
        ValueError: If a number is outside its range.
    """
    library: Any = load_native(_SOURCE)
    check_tensors(torch.int64, reader=(reader, (reader.numel(),)), read=(read, (reader.numel(),)))
    count = reader.numel()
    link_reader, link_read, which, first, second = (reader.new_empty(count) for _ in range(5))
    start = reader.new_empty(max(num_readers, num_read) + 1)
    tensors = (reader.contiguous(), read.contiguous(), link_reader, link_read, which, first, second, start)
    library.unique_links.restype = ctypes.c_int64
    sizes = (ctypes.c_int64(size) for size in (count, num_readers, num_read))
    links = library.unique_links(*sizes, *(place(tensor) for tensor in tensors))
    if links < 0:
        raise ValueError(f"a node that is read, or reads, is none of the graph's: {CHANGED}")
    return link_reader[:links].clone(), link_read[:links].clone(), which


def stable_order(key: Tensor, num_values: int) -> Tensor:
    """What ``torch.sort(key, stable=True)`` returns as indices, for keys from 0 to ``num_values - 1``, ``[n]``.

    Raises:
        ValueError: If a key is outside its range.
    """
    library: Any = load_native(_SOURCE)
    check_tensors(torch.int64, key=(key, (key.numel(),)))
    order, identity, start = torch.empty_like(key), torch.empty_like(key), key.new_empty(num_values + 1)
    sizes = (ctypes.c_int64(size) for size in (key.numel(), num_values))
    key = key.contiguous()
    if library.stable_order(*sizes, *(place(tensor) for tensor in (key, order, identity, start))):
        raise ValueError(f"a node that is read is none of the graph's: {CHANGED}")
    return order


def _grown(tensor: Tensor, filled: int, room: int) -> Tensor:
    larger = tensor.new_empty(room)
    larger[:filled] = tensor[:filled]
    return larger
