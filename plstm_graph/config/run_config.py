"""Folders of runs that go on where they stopped, and never mix results of two configurations."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from plstm_graph.config.parser import CommandParser
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.datasets.storage.plain_values import load_yaml
from plstm_graph.datasets.storage.unfinished import remove_leftovers

_FILE = "config.yaml"


def claim_folder(
    folder: Path, plain: dict[str, Any], parser: CommandParser, outside: Collection[str], another: str
) -> None:
    """Write the configuration into the folder of a run, unless it holds a run of another one.

    Args:
        folder: Made if it is not there.
        plain: The configuration, plain sections.
        parser: Of the command.
        outside: Dotted names of options that do not decide the results.
        another: The option that names another folder, for the message.

    Raises:
        ValueError: If the folder holds a run of another configuration; it names the first differences.
        OSError: If the folder cannot be written.
    """
    refuse(folder, differences_to(folder, plain, parser, outside), another)
    write_configuration(folder, plain)


def differences_to(folder: Path, plain: dict[str, Any], parser: CommandParser, outside: Collection[str]) -> list[str]:
    """In what a configuration differs from that of a folder, see :func:`claim_folder`."""
    earlier = read_configuration(folder)
    if earlier is not None:
        return differences(parser.complete(earlier), parser.complete(plain), outside)
    return ["it has no config.yaml"] if folder.is_dir() and any(folder.iterdir()) else []


def refuse(folder: Path, differences: list[str], another: str) -> None:
    """Raise an error if there are differences."""
    if differences:
        first = "; ".join(differences[:5])
        raise ValueError(f"{folder} holds a run of another configuration ({first}): give another {another}")


def read_configuration(folder: Path) -> dict[str, Any] | None:
    """The configuration in a folder, if there is one."""
    path = folder / _FILE
    return read_yaml(path) if path.is_file() else None


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a file of configuration.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no YAML with sections.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no configuration: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no configuration: it has no sections")
    return content


def write_configuration(folder: Path, plain: dict[str, Any]) -> None:
    """Write a configuration into a folder, and remove what killed processes were writing anywhere in it."""
    remove_leftovers(folder, deep=True)
    replace_text(folder / _FILE, yaml.safe_dump(plain, sort_keys=False))


def differences(earlier: dict[str, Any], now: dict[str, Any], outside: Collection[str]) -> list[str]:
    """In what two configurations differ, such as ``"training.epochs is 2, was 9"``.

    Args:
        earlier: Nested plain values.
        now: Likewise.
        outside: Dotted names of options, or of whole sections, that do not decide the results of a run.
    """
    old, new = _flat(earlier, outside), _flat(now, outside)
    names = [name for name in {**old, **new} if new.get(name) != old.get(name)]
    return [f"{name} is {new.get(name)}, was {old.get(name)}" for name in names]


def _flat(values: dict[str, Any], outside: Collection[str], prefix: str = "") -> dict[str, Any]:
    """Options by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name not in outside:
            flat |= _flat(value, outside, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
