"""Libraries made of C sources, kept in a folder of the user's: made once, verified whenever they are loaded.

A library's file is called ``<source>-<real>-<key>-<digest>.so``. The key changes with the source and the
files that it includes, the flags, the compiler and the features of the processor, so that machines that share a home
folder do not share code that one of them cannot run. The digest is that of the file itself: what was cut short, emptied
or changed is made anew, before a byte of it runs. Loading a library runs code, so neither the folder nor a file in it
may be in another user's hand.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from plstm_graph.user_cache import user_cache

#: Seconds after which a compiler is stopped; one source takes two or three on an idle machine. The environment variable
#: ``PLSTM_COMPILE_TIMEOUT`` sets others.
TIMEOUT = 60.0

_FLAGS = ("-std=c11", "-O3", "-fopenmp-simd", "-fno-math-errno", "-ffp-contract=fast", "-Wno-psabi", "-shared", "-fPIC")
_NATIVE = "-march=native"
_DIGITS = 16
_WORK_SUFFIX = ".unfinished"
#: Files of this package are included in quotes, all others in angle brackets.
_INCLUDED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


class NativeCodeError(Exception):
    """A library cannot be made or loaded, for the reason given."""


def library(
    source: Path, real: str | None, functions: Sequence[str], compiler: Sequence[str], flags: Sequence[str] = ()
) -> ctypes.CDLL:
    """Load the library of a C source, from the cache if a sound one is there.

    Args:
        source: The C file.
        real: The C type that its ``REAL`` stands for; None if it has none.
        functions: Names that the library must have.
        compiler: The compiler's command.
        flags: More flags for it.

    Raises:
        NativeCodeError: If there is none, and none can be made.
    """
    try:
        folder = _cache_folder()
        options = [*_FLAGS, *([] if real is None else [f"-DREAL={real}"]), *flags]
        name = f"{source.stem}-{real or 'int64'}-{_key(source, compiler, options)}"
        for path in sorted(folder.glob(f"{name}-*.so")):
            loaded = _load_verified(path, functions)
            if loaded is not None:
                return loaded
        return _make(folder, name, source, [*compiler, *options], functions)
    except (OSError, RuntimeError, ValueError, AttributeError) as error:  # RuntimeError: there is no home folder
        raise NativeCodeError(str(error)) from error


@functools.cache
def processor_features() -> str | None:
    """What decides which instructions this processor runs; None where that cannot be told."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = (line.partition(":") for line in text.splitlines())
    found = {(key.strip().lower(), " ".join(sorted(value.split()))) for key, _, value in fields}
    wanted = ("vendor_id", "cpu family", "model", "flags", "features", "isa", "cpu implementer", "cpu part", "cpu")
    # A set: processors of several kinds in one machine all count.
    features = sorted(f"{key}: {value}" for key, value in found if key in wanted)
    return "\n".join(features) if any(line.startswith(("flags", "features", "isa")) for line in features) else None


def _key(source: Path, compiler: Sequence[str], options: Sequence[str]) -> str:
    """Digest of all that a library is made of. A compiler that is replaced by another version has another date."""
    program = os.path.realpath(_which(compiler[0]))
    there = os.stat(program)
    made_by = (program, there.st_size, there.st_mtime_ns, *compiler[1:], *options)
    made_for = (platform.system(), platform.machine(), processor_features())
    content = [path.read_bytes() for path in source_files(source)]
    return _digest(b"\0".join([*content, repr((made_by, made_for)).encode()]))


def source_files(source: Path) -> list[Path]:
    """A C source and the files that it includes in quotes, and those that they include, each once.

    Args:
        source: The C file.

    Raises:
        OSError: If one of them cannot be read.
    """
    files = [source]
    for path in files:
        for name in _INCLUDED.findall(path.read_text(encoding="utf-8")):
            included = Path(os.path.normpath(path.parent / name))
            if included not in files:
                files.append(included)  # the loop comes to it
    return files


def _which(program: str) -> str:
    for folder in [""] if os.sep in program else os.get_exec_path():
        path = os.path.join(folder, program)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"there is no compiler {program!r}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _cache_folder() -> Path:
    """The folder of libraries, made if it is missing; nobody else can write to it."""
    folder = user_cache()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    there = folder.stat()
    _check_owner(folder, there)
    if there.st_mode & _OTHERS_WRITE:
        # Whatever lies there may have been put there by anybody.
        folder.chmod(stat.S_IMODE(there.st_mode) & ~_OTHERS_WRITE)
        for path in folder.glob("*.so"):
            path.unlink()
    return folder


_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def _check_owner(path: Path, there: os.stat_result) -> None:
    if there.st_uid not in (os.geteuid(), 0):
        raise PermissionError(
            f"{path} belongs to another user, number {there.st_uid}; set XDG_CACHE_HOME to a folder of your own"
        )


def _load_verified(path: Path, functions: Sequence[str]) -> ctypes.CDLL | None:
    """A library whose file is whole and ours; otherwise the file is removed, if it can be."""
    with contextlib.suppress(OSError, AttributeError):
        there = path.lstat()
        if stat.S_ISREG(there.st_mode) and not there.st_mode & _OTHERS_WRITE:
            _check_owner(path, there)
            if path.stem.endswith("-" + _digest(path.read_bytes())):
                return _load(path, functions)
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _load(path: Path, functions: Sequence[str]) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    for name in functions:
        getattr(loaded, name)
    return loaded


def _make(folder: Path, name: str, source: Path, command: list[str], functions: Sequence[str]) -> ctypes.CDLL:
    """Compile under another name and load from there: no process ever sees half a library, nor one that cannot run."""
    _remove_leftovers(folder)
    handle, unfinished = tempfile.mkstemp(suffix=_WORK_SUFFIX, prefix=f"{name}-", dir=folder)
    os.close(handle)
    output = Path(unfinished)
    end = time.monotonic() + _timeout()
    try:
        # Where the processor's features are unknown, code for the plain machine runs on all that share this folder.
        # Not every compiler knows the flag.
        flags = [[_NATIVE], []] if processor_features() is not None else [[]]
        for number, more in enumerate(flags, start=1):
            status, shown = _run([*command, *more, str(source), "-lm", "-o", unfinished], end - time.monotonic())
            if status == 0:
                break
            if number == len(flags):
                raise NativeCodeError(shown.strip() or f"{command[0]} ended with status {status}")
        output.chmod(0o700)
        loaded = _load(output, functions)
        os.replace(output, folder / f"{name}-{_digest(output.read_bytes())}.so")
        return loaded
    finally:
        output.unlink(missing_ok=True)


def _timeout() -> float:
    return float(os.environ.get("PLSTM_COMPILE_TIMEOUT") or TIMEOUT)


def _run(command: list[str], seconds: float) -> tuple[int, str]:
    """Run a compiler in a process group of its own, and end the whole group if it takes longer than that.

    Its messages go to a file: a pipe would stay open as long as any descendant of it lives.
    """
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, start_new_session=True
        )
        try:
            status = process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            raise NativeCodeError(f"{command[0]} did not end within {_timeout():g} seconds") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        messages.seek(0)
        return status, messages.read(10_000).decode(errors="replace")


def _remove_leftovers(folder: Path) -> None:
    """Files of processes that were killed while they compiled, older than any compiler is given."""
    for path in folder.glob(f"*{_WORK_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 60 * TIMEOUT:
                path.unlink()
