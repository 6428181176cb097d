"""Native code on torch's own threads.

torch computes with the threads of an OpenMP runtime. A second pool beside it would fight for the cores: a thread of
OpenMP that has nothing to do keeps asking for work a while. So functions in C are called by that same runtime, found
where torch's library finds it, and no thread is ever started here. As with torch's own operations, a process that was
forked from one with several threads must call ``torch.set_num_threads(1)``, as workers of a ``DataLoader`` do.
"""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plstm_graph.native.load import SOURCES, Source, load_native

_SOURCE = Source(SOURCES / "threads.c", ("share",))


def places(arguments: Sequence[Tensor | ctypes.Array[Any]]) -> ctypes.Array[Any]:
    """A C structure of pointers, to the numbers of contiguous tensors and to arrays; all must outlive it."""
    addresses = [at.data_ptr() if isinstance(at, Tensor) else ctypes.addressof(at) for at in arguments]
    return (ctypes.c_void_p * len(arguments))(*addresses)


def spread(kernel: Any, units: int, arguments: ctypes.Array[Any], work: int, worth: int) -> int:
    """Call a C function on independent units, side by side where that pays; it runs without Python's lock.

    Args:
        kernel: Takes the first unit, the one behind the last, and the arguments; returns 0 if all went well.
        units: Number of units.
        arguments: As from :func:`places`.
        work: How much there is to do, in a measure of the caller's.
        worth: How much of it pays for one more thread.

    Returns:
        0, or what a call returned that was not 0.
    """
    threads = min(torch.get_num_threads(), units, work // worth)
    parallel = _parallel() if threads > 1 else None
    if parallel is None:
        return int(kernel(ctypes.c_int64(0), ctypes.c_int64(units), arguments))
    library: Any = load_native(_SOURCE)
    function = ctypes.cast(kernel, ctypes.c_void_p)
    return int(library.share(parallel, function, arguments, ctypes.c_int64(units), ctypes.c_int64(threads)))


def threads_are_shared() -> bool:
    """Whether native code can run on several threads: torch has OpenMP, and there is a compiler."""
    return _parallel() is not None


@functools.cache
def _parallel() -> ctypes.c_void_p | None:
    """Where the OpenMP runtime that torch is linked to calls a function in several threads; None without one."""
    if load_native(_SOURCE) is None:
        return None
    for library in sorted(Path(torch.__file__).with_name("lib").glob("libtorch_cpu.*")):
        try:
            # A symbol is sought in what the library is linked to as well, and in nothing else.
            return ctypes.cast(ctypes.CDLL(str(library)).GOMP_parallel, ctypes.c_void_p)
        except (OSError, AttributeError):
            continue
    return None
