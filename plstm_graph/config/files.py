"""Configuration files of a command, looked at before a parser does: what is wrong with them, and in which line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from plstm_graph.datasets.storage.plain_values import YamlError, load_yaml
from plstm_graph.datasets.text_files import not_text

_OPTION = "--config"


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
        raise ValueError(f"the configuration {given!r} cannot be read: {reason}{_where(path)}") from error
    other = not_text(content)
    if other is not None:
        raise ValueError(f"{given} is no configuration: {other}")
    try:
        values = load_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{given}, line {line}: not UTF-8 text: {error.reason}") from error
    except YamlError as error:
        where = given if error.line is None else f"{given}, line {error.line}"
        raise ValueError(f"{where}: no YAML: {error}") from error
    if not isinstance(values, Mapping):
        found = "nothing" if values is None else "a list" if isinstance(values, list) else f"{str(values)[:40]!r}"
        raise ValueError(f"{given} must hold keys with values, found {found}")


def _where(path: Path) -> str:
    """Where a configuration lies that was looked for in another folder than that of the repository."""
    if path.is_absolute() or path.parts[:1] != ("configs",) or path.exists():
        return ""
    place = Path(__file__).parents[2] / path
    if place.is_file():
        return f"; it is {place}"
    return (
        "; configurations lie in the folder configs of the repository, which an installed package does not bring: "
        "clone it and give the file there, or write one of your own"
    )
