"""Options of tasks, checked against the function that takes them before it is called."""

import copy
import inspect
from argparse import ArgumentError
from collections.abc import Callable, Collection, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import Namespace

from plstm_graph.config.parser import GuardedParser
from plstm_graph.text import meant, shortened


def fitting(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    owner: str,
    of: str = "",
    given: Collection[str] = (),
    besides: Collection[str] = (),
) -> dict[str, Any]:
    """Options as a function takes them: all are known, none is missing, and each is of the type that it declares.

    What goes wrong inside the function is then no fault of the options, and is not taken for one.

    Args:
        function: Its parameters and their types are what options may be.
        options: Plain values by their names, as a configuration has them.
        owner: What the error calls that which has the options, such as ``"the task copy"``.
        of: The part of its options that these are, for the error.
        given: Parameters that are not for options to set.
        besides: Options that the owner takes itself, which a misspelt one may have meant.

    Returns:
        The options, with numbers that were written as words, or whole where they need not be, as numbers.

    Raises:
        ValueError: If an option is unknown, missing or of another type; it names the option and its value.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if name not in given
    }

    def refusal(why: str, name: str = "") -> ValueError:
        return unfit(owner, {name: options[name]} if name else dict(options), why, of)

    known = ", ".join(parameters) or "none at all"
    for name in options:
        if name not in parameters:
            near = meant(name, [*parameters, *besides])
            raise refusal(f"there is no option {name!r}{near}, of options there are {known}", name)
    missing = [name for name, each in parameters.items() if each.default is each.empty and name not in options]
    if missing:
        raise refusal(f"{', '.join(missing)} must be given")
    checked = {}
    for name, value in options.items():
        kind = parameters[name].annotation
        # The parser below takes None for an option that was not given.
        if value is None and NoneType not in get_args(kind):
            raise refusal(f"{name} must be {_described(kind)}, got nothing", name)
        if _is_plain(value, kind):  # a parser takes thousands of times longer
            checked[name] = value
            continue
        parser = GuardedParser(exit_on_error=False)
        parser.add_argument("--value", type=kind)
        try:
            checked[name] = _plain(parser.parse_object({"value": copy.deepcopy(value)}).value)
        except ArgumentError as error:
            words = _words(kind, value)
            why = not_one_of(name, words, value) if words else f"{name} must be {_described(kind)}, got {value!r}"
            raise refusal(why, name) from error
    return checked


def unfit(owner: str, wrong: Mapping[str, Any], why: str, of: str = "") -> ValueError:
    """The error about options that do not fit; arguments as of :func:`fitting`, and what is wrong with which."""
    return ValueError(f"options {shortened(str(dict(wrong)))}{f' of {of}' if of else ''} do not fit {owner}: {why}")


def not_one_of(name: str, words: Collection[Any], value: Any) -> str:
    """What to say of an option that is none of the words that it may be."""
    return f"{name} must be {' or '.join(map(repr, words))}, got {value!r}{meant(value, map(str, words))}"


def _plain(value: Any) -> Any:
    """A value without the namespaces that the parser makes of whatever looks like a class with arguments."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _is_plain(value: Any, kind: Any) -> bool:
    """Whether a value is a number, a truth value or nothing, just as its type says."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return isinstance(value, int | float | NoneType) and type(value) in kinds


def _words(kind: Any, value: Any) -> tuple[Any, ...]:
    """The values of a type that is one of some words, or nothing, or for a word also something else than words."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    of_words = [each for each in kinds if get_origin(each) is Literal]
    others = [each for each in kinds if each is not NoneType and each not in of_words]
    return get_args(of_words[0]) if len(of_words) == 1 and (isinstance(value, str) or not others) else ()


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    text = inspect.formatannotation(kind).replace("typing.", "").replace("collections.abc.", "")
    return f"of the type {text}"
