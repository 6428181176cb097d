"""What a reader must know to judge a measurement: machine, versions, revision."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import plstm_graph

_PACKAGES = ("plstm_graph", "torch", "torch_geometric", "numpy", "rdkit")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, system, versions, whether torch may use huge pages, and revision of the checkout."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "huge_pages": os.environ.get("THP_MEM_ALLOC_ENABLE") == "1",
        "revision": _revision(),
    }


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
