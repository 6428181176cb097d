"""What files hold, as a short name: equal for equal content, whenever and by whomever they were written."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from plstm_graph.datasets.storage.checksums import file_sha256
from plstm_graph.datasets.storage.files import replace_text

#: Files of fewer bytes altogether are read again at every start, which takes a tenth of a second.
REMEMBERED = 1 << 26
# Of a file that was written just before it was read, the time does not tell whether it was written once more.
_SETTLED = 2.0  # seconds
_MEMORY = ".contents.json"


def content_key(files: Sequence[Path], memories: Sequence[Path] = ()) -> str:
    """A short name of the content of files and of their names.

    Args:
        files: The files, in any order.
        memories: Folders in which the sums of large files may be remembered, with the size and the time of each file;
            the first one that can be written to is used.
    """
    files = sorted(files, key=lambda path: path.name)
    large = sum(path.stat().st_size for path in files) >= REMEMBERED
    sums = [_remembered(path, memories) if large else file_sha256(path) for path in files]
    parts = [f"{path.name} {digest}" for path, digest in zip(files, sums, strict=True)]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _remembered(path: Path, memories: Sequence[Path]) -> str:
    """SHA-256 of a file, which is read only if nobody has done so since it was written."""
    before, place = path.stat(), os.path.realpath(path)
    stamp = [before.st_size, before.st_mtime_ns, before.st_ctime_ns]
    for memory in memories:
        if (known := _read(memory).get(place)) is not None and known[:3] == stamp:
            return str(known[3])
    digest = file_sha256(path)
    if time.time() - before.st_mtime > _SETTLED:
        for memory in memories:
            with suppress(OSError):
                replace_text(memory / _MEMORY, json.dumps(_read(memory) | {place: [*stamp, digest]}))
                break
    return digest


def _read(memory: Path) -> dict[str, list[object]]:
    """What is remembered; nothing if the file is damaged, or is none of ours."""
    try:
        known = json.loads((memory / _MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {place: value for place, value in known.items() if isinstance(value, list) and len(value) == 4}
