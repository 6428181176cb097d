"""Writing files and folders so that they appear whole or not at all, whoever else writes, and whatever goes wrong."""

import errno
import json
import math
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from plstm_graph.datasets.storage.unfinished import remove_leftovers, unfinished_path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(OSError):
    """Something that could not be written; the message names it, the reason, and what to do."""


def replace_file(path: str | Path, write: Callable[[str], object]) -> None:
    """Write a file under another name beside its place, then move it there in one step.

    Processes that write the same file at the same time, on one machine or several, do not disturb each other: the last
    one wins. What killed processes left in the folder is removed. A device or a pipe is written to as it is.

    Args:
        path: Where the file belongs; missing folders are made. Of a link, the file that it leads to is replaced.
        write: Writes the whole file to the path that it is called with.

    Raises:
        WriteError: If it cannot be written; the file that was there stays.
    """
    given, path = path, Path(os.path.realpath(path))
    with write_errors(given):
        if path.exists() and not path.is_file():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            write(str(path))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        unfinished = unfinished_path(path)
        try:
            write(str(unfinished))
            _flush(unfinished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, as :func:`replace_file` does.

    Args:
        path: Where the file belongs; missing folders are made.
        text: All of it.
    """
    replace_file(path, lambda unfinished: Path(unfinished).write_text(text, encoding="utf-8", newline=""))


def replace_json(path: str | Path, value: Any) -> None:
    """Write a JSON file, indented, as :func:`replace_file` does.

    Args:
        path: Where the file belongs; missing folders are made.
        value: Plain values, see :func:`plain_json`.
    """
    replace_text(path, json.dumps(plain_json(value), indent=2) + "\n")


def plain_json(value: Any) -> Any:
    """Values as JSON has them: it has no NaN, and null says the same."""
    if isinstance(value, Mapping):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder with everything in it appear at once, or not at all.

    If another process has made it meanwhile, that one stays. What killed processes left beside it is removed.

    Args:
        path: Where the folder belongs; folders above it are made.

    Yields:
        The folder to write to, which lies beside its place until the block ends without an error.

    Raises:
        WriteError: If there is no room for it, or it may not be written.
    """
    path = Path(path)
    unfinished = unfinished_path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        unfinished.mkdir()
    try:
        with _shown_as(unfinished, path), write_errors(path, full_only=True):
            yield unfinished
            for file in unfinished.rglob("*"):
                if file.is_file():
                    _flush(file)
        with write_errors(path):
            try:
                unfinished.rename(path)
            except OSError:
                if not path.is_dir() or not any(path.iterdir()):
                    raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def write_errors(path: str | os.PathLike[str], full_only: bool = False) -> Iterator[None]:
    """Say what could not be written and why, whether Python raises it, SQLite, or the C++ part of torch.

    Args:
        path: What is written.
        full_only: Leave all but full and read-only disks alone, as for blocks that read other files too.

    Raises:
        WriteError: If it could not be written.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise _error(path, error.errno, "; free some space and run the same command again") from error
        if error.errno == errno.EROFS or (not full_only and error.errno is not None):
            raise _error(path, error.errno, "") from error
        raise
    except sqlite3.OperationalError as error:
        raise WriteError(f"{os.fspath(path)} could not be written; is the disk full? ({error})") from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        if "inline_container" not in reason and "PytorchStreamWriter" not in reason:
            raise
        raise WriteError(f"{os.fspath(path)} could not be written; is the disk full? ({reason})") from error


@contextmanager
def _shown_as(unfinished: Path, path: Path) -> Iterator[None]:
    """Name the final place in errors about a file in an unfinished folder."""
    try:
        yield
    except WriteError as error:
        shown = WriteError(str(error).replace(str(unfinished), str(path)))
        shown.errno = error.errno
        raise shown from error


def _error(path: str | os.PathLike[str], number: int | None, advice: str) -> WriteError:
    assert number is not None
    error = WriteError(f"{os.fspath(path)} cannot be written: {os.strerror(number)}{advice}")
    error.errno = number
    return error


def _flush(path: Path) -> None:
    """Have the disk take in a file, so that a machine that stops does not leave an empty one under its final name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can
            os.fsync(handle)
    finally:
        os.close(handle)
