"""The machine: what a measurement and a bug report say of it, its devices, and the memory that a process keeps."""

import ctypes
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plstm_graph
from plstm_graph.cores import usable_cores
from plstm_graph.user_cache import user_cache

if TYPE_CHECKING:
    import torch

    from plstm_graph.console import Console

_PACKAGES = ("plstm_graph", "torch", "torch_geometric", "numpy", "rdkit")
#: What ``plstm-graph info`` lists.
_ASKED = ("plstm_graph", "torch", "torch_geometric", "lightning", "jsonargparse", "torchmetrics", "rdkit", "ogb")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def describe_machine() -> dict[str, Any]:
    """Processor, its vector instructions, cores, memory, system, versions, whether torch may use huge pages, and
    revision of the checkout."""
    return {
        "processor": _processor(),
        "instructions": instruction_set(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "huge_pages": os.environ.get("THP_MEM_ALLOC_ENABLE") == "1",
        "revision": _revision(),
    }


def print_info(console: "Console") -> None:
    """Print versions, backends, devices and threads.

    Args:
        console: Where to print.
    """
    import torch

    from plstm_graph.ops.scatter import torch_scatter_version

    accelerator = torch.accelerator.current_accelerator()
    devices = ["cpu"]
    if accelerator is not None:
        devices += [f"{accelerator.type}:{number}" for number in range(torch.accelerator.device_count())]
    if torch.cuda.is_available():
        devices = ["cpu", *(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count()))]
    rows = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    rows |= {name: importlib.metadata.version(name) for name in _ASKED}
    rows["torch_scatter"] = torch_scatter_version() or "not installed (optional; make scatter)"
    rows["devices"] = ", ".join(devices)
    rows["threads"] = str(torch.get_num_threads())
    rows["native code"] = native_code()
    for name, text in rows.items():
        console.say(f"{name:<16} {text}")


def instruction_set() -> str:
    """The largest vector instructions that torch uses on this CPU, such as ``"avx2"``."""
    import torch

    return re.sub("[^a-z0-9]", "", torch.backends.cpu.get_cpu_capability().lower())


def native_code() -> str:
    """Whether forms of the operator run in C here, or in torch and why; makes a library if none is there yet."""
    from plstm_graph.native.load import SOURCES, Source, load_native

    if os.environ.get("PLSTM_COMPILE", "1") == "0":
        return "off by PLSTM_COMPILE=0, torch is used"
    if os.name == "nt":
        return "none on Windows, torch is used"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        library = load_native(Source(SOURCES / "threads.c", ("share",)))  # the smallest
    if library is not None:
        return f"C, compiled on this machine and kept in {user_cache()}"
    if caught:
        return " ".join(str(caught[0].message).split())
    return "none as there is no C compiler (CC, cc, gcc or clang), torch is used"


def pick_device(name: str) -> "torch.device":
    """The device of a name; ``"auto"`` is the accelerator that is there, else the CPU.

    Raises:
        ValueError: If there is no such device.
    """
    import torch

    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        torch.ones(1, device=name).item()  # which devices without data, such as meta, cannot give
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used: {str(error).splitlines()[0][:200]}") from error
    return torch.device(name)


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for steps on a CPU that need the same large tensors again and again.

    By default glibc returns blocks of megabytes to the system, which clears every page before it gives it out again.
    Trainings on images take about a tenth less time without that. The peak stays as it is, but memory at rest does not
    fall below it.

    Returns:
        Whether it does: not where the C library is another one, or where ``MALLOC_TRIM_THRESHOLD_`` or
        ``MALLOC_MMAP_THRESHOLD_`` is set in the environment, which is left to decide.
    """
    decided = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys()
    if decided or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(parameter, _LARGEST) == 1 for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except FileNotFoundError:
        pass  # not Linux
    return platform.processor() or "unknown"


def _revision() -> str | None:
    """Commit of the checkout that the package is imported from, ``+`` if files differ from it; None if installed."""
    folder = Path(plstm_graph.__file__).parent
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
