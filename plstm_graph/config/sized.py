"""Models of the sizes that a task asks for."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from plstm_graph.config.names import resolve
from plstm_graph.text import meant

_OF_A_MODEL = ("class_path", "init_args", "skip_tests")


def make_sized(spec: Mapping[str, Any], sizes: Mapping[str, Any]) -> nn.Module:
    """The model that a configuration names, with the sizes that its task decides.

    A class gets those of the sizes that its arguments name. A class that takes other modules, as
    :class:`~plstm_graph.nn.Positions` does, gets these made so, and no sizes itself.

    Args:
        spec: ``class_path`` and perhaps ``init_args``, which come before the sizes.
        sizes: Such as ``out_channels``, by the names of arguments.

    Raises:
        ValueError: If there is no such class, or its arguments do not fit.
    """
    for key in spec:
        if key not in _OF_A_MODEL:
            raise ValueError(f"a model has {', '.join(_OF_A_MODEL)}, and no {key}{meant(key, _OF_A_MODEL)}")
    name, given = spec.get("class_path"), dict(spec.get("init_args") or {})
    kind = resolve(name)
    nested = {key: value for key, value in given.items() if isinstance(value, Mapping) and "class_path" in value}
    parameters = inspect.signature(kind).parameters
    try:
        if nested:
            return kind(**given | {key: make_sized(value, sizes) for key, value in nested.items()})
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        taken = {key: value for key, value in sizes.items() if takes_all or key in parameters}
        if sizes.get("predict", "graph") != "graph" and "predict" not in taken:
            raise TypeError(f"targets are of {sizes['predict']}s, and it has no argument 'predict'")
        return kind(**taken | given)
    except TypeError as error:
        near = "".join(meant(key, parameters) for key in given if key not in parameters)
        raise ValueError(f"{name} cannot be made with {given}: {error}{near}") from error
