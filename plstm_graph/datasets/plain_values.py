"""Nested plain values that come from a file: bounded in depth, and without the few lines that stand for millions."""

from collections.abc import Iterable, Mapping
from typing import Any

#: Deepest nesting of lists and mappings. Nothing that people write comes near it.
MAX_DEPTH = 64
# A list that a file has once and refers to many times counts as often as it is referred to. Written out, a file may be
# this many times as large as it is, beyond a size that does no harm anyway.
_MAX_GROWTH, _HARMLESS = 20, 100_000


def check_plain(value: Any, leaves: tuple[type, ...] = ()) -> None:
    """Check that nested values are plain, finite and no larger than they look.

    Files can refer to a list or mapping that they have already. So a list may contain itself, and ten lines may stand
    for a billion values, which whoever copies, prints or compares them finds out too late.

    Args:
        value: Lists, tuples, mappings with plain keys, numbers, strings, bytes and None.
        leaves: Further types that values and keys may have.

    Raises:
        ValueError: If it is something else; it says what.
    """
    check_tree(value, lambda each: _children(each, leaves), "its lists and mappings")


def check_tree(root: Any, children: Any, name: str) -> None:
    """Check the depth and the written-out size of nested objects that may refer to each other.

    Args:
        root: The outermost object.
        children: Gives what an object contains; for one that contains nothing, nothing.
        name: What they are called in messages.

    Raises:
        ValueError: If an object contains itself, the nesting is too deep, or the size written out is far beyond the
            number of objects.
    """
    sizes: dict[int, int | None] = {}  # None while an object's content is looked at
    count = 0

    def size_of(value: Any, room: int) -> int:
        nonlocal count
        inside = list(children(value))
        if not inside:
            count += 1
            return 1
        known = sizes.get(id(value), 0)
        if known is None:
            raise ValueError(f"{name} contain themselves")
        if known:
            return known
        if room == 0:
            raise ValueError(f"{name} are nested deeper than {MAX_DEPTH}")
        sizes[id(value)] = None
        count += 1
        size = 1 + sum(size_of(each, room - 1) for each in inside)
        sizes[id(value)] = size
        return size

    size = size_of(root, MAX_DEPTH)
    if size > max(_HARMLESS, _MAX_GROWTH * count):
        raise ValueError(f"{name} refer to each other so often that they would have {size:,} values written out")


def _children(value: Any, leaves: tuple[type, ...]) -> Iterable[Any]:
    if isinstance(value, Mapping):
        for key in value:
            if not (key is None or isinstance(key, (str, bytes, int, float, *leaves))):
                raise ValueError(f"a key is a {type(key).__name__}, not a name or number")
        return list(value.values())
    if isinstance(value, list | tuple):
        return value
    if value is None or isinstance(value, str | bytes | bool | int | float | complex) or isinstance(value, leaves):
        return ()
    raise ValueError(
        f"a value is a {type(value).__module__}.{type(value).__qualname__}, not a number, name, list or mapping"
    )
