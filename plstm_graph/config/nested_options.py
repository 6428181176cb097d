"""Sections of plain values, put together from several files and from options such as ``--task.train.size 100``.

jsonargparse replaces a dictionary by that of a later file, and takes no option that reaches deeper than one key. Here
sections are put together first, in the order in which they are given, and handed to it whole.
"""

import copy
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from plstm_graph.config.names import resolve

_CONFIG = "--config"
#: What a model of a configuration has; any other key of one is meant for its arguments.
#: What OGB's form asks of each model.
_ENTRY = "entry"
MODEL_KEYS = ("class_path", "init_args", "skip_tests")


def put_together(
    arguments: Sequence[str], sections: Collection[str], load: Callable[[str], Any]
) -> tuple[list[str], list[str]]:
    """Take the options of sections out of the arguments of a command, and write the sections out whole.

    Args:
        arguments: All of them.
        sections: Names of options that are dictionaries.
        load: Reads YAML.

    Returns:
        The other arguments, files among them; and an option for each section that is not as a single file has it. What
        cannot be understood, as an option without a value, is left to the parser.

    Raises:
        ValueError: If an option leads through something that is no section, or its value is no YAML.
    """
    rest: list[str] = []
    found: dict[str, Any] = {}
    again: set[str] = set()
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        option, equals, text = argument.partition("=")
        keys = option[2:].split(".") if option.startswith("--") else [""]
        has_value = equals or (waiting and not waiting[0].startswith("--"))
        if (keys[0] not in sections and option != _CONFIG) or not has_value:
            rest.append(argument)
            continue
        text = text if equals else waiting.pop(0)
        if option == _CONFIG:
            rest += [option, text]
            file = _of_file(text, load)
            if _ENTRY in found and _are_others(found.get("models"), file.get("models")):
                found[_ENTRY] = {}  # what was said of models that are no more
                again.add(_ENTRY)
            for name, value in file.items():
                if name in sections:
                    again |= {name} & set(found)
                    found[name] = merged(found.get(name), value)
            continue
        value = _read(option, text, load)
        before = found.get(keys[0])
        if len(keys) == 1:
            found[keys[0]] = merged(before if isinstance(value, str) else None, value)
        else:
            found[keys[0]] = _with(before, keys, value, option)
        again.add(keys[0])
    # jsonargparse would take a dictionary that names a class for a change of the one before: there is none before it.
    return rest, [f"--{name}={text}" for name in found if name in again for text in ("{}", _written(found[name]))]


def merged(earlier: Any, later: Any) -> Any:
    """A section as a later file changes it: its options replace those of the same names.

    Arguments of a model are merged likewise. Where the class is another one, those remain that it takes too; its name
    alone may stand for it. Models of other names come in place of those of earlier files.

    Args:
        earlier: Plain values.
        later: Likewise.
    """
    if _is_model(_whole(earlier)):
        earlier, later = _whole(earlier), _whole(later)
    if not isinstance(earlier, Mapping) or not isinstance(later, Mapping):
        return copy.deepcopy(later)
    if _is_model(earlier) and _is_model(later):
        return _merged_model(earlier, later)
    if _are_others(earlier, later):
        return copy.deepcopy(later)
    both = {key: merged(earlier[key], later[key]) for key in later if _is_model(earlier.get(key))}
    return copy.deepcopy({**earlier, **later, **both})


def _whole(section: Any) -> Any:
    """A section as a dictionary where it is the full name of a class."""
    is_name = isinstance(section, str) and "." in section and section.replace(".", "_").isidentifier()
    return {"class_path": section} if is_name else section


def _is_model(value: Any) -> bool:
    return isinstance(value, Mapping) and not value.keys().isdisjoint(MODEL_KEYS[:2])


def _are_others(earlier: Any, later: Any) -> bool:
    """Whether two sections are of models, and none of the second has the name of one of the first."""
    both = [each for each in (earlier, later) if isinstance(each, Mapping) and each]
    if len(both) < 2 or not all(_is_model(value) for each in both for value in each.values()):
        return False
    return not earlier.keys() & later.keys()


def _merged_model(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    kept = earlier.get("init_args") or {}
    name = later.get("class_path", earlier.get("class_path"))
    if name != earlier.get("class_path"):
        kept = {key: value for key, value in kept.items() if _takes(name, key)}
    return {**copy.deepcopy(dict(earlier)), **later, "init_args": merged(kept, later.get("init_args") or {})}


def _takes(name: Any, argument: str) -> bool:
    """Whether a class has an argument; one that may not be named is refused later."""
    try:
        parameters = inspect.signature(resolve(name)).parameters
    except ValueError:
        return False
    return argument in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _with(section: Any, keys: Sequence[str], value: Any, option: str) -> Any:
    """A section with a value at the end of a way through it."""
    changed = copy.deepcopy({} if section is None else _whole(section))
    place = changed
    for number, name in enumerate(keys[1:], start=1):
        if not isinstance(place, dict):
            raise ValueError(f"{option}: {'.'.join(keys[:number])} is {place!r}, which has no parts")
        if _is_model(place) and name not in MODEL_KEYS:
            place = place.setdefault("init_args", {})
        dotted = ".".join(keys[number:])
        if number == len(keys) - 1 or dotted in place:
            place[_key(place, dotted)] = value
            break
        place = place.setdefault(_key(place, name), {})
    return changed


def _key(values: dict[Any, Any], name: str) -> Any:
    """The key of a dictionary that is written so, which may be a number; the name itself if there is none."""
    return next((key for key in values if str(key) == name), name)


def _read(option: str, text: str, load: Callable[[str], Any]) -> Any:
    try:
        return load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{option}: {text!r} is no value: {error}") from error


def _of_file(path: str, load: Callable[[str], Any]) -> Mapping[str, Any]:
    """Sections of a file; none if it cannot be read, which the parser says better."""
    try:
        content = load(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _written(value: Any) -> str:
    """A value as YAML in a line, in its order, which may decide: the seeds of tests go by it."""
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False).strip().removesuffix("\n...")
