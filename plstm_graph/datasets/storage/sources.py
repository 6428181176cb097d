"""Where raw files lie on this machine: in a folder that the caller names, else in that of ``PLSTM_DATA``."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

#: The environment variable that names a folder of data sets. It need not have every set.
VARIABLE = "PLSTM_DATA"


def named_source(source: str | os.PathLike[str] | None) -> Path | None:
    """The folder that is to be looked into, if any is named.

    Args:
        source: What the caller says; it goes before ``PLSTM_DATA``.
    """
    given = os.fspath(source) if source is not None else ""
    given = given or os.environ.get(VARIABLE, "")
    return Path(given).expanduser() if given else None


def find_source(
    source: str | os.PathLike[str] | None,
    places: Sequence[str],
    holds: Callable[[Path], bool],
    missing: Callable[[Path], str],
) -> Path | None:
    """The first place that holds what is looked for; None leaves a download.

    Args:
        source: Folder that the caller names. (default: that of ``PLSTM_DATA``)
        places: Folders below it; ``""`` is the folder itself.
        holds: Whether a folder has the raw files.
        missing: What to say if a folder that the caller named has none.

    Raises:
        FileNotFoundError: If the caller named a folder, and none of the places there holds them.
    """
    base = named_source(source)
    if base is None:
        return None
    for place in places:
        if holds(base / place):
            return base / place
    if source is not None and os.fspath(source):
        raise FileNotFoundError(missing(base))
    return None
