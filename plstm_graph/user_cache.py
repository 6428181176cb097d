"""The folder in which the package keeps, for a user, what it can make again: libraries of C code, processed graphs."""

import os
from pathlib import Path


def user_cache() -> Path:
    """``XDG_CACHE_HOME/plstm_graph``, or ``~/.cache/plstm_graph``; it need not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path is to be ignored: it would name a folder of the working folder.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "plstm_graph"
