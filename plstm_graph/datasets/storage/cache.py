"""Names of folders of processed graphs: they change with everything that decides what is in them."""

import hashlib
import re
from collections.abc import Mapping
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
