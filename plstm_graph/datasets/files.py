"""Writing files so that a crash leaves no half-written one."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def replace_file(path: str | Path, write: Callable[[str], object]) -> None:
    """Write a file under another name beside its place, then move it there in one step.

    Processes that write the same file at the same time do not disturb each other: the last one wins.

    Args:
        path: Where the file belongs; missing folders are made.
        write: Writes the whole file to the path that it is called with.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(str(unfinished))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, as :func:`replace_file` does.

    Args:
        path: Where the file belongs; missing folders are made.
        text: All of it.
    """
    replace_file(path, lambda unfinished: Path(unfinished).write_text(text, encoding="utf-8"))


def replace_json(path: str | Path, value: Any) -> None:
    """Write a JSON file, indented, as :func:`replace_file` does.

    Args:
        path: Where the file belongs; missing folders are made.
        value: Plain values.
    """
    replace_text(path, json.dumps(value, indent=2) + "\n")
