"""Nested plain values that come from a file: bounded in depth, and without the few lines that stand for millions."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

#: Deepest nesting of lists and mappings. Nothing that people write comes near it.
MAX_DEPTH = 64
# A list that a file has once and refers to many times counts as often as it is referred to. Written out, a file may be
# this many times as large as it is, beyond a size that does no harm anyway.
_MAX_GROWTH, _HARMLESS = 20, 100_000


class YamlError(ValueError):
    """A text that is no YAML, or YAML that stands for far more than it says.

    Attributes:
        line (int, optional): Where, from 1.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def load_yaml(text: str) -> Any:
    """Plain values of a YAML text.

    Args:
        text: One document.

    Raises:
        YamlError: If it is no YAML, names objects other than plain values, or repeats itself by reference without end.
    """
    node = check_yaml(text)
    if node is None:
        return None
    try:
        return yaml.SafeLoader("").construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _yaml_error(error) from error


def check_yaml(text: str) -> yaml.Node | None:
    """Check that a YAML text stands for about as many values as it has, before any of them is made.

    Args:
        text: One document.

    Returns:
        What it consists of; None if it is empty.

    Raises:
        YamlError: As in :func:`load_yaml`.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            check_tree(node, _nodes, "its lists and mappings")
        return node
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _yaml_error(error) from error


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


def _nodes(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _yaml_error(error: Exception) -> YamlError:
    if isinstance(error, RecursionError):
        return YamlError("its lists and mappings are nested too deep")
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error) or "it cannot be read"
    return YamlError(reason, None if mark is None else mark.line + 1)


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
