"""C sources of this package, compiled when they are first needed, if there is a compiler; without one nothing is lost
but speed.

:mod:`~plstm_graph.native.libraries` keeps what was compiled. The environment variable ``PLSTM_COMPILE=0`` switches
native code off, ``CC`` chooses the compiler, ``PLSTM_CFLAGS`` adds flags, ``PLSTM_COMPILE_TIMEOUT`` gives it other than
60 seconds. Whatever goes wrong is told once in a process, and not tried again.
"""

import ctypes
import functools
import os
import shlex
import shutil
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from plstm_graph.native import libraries

#: The C type of each dtype that a source may be compiled for.
REALS = {torch.float32: "float", torch.float64: "double"}

#: What to do about a structure that native code cannot walk through.
CHANGED = "edge_index or pairs were changed after the line graph was built; build a new LineGraph from them"

#: More bytes than any machine has, and few enough that C may add to them.
_MOST_BYTES = 2**60

#: The folder of the C sources.
SOURCES = Path(__file__).parent


class Source(NamedTuple):
    """A C file and the functions that are called in it."""

    path: Path
    functions: tuple[str, ...]


class _Process:
    """What this process knows of native code: whether making it failed before."""

    failed = False
    lock = threading.Lock()


# A child must not wait for a thread that it does not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: setattr(_Process, "lock", threading.Lock()))


def has_native(source: Source, tensor: Tensor) -> bool:
    """Whether a C source can be had for the device and dtype of a tensor; compiles it at the first call."""
    return tensor.device.type == "cpu" and tensor.dtype in REALS and _is_there(source, tensor.dtype)


@torch.compiler.assume_constant_result
def _is_there(source: Source, dtype: torch.dtype) -> bool:
    return load_native(source, REALS[dtype]) is not None


def place(tensor: Tensor) -> ctypes.c_void_p:
    """Pointer to the numbers of a contiguous tensor, which must outlive it."""
    return ctypes.c_void_p(tensor.data_ptr())


@functools.cache
def load_native(source: Source, real: str | None = None) -> ctypes.CDLL | None:
    """Compile a C source, unless that was done before, and load it.

    Args:
        source: The C file.
        real: The C type that its ``REAL`` stands for, ``"float"`` or ``"double"``; None if it has integers only.

    Returns:
        The library; None if there is no compiler or native code is switched off. If it cannot be made or loaded, a
        warning tells why, once in a process, and no other source is tried after that.
    """
    if os.environ.get("PLSTM_COMPILE", "1") == "0" or os.name == "nt":
        return None
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return None
    with _Process.lock:
        if _Process.failed:
            return None
        try:
            command, flags = shlex.split(compiler), shlex.split(os.environ.get("PLSTM_CFLAGS", ""))
            return libraries.library(source.path, real, source.functions, command, flags)
        except (libraries.NativeCodeError, ValueError) as error:
            _Process.failed = True
            reason = str(error)
    warnings.warn(
        f"cannot compile {source.path.name} ({reason}); slower code in torch is used. "
        "PLSTM_COMPILE=0 in the environment silences this",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def forget_native() -> None:
    """Try again what was loaded or failed before, as a new process would."""
    load_native.cache_clear()
    _Process.failed = False


def check_tensors(dtype: torch.dtype, **expected: tuple[Tensor, tuple[int, ...]]) -> None:
    """Refuse tensors that C would read or write beyond their end.

    Args:
        dtype: The dtype of all of them.
        **expected: A tensor and its shape, by the name for the message.

    Raises:
        ValueError: If a tensor has another shape or dtype, or does not lie on the CPU.
    """
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape or tensor.dtype is not dtype or not tensor.is_cpu:
            raise ValueError(
                f"native code needs {name} to be {list(shape)}, {dtype}, on the CPU; it is {list(tensor.shape)}, "
                f"{tensor.dtype}, on {tensor.device}"
            )


def check_room(numbers: int, dtype: torch.dtype, what: str) -> None:
    """Refuse sizes that no memory holds, before C multiplies them.

    Args:
        numbers: How many numbers C will ask memory for.
        dtype: Their dtype.
        what: What they are.

    Raises:
        MemoryError: If the bytes could not be counted in C.
    """
    if numbers * dtype.itemsize > _MOST_BYTES:
        raise MemoryError(f"no memory for {what}: {numbers:.3g} numbers")
