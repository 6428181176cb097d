"""C sources of this package, compiled when they are first needed, if there is a compiler; without one nothing is lost
but speed.

The result is kept in the user's cache folder, under a name that changes with the source, the flags, the compiler and
the machine. The environment variable ``PLSTM_COMPILE=0`` switches compiling off, ``CC`` chooses the compiler.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

#: The C type of each dtype that a source may be compiled for.
REALS = {torch.float32: "float", torch.float64: "double"}

_FLAGS = ("-std=c11", "-O3", "-fopenmp-simd", "-fno-math-errno", "-ffp-contract=fast", "-shared", "-fPIC")
_NATIVE = "-march=native"


def can_compile(source: Path, tensor: Tensor) -> bool:
    """Whether a C source can be had for the device and dtype of a tensor; compiles it at the first call."""
    return tensor.device.type == "cpu" and tensor.dtype in REALS and _is_there(source, tensor.dtype)


@torch.compiler.assume_constant_result
def _is_there(source: Path, dtype: torch.dtype) -> bool:
    return load_compiled(source, REALS[dtype]) is not None


def place(tensor: Tensor) -> ctypes.c_void_p:
    """Pointer to the numbers of a contiguous tensor, which must outlive it."""
    return ctypes.c_void_p(tensor.data_ptr())


def places(tensors: Sequence[Tensor]) -> Any:
    """A C structure of such pointers."""
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


@functools.cache
def load_compiled(source: Path, real: str | None = None) -> ctypes.CDLL | None:
    """Compile a C source, unless that was done before, and load it.

    Args:
        source: The C file.
        real: The C type that its ``REAL`` stands for, ``"float"`` or ``"double"``; None if it has integers only.

    Returns:
        The library; None if there is no compiler or compiling is switched off. If the compiler fails, a warning tells
        why, once.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if os.environ.get("PLSTM_COMPILE", "1") == "0" or not compiler or os.name == "nt":
        return None
    command = [*compiler.split(), *_FLAGS, *([] if real is None else [f"-DREAL={real}"])]
    text = source.read_bytes() + repr((command, platform.node(), platform.machine())).encode()
    target = _cache_folder() / f"{source.stem}-{real or 'int64'}-{hashlib.sha256(text).hexdigest()[:16]}.so"
    try:
        if not target.exists():
            _compile(command, source, target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        warnings.warn(
            f"cannot compile {source.name} ({reason}); slower code in torch is used. "
            "PLSTM_COMPILE=0 in the environment silences this",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def spread(call: Callable[[ctypes.c_int64, ctypes.c_int64], object], units: int, threads: int) -> list[Any]:
    """Call a C function on ranges of independent units, side by side; it runs without Python's lock.

    Args:
        call: Takes the first unit and the one behind the last.
        units: Number of units.
        threads: How many ranges at most.

    Returns:
        What the calls returned.
    """
    threads = max(1, min(threads, units))
    ends = [ctypes.c_int64(units * part // threads) for part in range(threads + 1)]
    if threads == 1:
        return [call(*ends)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, ends[:-1], ends[1:]))


def _compile(command: list[str], source: Path, target: Path) -> None:
    """Compile to a file of another name first, so that no process ever sees half a library."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(suffix=".so", dir=target.parent)
    os.close(handle)
    call = functools.partial(subprocess.run, capture_output=True, text=True, timeout=120)
    try:
        if call([*command, _NATIVE, str(source), "-o", temporary]).returncode != 0:
            # Not every compiler knows the flag.
            call([*command, str(source), "-o", temporary], check=True)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plstm_graph"
