"""Parsers of options and of what files say, which import and make nothing that the registry does not have."""

import copy
import re
import sys
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import UnionType
from typing import TYPE_CHECKING, Any, NoReturn, Union, get_args, get_origin

import jsonargparse
import yaml
from jsonargparse import ArgumentParser

from plstm_graph.config.names import (
    KINDS,
    Kind,
    NameNotAllowedError,
    check_names,
    import_paths,
    refusal,
)
from plstm_graph.config.nested_options import put_together
from plstm_graph.datasets.storage.plain_values import check_plain, check_yaml, load_yaml
from plstm_graph.text import meant

if TYPE_CHECKING:
    from torch import nn
    from torch_geometric.transforms import BaseTransform

_DENIED = re.compile(r"Importing '([\w.]+)' is not allowed")
# What jsonargparse says of options, and of keys of files, that there are not.
_UNKNOWN = re.compile(r"unrecognized arguments: --([^\s=]+)|(?:Group '(\w+)' does not accept )?[Oo]ption '([\w.]+)'")
_POLICY = ("import_path_verdicts", "import_paths_enforced")
# Whether a parser is at work already: parsers of classes within it leave the rest to the outermost.
_inside: ContextVar[bool] = ContextVar("a guarded parser is at work", default=False)

#: What YAML files are read by: plain values, without the few lines that stand for millions.
MODE = "bounded_yaml"


@contextmanager
def importing_only(allowed: Sequence[str], denied: Sequence[str] = ()) -> Iterator[None]:
    """Let jsonargparse import nothing that a value names but some import paths.

    Args:
        allowed: Modules with all that is in them, or single classes.
        denied: Parts of these that it may not import.
    """
    # There is a public way to set the policy, and none to set it back.
    settings = jsonargparse._common.parsing_settings
    before = {name: settings[name] for name in _POLICY}
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*", *denied], import_path_allowlist=list(dict.fromkeys(allowed))
    )
    try:
        yield
    finally:
        settings.update(before)


class GuardedParser(ArgumentParser):
    """A parser whose values can name only what the registry has; they are checked before anything is made."""

    #: What values may name.
    kinds: Sequence[Kind] = KINDS
    #: Whether that is checked as soon as they are parsed, which imports what they name.
    checks_names: bool = True

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments of a command."""
        return self._guarded(super().parse_args, *args, **kwargs)

    def parse_object(self, *args: Any, **kwargs: Any) -> Any:
        """Parse plain values."""
        return self._guarded(super().parse_object, *args, **kwargs)

    def parse_string(self, *args: Any, **kwargs: Any) -> Any:
        """Parse a text."""
        return self._guarded(super().parse_string, *args, **kwargs)

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """Make what was parsed."""
        return self._guarded(super().instantiate, *args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report what is wrong; of a name that is not allowed, how to allow it."""
        denied = _DENIED.search(message)
        if denied and self.exit_on_error:
            raise refusal(denied[1], self.kinds) from ex
        unknown = ".".join(filter(None, (found.groups() if (found := _UNKNOWN.search(message)) else ())))
        known = [option.removeprefix("--") for option in self._option_string_actions]
        super().error(message + meant(unknown, known), ex)

    def _guarded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if _inside.get():
            return call(*args, **kwargs)
        token = _inside.set(True)
        try:
            with importing_only(*import_paths(self.kinds)):
                result = call(*args, **kwargs)
            if self.checks_names and call.__name__ != "instantiate":
                check_names(result, self.kinds)
            return result
        finally:
            _inside.reset(token)


class CommandParser(GuardedParser):
    """A parser whose help can be read, and that understands what earlier versions wrote."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"parser_mode": MODE} | kwargs)

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments of a command, with sections from several files and options put together."""
        given, *more = args or (None,)
        given = sys.argv[1:] if given is None else given
        sections = [action.dest for action in self._actions if _is_section(action)]
        try:
            rest, written = put_together(given, sections, _load)
        except ValueError as error:
            self.error(str(error), error)
        return super().parse_args([*rest, *written], *more, **kwargs)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help text without the hundreds of classes that happen to be imported."""
        return re.sub(r",\s+known\s+subclasses:[^()]*\)", ")", super().format_help(*args, **kwargs))

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """Options as an earlier version wrote them, with the defaults of those that it did not have yet.

        Args:
            values: Plain sections. If they have options that are no more, or name what they may not, they come back as
                they are.
        """
        exits, self.exit_on_error = self.exit_on_error, False
        try:
            parsed = self.parse_object(copy.deepcopy(values))  # which it changes where they lie
        except (ArgumentError, NameNotAllowedError):
            return values
        finally:
            self.exit_on_error = exits
        completed = load_yaml(self.dump(parsed, skip_unset=False))
        return {key: completed[key] for key in values}


def _is_section(action: Any) -> bool:
    kind = getattr(action, "_typehint", None)
    kinds = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)  # as written, or as a class has it
    return any(dict in (each, get_origin(each)) for each in kinds)


def make(add: Callable[[ArgumentParser], Any], values: Any, kinds: Sequence[Kind] = KINDS) -> Any:
    """Make what plain values of a file describe, after a check of everything that they name.

    Args:
        add: Adds the argument ``made`` to a parser, which says what is to be made.
        values: Plain values; they stay as they are.
        kinds: What they may name, beside what the user allows.

    Raises:
        NameNotAllowedError: If they name anything else. Nothing was made, and nothing else imported.
        ValueError: If they do not describe it.
    """
    check_plain(values)
    check_names(values, kinds)
    parser = GuardedParser(exit_on_error=False)
    parser.kinds = kinds
    add(parser)
    try:
        # Parsing changes what it is given where it lies.
        return parser.instantiate(parser.parse_object({"made": copy.deepcopy(values)})).made
    except ArgumentError as error:
        denied = _DENIED.search(str(error))
        if denied:
            raise refusal(denied[1], kinds) from error
        raise ValueError(str(error)) from error


def make_module(values: Any) -> "nn.Module":
    """The model that plain values of a file describe; see :func:`make`.

    Args:
        values: ``class_path`` and ``init_args``.
    """
    from torch import nn

    return make(lambda parser: parser.add_argument("--made", type=nn.Module), values)


def make_transform(values: Any) -> "BaseTransform | None":
    """The transform that plain values of a file describe, None for none; see :func:`make`.

    Args:
        values: ``class_path`` and ``init_args``, or None.
    """
    from torch_geometric.transforms import BaseTransform

    return make(lambda parser: parser.add_argument("--made", type=BaseTransform | None), values)


def _load(text: str) -> Any:
    """What jsonargparse makes of YAML, which has numbers such as 1e-3 that other readers take for words."""
    check_yaml(text)
    return jsonargparse.get_loader("yaml")(text)


jsonargparse.set_loader(MODE, _load, exceptions=(yaml.YAMLError, ValueError))
