"""Names of folders of processed graphs: they change with everything that decides what is in them."""

import functools
import hashlib
import inspect
import re
from collections.abc import Mapping, Set
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
from torch import Tensor

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def cache_key(*parts: Any) -> str:
    """A short name that differs whenever one of the parts does, and is the same in every process.

    Args:
        *parts: Plain values and transforms; see :func:`describe`.
    """
    return hashlib.sha256(describe(parts).encode()).hexdigest()[:12]


def describe(value: Any) -> str:
    """Words for a value, with the arguments of transforms, which many of PyG leave out of their ``repr``.

    A function is known by its name, its code and what it closes over; functions that it calls by their names only.

    Args:
        value: Plain values, tensors, functions, transforms, and lists and dicts of these.
    """
    return _describe(value, ())


def _describe(value: Any, around: tuple[int, ...]) -> str:
    """:func:`describe` within values of these ids, one of which may come again."""
    if id(value) in around:
        return "itself"
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__}({value.dtype}, {value.tolist()})"

    def inner(part: Any) -> str:
        return _describe(part, (*around, id(value)))

    if isinstance(value, Mapping):
        items = sorted(value.items(), key=lambda item: str(item[0]))
        return "{" + ", ".join(f"{key}: {inner(item)}" for key, item in items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inner, value)) + "]"
    if isinstance(value, Set):  # in an order that every process has
        return "set(" + ", ".join(sorted(map(inner, value))) + ")"
    if isinstance(value, FunctionType):
        closed_over = inspect.getclosurevars(value).nonlocals
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, closed_over]
        return f"{value.__module__}.{value.__qualname__}({inner(parts)})"
    if isinstance(value, CodeType):
        return inner([value.co_code.hex(), value.co_names, value.co_consts])
    if isinstance(value, MethodType):
        return inner([value.__func__, value.__self__])
    if isinstance(value, functools.partial):
        return f"partial({inner([value.func, value.args, value.keywords])})"
    if type(value).__module__ != "builtins" and hasattr(value, "__dict__") and not isinstance(value, type):
        return f"{type(value).__module__}.{type(value).__qualname__}({inner(vars(value))})"
    return _ADDRESS.sub("", repr(value))
