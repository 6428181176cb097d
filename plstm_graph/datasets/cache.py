"""Folders of processed graphs: named after everything that decides what is in them, and never half-written."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.transforms import BaseTransform

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def cache_key(*parts: Any) -> str:
    """A short name that differs whenever one of the parts does, and is the same in every process.

    Args:
        *parts: Plain values and transforms; see :func:`describe`.
    """
    return hashlib.sha256(describe(parts).encode()).hexdigest()[:12]


def describe(value: Any) -> str:
    """Words for a value, with the arguments of transforms, which many of PyG leave out of their ``repr``.

    Functions are known by their name only: a changed body is not seen.

    Args:
        value: Plain values, tensors, transforms, and lists and dicts of these.
    """
    if isinstance(value, BaseTransform):
        return f"{type(value).__module__}.{type(value).__qualname__}({describe(vars(value))})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {describe(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    if isinstance(value, Tensor):
        return f"tensor({value.dtype}, {value.tolist()})"
    return _ADDRESS.sub("", repr(value))


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what torch raises when a file cannot be written, a RuntimeError of its C++ part, into an OSError.

    Args:
        path: What is written, for the message.

    Raises:
        OSError: If torch could not write.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if "inline_container" not in reason and "PytorchStreamWriter" not in reason:
            raise
        raise OSError(f"{path} could not be written; is the disk full? ({reason})") from error


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder with everything in it appear at once, or not at all.

    If another process has made it meanwhile, that one stays.

    Args:
        path: Where the folder belongs; folders above it are made.

    Yields:
        The folder to write to, which lies beside its place until the block ends without an error.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        try:
            unfinished.rename(path)
        except OSError:
            if not path.is_dir() or not any(path.iterdir()):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
