"""The folder in which the package keeps, for a user, what it can make again: libraries of C code, processed graphs."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def user_cache() -> Path:
    """``XDG_CACHE_HOME/plstm_graph``, or ``~/.cache/plstm_graph``; it need not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path is to be ignored: it would name a folder of the working folder.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "plstm_graph"


def kept_json(name: str, is_sound: Callable[[Any], bool], make: Callable[[], Any]) -> Any:
    """A value kept in the cache; made anew if it is not there or not sound, and not kept where nothing can be written.

    Args:
        name: Of the file.
        is_sound: Whether what a file holds can be used.
        make: Makes the value, of what JSON can hold.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError, RecursionError):  # RuntimeError: there is no home
        found = json.loads((user_cache() / name).read_text(encoding="utf-8"))
        if is_sound(found):
            return found
    value = make()
    with contextlib.suppress(OSError, RuntimeError):
        folder = user_cache()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=f"{name}-", suffix=".unfinished", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file)
            os.replace(unfinished, folder / name)
        finally:
            Path(unfinished).unlink(missing_ok=True)
    return value
