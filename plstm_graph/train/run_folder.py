"""The folder of a run: its name, which process is at work in it, and which data it is of."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plstm_graph.datasets.storage.files import replace_json, write_errors
from plstm_graph.datasets.storage.unfinished import is_living, owner, remove_leftovers

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RUNNING = ".running"


def check_name(name: str) -> None:
    """Check that a name is that of a single folder.

    Raises:
        ValueError: If it is empty, or leads elsewhere.
    """
    if not name or name in (".", "..") or Path(name).name != name:
        raise ValueError(f"name must be a plain folder name, got {name!r}")


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which is made if it is not there. What dead ones left is removed.

    Raises:
        ValueError: If another process is at work here; it says what to do if that is no more.
        OSError: If the folder cannot be written.
    """
    marker = folder / RUNNING
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        taken = _take(marker)
    if not taken:
        raise ValueError(
            f"another process is training in {folder}. If it ran on another machine and is no more, remove {marker}"
        )
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def keep_data(folder: Path, summary: str, digest: str) -> None:
    """Write down which data a run is of, in ``data.json``, unless it began with others.

    Args:
        folder: Of the run.
        summary: The data in a line.
        digest: What changes whenever the data do, or what makes samples of them.

    Raises:
        ValueError: If the run is of other data; it says what they were.
        OSError: If the folder cannot be written.
    """
    path = folder / "data.json"
    if not path.is_file():
        replace_json(path, {"data": summary, "digest": digest})
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        same = earlier["digest"] == digest
        was = f"{earlier['data']} ({earlier['digest']})"
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; remove it if the data are those that {folder} began with") from error
    if not same:
        raise ValueError(
            f"the data have changed since {folder} began: they are {summary} ({digest}), and were {was}. Give another "
            "--name"
        )


def _take(marker: Path) -> bool:
    """Say that this process is at work here; False if another one is, or may be on another machine."""
    with _one_at_a_time(marker.parent):
        if marker.exists() and is_living(marker.read_text(encoding="utf-8"), marker.parent):
            return False
        marker.unlink(missing_ok=True)
        try:
            # Another machine does not wait.
            with marker.open("x", encoding="utf-8") as file:
                file.write(owner())
        except FileExistsError:
            return False
        remove_leftovers(marker.parent, deep=True)
    return True


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let others on this machine wait: of several that find the marker of a dead process, one takes its place.

    The lock ends with the process that holds it, however that ends.
    """
    if fcntl is None:
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # of file systems without locks
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@contextmanager
def going_on(how: str) -> Iterator[None]:
    """Have whoever stops a command within this context learn how to go on.

    It begins before the command's folder is claimed, so that there is no moment at which a folder is there and a stop
    says nothing of it.

    Raises:
        KeyboardInterrupt: The one that came, or a class made from it, with the sentences as its text.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise type(stop)(how) from stop
