"""What a file may name: models and transforms of this package, torch and torch_geometric, and what the user allows.

A checkpoint or a configuration names classes, which are imported and called. Whoever wrote the file chose the names, so
only those of this registry are used, however deep in the file they stand. Nothing else is imported to find out what it
is.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from jsonargparse import Namespace

from plstm_graph.config.written import meant_class, no_full_name

#: How the commands call what the user allows.
OPTION = "--allow"
HELP = (
    f"{OPTION} NAME, once or more, lets configurations and checkpoints name a module or class of your own, such as "
    "my_models or my_models.Net; it may lie in the working folder."
)


@dataclass(frozen=True)
class Kind:
    """Classes that may be named: those of some packages that are of a base class.

    Attributes:
        base (str): Full name of the base class, whose package is slow to import.
        packages (tuple[str, ...]): Packages they are defined in.
        but (tuple[str, ...]): Modules in these packages that run code or load files by what they are called with.
    """

    base: str
    packages: tuple[str, ...]
    but: tuple[str, ...] = ()

    def has(self, value: Any) -> bool:
        """Whether a value is one of the classes."""
        if not self.is_base_of(value):
            return False
        return _under(value.__module__, self.packages) and not _under(value.__module__, self.but)

    def is_base_of(self, value: Any) -> bool:
        """Whether a value is a class of this base, wherever it lies."""
        return isinstance(value, type) and issubclass(value, _import(self.base))


KINDS = (
    # PyG's Sequential evaluates the types in its signature, a string.
    Kind(
        "torch.nn.Module",
        ("plstm_graph.nn", "torch.nn", "torch_geometric.nn"),
        ("torch_geometric.nn.sequential", "torch_geometric.nn.model_hub", "torch_geometric.nn.nlp"),
    ),
    Kind(
        "torch_geometric.transforms.BaseTransform",
        ("plstm_graph.transforms", "plstm_graph.datasets.ogb_code2", "torch_geometric.transforms"),
    ),
)
#: What the section `trainer` of a configuration may name besides.
TRAINER_KINDS = (
    Kind("lightning.pytorch.callbacks.Callback", ("lightning.pytorch.callbacks",)),
    Kind("lightning.pytorch.loggers.Logger", ("lightning.pytorch.loggers",)),
    Kind("lightning.pytorch.profilers.Profiler", ("lightning.pytorch.profilers",)),
    Kind("lightning.pytorch.strategies.Strategy", ("lightning.pytorch.strategies",)),
)

#: Where the packages show them, beside where they are defined.
_SHOWN = (
    "plstm_graph.PLSTM",
    "plstm_graph.PLSTMConv",
    "plstm_graph.datasets.ASTEdges",
    "plstm_graph.datasets.ASTNodes",
)
# Dataclasses of options. A parser imports them by name, though a file has no need to name them.
_OPTIONS = ("plstm_graph.train.training.Training",)
# Functions of numbers; those of other packages may do anything.
_FUNCTIONS = ("torch.nn.functional",)

_allowed: ContextVar[tuple[str, ...]] = ContextVar("names that the user allows", default=())


class NameNotAllowedError(ValueError):
    """A file names what it may not."""


@contextmanager
def allow_names(names: Iterable[str]) -> Iterator[None]:
    """Let files name modules or classes of one's own, within a block.

    Args:
        names: Such as ``["my_models"]`` for everything in a module, or ``["my_models.Net"]``.

    Raises:
        ValueError: If a name is none that can be allowed.
    """
    token = _allowed.set((*_allowed.get(), *map(_checked, names)))
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed_names() -> tuple[str, ...]:
    """What the user allows here."""
    return _allowed.get()


def set_allowed_names(names: Iterable[str]) -> None:
    """As :func:`allow_names`, to the end of a process that another one started.

    Args:
        names: What is allowed there.
    """
    _allowed.set(tuple(names))


def take_allowed(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take what the user allows out of the arguments of a command. It stands there only: a file cannot allow anything.

    Args:
        arguments: Of the command.

    Returns:
        The other arguments, and the names.

    Raises:
        ValueError: If a name is missing.
    """
    rest, names = [], []
    given = iter(arguments)
    for argument in given:
        option, equals, name = argument.partition("=")
        if argument == "--":
            rest += [argument, *given]
        elif option == OPTION:
            name = name if equals else next(given, "")
            if not name or name.startswith("-"):
                raise ValueError(f"{OPTION} takes the name of a module or class, such as {OPTION} my_models")
            names.append(_checked(name))
        else:
            rest.append(argument)
    return rest, names


