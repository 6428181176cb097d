"""Names of files and folders that are being written: they say who writes, so that nothing of a killed process stays.

Such a name is ``.NAME.MACHINE-PROCESS-START-RANDOM.part``. The machine is that in which the number of the process means
something (a container counts as one), so processes of the same number on two machines do not meet.
"""

import functools
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from pathlib import Path

#: What another machine has not touched for so long is taken for abandoned; whether its process lives cannot be seen.
ABANDONED = 7 * 24 * 3600.0  # seconds
_LONGEST = 120  # bytes of the name of the finished file within that of the unfinished one
_UNFINISHED = re.compile(r"\..+\.(?P<owner>[0-9a-f]{12}-\d+-\d+)-[0-9a-f]{12}\.part")
_OWNER = re.compile(r"([0-9a-f]{12})-(\d+)-(\d+)")


def unfinished_path(path: Path) -> Path:
    """A new name beside a path, under which what belongs there is written.

    Args:
        path: Where the file or folder belongs.
    """
    name = path.name if len(path.name.encode()) <= _LONGEST else hashlib.sha256(path.name.encode()).hexdigest()[:16]
    return path.with_name(f".{name}.{owner()}-{uuid.uuid4().hex[:12]}.part")


def remove_leftovers(folder: str | os.PathLike[str], deep: bool = False) -> None:
    """Remove what killed processes were writing in a folder; what a living process may be writing stays.

    Args:
        folder: The folder; it need not be there.
        deep: Whether to look into folders below it too.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        found = _UNFINISHED.fullmatch(entry.name)
        if found is not None:
            if not is_living(found["owner"], Path(entry.path)):
                _remove(Path(entry.path))
        elif deep and entry.is_dir(follow_symlinks=False):
            remove_leftovers(entry.path, deep)


def owner() -> str:
    """Words for this process, which no other process on any machine has."""
    return f"{_machine()}-{os.getpid()}-{_start(os.getpid())}"


def is_living(owner: str, path: Path) -> bool:
    """Whether a process still lives, as far as this machine can tell.

    Args:
        owner: By :func:`owner`; anything else is no process.
        path: What it writes. A process of another machine counts as living until this was not touched for a week.
    """
    found = _OWNER.fullmatch(owner)
    if found is None:
        return False
    if found[1] != _machine() or os.name == "nt":
        return time.time() - _touched(path) < ABANDONED
    number = int(found[2])
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # there is one, of another user
    start = _start(number)
    # Another process may have got the number since. Where a start cannot be seen, the number decides.
    return start == int(found[3]) if start is not None and int(found[3]) else True


@functools.cache
def _machine() -> str:
    """What tells apart machines, their starts, and the containers on them."""
    parts = [socket.gethostname(), str(uuid.getnode())]
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"), os.readlink("/proc/self/ns/pid")]
    except OSError:
        pass  # no Linux
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _start(number: int) -> int | None:
    """When a process started, in ticks since the machine did; 0 if this system does not tell, None if it is none."""
    try:
        state, *fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0 if not Path("/proc/self/stat").exists() else None
    except OSError:
        return None
    return -1 if state in "ZX" else int(fields[18])  # a dead one that its parent has not asked for yet


def _touched(path: Path) -> float:
    """The latest time at which a file, or anything in a folder, was changed."""
    times = [0.0]
    for place in (path, *path.rglob("*")):
        try:
            times.append(place.lstat().st_mtime)
        except OSError:
            pass  # just renamed or removed
    return max(times)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            pass  # of another user, or the folder is read-only; it disturbs nobody
