"""Nested plain values that come from a file: bounded in depth, and without the few lines that stand for millions."""

import ast
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

#: Deepest nesting of lists and mappings. Nothing that people write comes near it.
MAX_DEPTH = 64
# A list that a file has once and refers to many times counts as often as it is referred to. Written out, a file may be
# this many times as large as it is, beyond a size that does no harm anyway.
_MAX_GROWTH, _HARMLESS = 20, 100_000


_Made = TypeVar("_Made")


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


def literal(text: str) -> Any:
    """The value of a literal of Python, such as a list of numbers.

    Args:
        text: Of the literal.

    Raises:
        ValueError: If it is none.
    """
    try:
        return ast.literal_eval(text)
    # Python's parser gives up on deep nesting by whichever of these comes first.
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        reason = "its brackets are nested too deep" if isinstance(error, RecursionError | MemoryError) else f"{error}"
        raise ValueError(f"{text!r:.80} cannot be read: {reason}") from error


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


def as_dataclass(kind: type[_Made], values: Any) -> _Made:
    """A dataclass of plain values, as :func:`dataclasses.asdict` makes them, each of which has the type of its field.

    Args:
        kind: The dataclass; its fields are numbers, texts, literals, lists, tuples, dicts and other dataclasses.
        values: By the names of its fields.

    Raises:
        ValueError: If a value is missing, too many, or of another type; it says which.
    """
    return _of_type(kind, values, "")


def _of_type(kind: Any, value: Any, name: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(value, dict):
        hints, known = get_type_hints(kind), {each.name: each for each in fields(kind)}
        wrong = [key for key in value if key not in known]
        needed = [key for key, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
        wrong += [key for key in needed if key not in value]
        if wrong:
            raise ValueError(f"{name or 'it'} lacks, or has without need, {wrong[0]!r:.80}")
        made: Any = kind
        return made(**{key: _of_type(hints[key], each, f"{name}.{key}".lstrip(".")) for key, each in value.items()})
    if origin in (Union, UnionType):
        for each in arguments:
            with suppress(ValueError):
                return _of_type(each, value, name)
    elif origin is Literal:
        if any(value == each and type(value) is type(each) for each in arguments):
            return value
    elif origin is list and isinstance(value, list):
        return [_of_type(arguments[0], each, name) for each in value]
    elif origin is tuple and isinstance(value, list | tuple) and len(value) == len(arguments):
        return tuple(_of_type(each, part, name) for each, part in zip(arguments, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        return {_of_type(arguments[0], key, name): _of_type(arguments[1], each, name) for key, each in value.items()}
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(kind, type) and type(value) is kind:
        return value
    elif kind is type(None) and value is None:
        return None
    raise ValueError(f"{name or 'it'} is {value!r:.80}, which has another type")


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
