"""Models of the sizes that a task asks for."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from plstm_graph.config.names import resolve
from plstm_graph.text import meant, shortened

# What tasks decide, and nobody has written.
_SIZES: tuple[str, ...] = ("out_channels", "in_channels", "edge_dim", "predict", "histogram", "column_names")
_SIZES += ("descriptors", "components", "component_readout")
_BY_NAME = ("column_names",)  # only for a class that has an argument of this name
# What a model must be able to read where a task has such.
_READ = {"descriptors": "descriptors of molecules", "components": "several SMILES in a row"}
_OF_A_MODEL = ("class_path", "init_args", "skip_tests")


def make_sized(spec: Mapping[str, Any], sizes: Mapping[str, Any]) -> nn.Module:
    """The model that a configuration names, with the sizes that its task decides.

    Args:
        spec: As of :func:`sized_spec`.
        sizes: Likewise.

    Raises:
        ValueError: If there is no such class, or its arguments do not fit.
    """
    return _make(sized_spec(spec, sizes))


def sized_spec(spec: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says of a model, with the sizes that its task decides.

    A class gets those of the sizes that its arguments name. A class that takes other modules, as
    :class:`~plstm_graph.nn.SequenceHead` does, gets these made so, and no sizes itself.

    Args:
        spec: ``class_path`` and perhaps ``init_args``, which come before the sizes.
        sizes: Such as ``out_channels``, by the names of arguments.

    Raises:
        ValueError: If there is no such class, or it cannot give what it is asked for.
    """
    for key in spec:
        if key not in _OF_A_MODEL:
            raise ValueError(f"a model has {', '.join(_OF_A_MODEL)}, and no {key}{meant(key, _OF_A_MODEL)}")
    name, given = spec.get("class_path"), dict(spec.get("init_args") or {})
    kind = resolve(name)
    nested = {key: sized_spec(value, sizes) for key, value in given.items() if _is_spec(value)}
    if nested:
        return {"class_path": name, "init_args": given | nested}
    parameters = inspect.signature(kind).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    taken = {key: value for key, value in sizes.items() if key in parameters or (takes_all and key not in _BY_NAME)}
    if sizes.get("predict", "graph") != "graph" and "predict" not in taken:
        raise _refusal(name, given, f"targets are of {sizes['predict']}s, and it has no argument 'predict'")
    for key, what in _READ.items():
        if key in sizes and key not in taken:
            raise _refusal(name, given, f"the task has {what}, and it has no argument {key!r}")
    return {"class_path": name, "init_args": taken | given}


def _make(spec: Mapping[str, Any]) -> nn.Module:
    name, given = spec["class_path"], spec["init_args"]
    made = {key: _make(value) if _is_spec(value) else value for key, value in given.items()}
    try:
        return resolve(name)(**made)
    except (TypeError, RuntimeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
        raise _refusal(name, given, error) from error


def _is_spec(value: Any) -> bool:
    return isinstance(value, Mapping) and "class_path" in value


def _refusal(name: Any, given: Mapping[str, Any], why: object) -> ValueError:
    known = inspect.signature(resolve(name)).parameters
    near = "".join(meant(key, known) for key in given if key not in known)
    own = {key: value for key, value in given.items() if key not in _SIZES}
    # Those that the reason names, as far as it does; else as much of all as can be read.
    named = {key: value for key, value in own.items() if re.search(rf"(?<!\w){re.escape(str(key))}(?!\w)", str(why))}
    return ValueError(f"{name} cannot be made with {shortened(str(named or own))}: {why}{near}")