def resolve(name: Any, kinds: Sequence[Kind] = KINDS) -> Any:
    """What a file names, if it may.

    Args:
        name: Such as ``"plstm_graph.nn.PLSTM"``.
        kinds: What may be named, beside what the user allows.

    Returns:
        A class; of what the user allows, also a function.

    Raises:
        NameNotAllowedError: If it may not. It was not imported, unless it lies in a package of :data:`KINDS`.
        ValueError: If there is nothing of that name.
    """
    if not isinstance(name, str) or "." not in name or not all(part.isidentifier() for part in name.split(".")):
        raise NameNotAllowedError(no_full_name(name))
    allowed = _allowed.get()
    if _under(name, allowed):
        found = _import(name)
        if not callable(found):
            raise ValueError(f"{name} is no class or function")
        # A module has what it imports: my_models.os.system is none of my_models.
        own = name in allowed or _under(_home(found), allowed)
        if not own and not any(kind.has(found) for kind in kinds):
            raise refusal(name, kinds)
        return found
    # Importing these packages does nothing, so that is how to see what the name is of.
    if name not in _SHOWN and not _under(name, _packages(kinds)):
        raise refusal(name, kinds)
    found = _import(name)
    if not any(kind.has(found) for kind in kinds):
        raise refusal(name, kinds, found)
    return found


def import_paths(kinds: Sequence[Kind] = KINDS) -> tuple[list[str], list[str]]:
    """Import paths of what may be named, and within them of what may not, as a parser takes them.

    Args:
        kinds: What may be named, beside what the user allows.
    """
    paths = [*_packages(kinds), *_SHOWN, *_OPTIONS, *_allowed.get()]
    for name in _allowed.get():
        if "." in name:
            # A class may be defined elsewhere than where the user finds it.
            with suppress(ValueError):
                paths += _paths_of(_import(name))
    return paths, [module for kind in kinds for module in kind.but]


def _paths_of(found: Any) -> list[str]:
    name = getattr(found, "__qualname__", type(found).__qualname__)
    parts = _home(found).split(".")
    return [".".join([*parts[:count], name]) for count in range(1, len(parts) + 1)]


def check_names(value: Any, kinds: Sequence[Kind] = KINDS) -> list[type]:
    """Check everything that nested values name by ``class_path``, before any of it is made.

    Args:
        value: Plain values, as a file has them, or as a parser gives them.
        kinds: What may be named, beside what the user allows.

    Returns:
        What is named.

    Raises:
        NameNotAllowedError: If they name something that they may not.
        ValueError: If they are not plain, or name what does not exist.
    """
    found, stack = [], [value]
    while stack:
        each = stack.pop()
        each = vars(each) if isinstance(each, Namespace) else each
        if isinstance(each, Mapping):
            if "class_path" in each:
                found.append(resolve(each["class_path"], kinds))
            stack.extend(each.values())
        elif isinstance(each, list | tuple):
            stack.extend(each)
        elif isinstance(each, FunctionType) and _under(_home(each), _packages(kinds)):
            # A parser has made it of a word. Those of other packages it cannot make: they are defaults of classes.
            if not _under(_home(each), (*_FUNCTIONS, *_allowed.get())):
                raise refusal(f"{each.__module__}.{each.__qualname__}", kinds)
    return found


def refusal(name: str, kinds: Sequence[Kind] = KINDS, found: Any = None) -> NameNotAllowedError:
    """The error about a name that is not allowed.

    Args:
        name: The name.
        kinds: What may be named.
        found: What it is, if that is known.
    """
    packages = _packages(kinds)
    text = f"{name} may not be named by a file, so it was not used. A file may name classes of {', '.join(packages)}"
    top, made = name.partition(".")[0], found is not None and any(kind.is_base_of(found) for kind in KINDS)
    if not made and (top in sys.stdlib_module_names or top in {package.partition(".")[0] for package in packages}):
        return NameNotAllowedError(text + (meant_class(name) if top == "plstm_graph" else ""))
    own = name if made else top
    return NameNotAllowedError(f"{text}. If this is code of yours, or you trust it, allow it: {OPTION} {own}")


def _checked(name: str) -> str:
    top = name.partition(".")[0]
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{OPTION} takes the name of a module or class, such as my_models.Net, got {name!r}")
    if top in sys.stdlib_module_names or top == "jsonargparse":
        raise ValueError(f"{OPTION} {name}: {top} has no models or transforms, and a file could run anything by it")
    return name


def _import(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    outer, _, nested = module.rpartition(".")
    try:
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name != module or not outer:
                raise
            return getattr(getattr(importlib.import_module(outer), nested), attribute)
    # Whatever goes wrong in a module of the user's.
    except Exception as error:
        raise ValueError(f"there is no {name}{meant_class(name)}: {type(error).__name__}: {error}") from error


def _home(found: Any) -> str:
    """Where a class or function is defined; of other objects, their class."""
    home = getattr(found, "__module__", None)
    return home if isinstance(home, str) and isinstance(found, type | FunctionType) else type(found).__module__


def _packages(kinds: Sequence[Kind]) -> list[str]:
    return list(dict.fromkeys(package for kind in kinds for package in kind.packages))


def _under(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
