"""Options that reach into a section of plain values, such as ``--data.train.size 100``.

jsonargparse takes ``--data.train VALUE`` for one key of a dictionary, but where a name goes deeper it replaces all of
``train`` by a single key. Here the rest of the section stays.
"""

import copy
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import yaml

from plstm_graph.datasets.storage.plain_values import load_yaml


class Override(NamedTuple):
    """One value of a section.

    Attributes:
        option (str): As it was given, such as ``"--data.train.size"``.
        keys (tuple[str, ...]): The way to it.
        text (str): The value, YAML.
    """

    option: str
    keys: tuple[str, ...]
    text: str


def take_overrides(arguments: Sequence[str], sections: Collection[str]) -> tuple[list[str], list[Override]]:
    """Take the options that go deeper than one key into a section out of the arguments of a command.

    Args:
        arguments: All of them.
        sections: Names of options that are dictionaries.

    Returns:
        The other arguments, and what was taken, in its order. An option without a value is left to the parser.
    """
    rest: list[str] = []
    taken: list[Override] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        option, equals, text = argument.partition("=")
        keys = tuple(option[2:].split(".")) if option.startswith("--") else ()
        has_value = equals or (waiting and not waiting[0].startswith("--"))
        if len(keys) < 3 or keys[0] not in sections or not has_value:
            rest.append(argument)
        else:
            taken.append(Override(option, keys, text if equals else waiting.pop(0)))
    return rest, taken


def written_out(overrides: Sequence[Override], parse: Callable[[], Any]) -> list[str]:
    """Options that jsonargparse understands: for each section that is reached into, its whole content.

    Args:
        overrides: By :func:`take_overrides`.
        parse: Parses the other arguments to a namespace.

    Raises:
        ValueError: If a name leads through something that is no section, or a value is no YAML.
    """
    if not overrides:
        return []
    parsed = parse()
    changed: dict[tuple[str, str], Any] = {}
    for option, keys, text in overrides:
        top, first, *way, last = keys[0], keys[1], *keys[2:]
        if (top, first) not in changed:
            values = parsed.get(top) or {}
            changed[top, first] = copy.deepcopy(values.get(_key(values, first), {}))
        place = changed[top, first]
        for number, key in enumerate((*way, None)):
            if not isinstance(place, dict):
                raise ValueError(f"{option}: {'.'.join(keys[: number + 2])} is {place!r}, which has no parts")
            if key is not None:
                place = place.setdefault(_key(place, key), {})
        try:
            place[_key(place, last)] = load_yaml(text)
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"{option}: {text!r} is no value: {error}") from error
    # In the order of the section, which may decide: the seeds of tests go by it.
    texts = {
        place: yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False).strip()
        for place, value in changed.items()
    }
    return [f"--{top}.{first}={text}" for (top, first), text in texts.items()]


def _key(values: dict[Any, Any], name: str) -> Any:
    """The key of a dictionary that is written so, which may be a number; the name itself if there is none."""
    return next((key for key in values if str(key) == name), name)
