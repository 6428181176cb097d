"""Configuration files of a command, looked at before a parser does: what is wrong with them, and in which line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from plstm_graph.datasets.text_files import not_text

_OPTION = "--config"
_DEPTH = 100  # of nested values, which nobody writes; one that holds itself has no end


def check_config_files(arguments: Sequence[str]) -> None:
    """Check the files that ``--config`` names.

    Args:
        arguments: Of a command.

    Raises:
        ValueError: If one is missing or empty, no text, no YAML, or does not hold keys with values.
    """
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == _OPTION and (equals or number + 1 < len(arguments)):
            _check(value if equals else arguments[number + 1])


def _check(given: str) -> None:
    path = Path(given).expanduser()
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"the configuration {given!r} cannot be read: {reason}") from error
    other = not_text(content)
    if other is not None:
        raise ValueError(f"{given} is no configuration: {other}")
    try:
        values = yaml.safe_load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{given}, line {line}: not UTF-8 text: {error.reason}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = given if mark is None else f"{given}, line {mark.line + 1}"
        raise ValueError(f"{where}: no YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(values, Mapping):
        found = "nothing" if values is None else "a list" if isinstance(values, list) else f"{str(values)[:40]!r}"
        raise ValueError(f"{given} must hold keys with values, found {found}")
    if _is_deeper(values, _DEPTH):
        raise ValueError(f"{given} has values that are nested more than {_DEPTH} deep, or hold themselves")


def _is_deeper(value: Any, depth: int) -> bool:
    if depth == 0:
        return True
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(_is_deeper(item, depth - 1) for item in inner)
