"""Classes, arguments and options as their source has them: misspelt ones are found without the seconds of imports."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from plstm_graph.text import meant

# Packages whose sources are looked into.
_READ = ("plstm_graph", "torch_geometric")
# Those that show the classes which configurations name.
_SHOWING = ("plstm_graph.nn", "plstm_graph.nn.baselines", "plstm_graph.nn.vision", "plstm_graph.transforms")


def meant_class(name: object) -> str:
    """Which class a misspelt name may have meant, for the end of a message, as :func:`~plstm_graph.text.meant` says it.

    Args:
        name: Such as ``"plstm_graph.nn.PLSTMM"`` or ``"plstm"``.
    """
    return meant(str(name).rpartition(".")[2], _shown_classes(), _shown_classes())


def no_full_name(name: object) -> str:
    """What to say of a name that cannot be that of a class, for want of its module."""
    return f"{name!r:.100} is no full name of a class, such as plstm_graph.nn.PLSTM{meant_class(name)}"


@lru_cache
def _shown_classes() -> dict[str, str]:
    """Full names of the classes that this package shows, by their own names."""
    found: dict[str, str] = {}
    for package in _SHOWING:
        imports = [node for node in ast.walk(_tree(package)[0]) if isinstance(node, ast.ImportFrom)]
        found |= {alias.name: f"{package}.{alias.name}" for node in imports for alias in node.names}
    return {own: path for own, path in found.items() if own[0].isupper()}


def check_arguments(value: Any) -> None:
    """Refuse misspelt classes of this package that nested plain values name by ``class_path``, and their arguments.

    Whatever else is wrong with them, the classes themselves say when they are made.

    Raises:
        ValueError: If there is no such class or argument, and it looks like one that there is; it names both.
    """
    if isinstance(value, list | tuple):
        for each in value:
            check_arguments(each)
    if not isinstance(value, Mapping):
        return
    name, given = value.get("class_path"), value.get("init_args")
    if isinstance(name, str) and "." not in name and meant_class(name):
        raise ValueError(no_full_name(name))
    if isinstance(name, str) and name.startswith(f"{_READ[0]}."):
        known = written_arguments(name)
        if known is None and name.rpartition(".")[2] not in _shown_classes() and (near := meant_class(name)):
            raise ValueError(f"there is no {name}{near}")
        for key, each in given.items() if isinstance(given, Mapping) else ():
            near = "" if known is None or key in known else meant(key, known)
            if near:
                wrong = {key: each}
                raise ValueError(f"{name} cannot be made with {wrong}: it has no argument {key!r}{near}")
    for each in value.values():
        check_arguments(each)


def written_arguments(name: str) -> set[str] | None:
    """Names of the arguments of a class, with those that it passes on to others by ``**kwargs``.

    Args:
        name: Such as ``"plstm_graph.nn.PLSTM"``.

    Returns:
        None if the source does not tell.
    """
    module, _, own = name.rpartition(".")
    try:
        return _of_method(_lines_of(_Class.found(module, own)), "__init__")
    except (_UnknownError, OSError, SyntaxError):
        return None


def written_options(name: str) -> dict[str, tuple[Any, ...]]:
    """Options of a function, each with the words that it may be; without any, where that is not one of some words.

    Args:
        name: Such as ``"plstm_graph.tasks.molecules.molecules"``.
    """
    module, node = _found(*name.rsplit(".", 1))
    assert isinstance(node, ast.FunctionDef)
    return {each.arg: _words(module, each.annotation) for each in (*node.args.args, *node.args.kwonlyargs)}


def _words(module: str, kind: ast.AST | None) -> tuple[Any, ...]:
    """The values of a type that is ``Literal``; none of any other."""
    if isinstance(kind, ast.Name):
        with suppress(_UnknownError):
            module, node = _found(module, kind.id)
            return _words(module, getattr(node, "value", None))
    if isinstance(kind, ast.Subscript) and getattr(kind.value, "id", "") == "Literal":
        values = ast.literal_eval(kind.slice)
        return values if isinstance(values, tuple) else (values,)
    return ()


class _UnknownError(Exception):
    """The source does not tell."""


@cache
def _found(module: str, name: str) -> tuple[str, ast.AST]:
    """What a module calls so, where it is defined: in it, or in another one that it imports it from."""
    tree, package = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == name for target in node.targets):
            return module, node
        names = {alias.asname or alias.name: alias.name for alias in getattr(node, "names", [])}
        if isinstance(node, ast.ImportFrom) and (name in names or "*" in names):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            with suppress(_UnknownError):
                return _found(".".join(filter(None, [above, node.module])), names.get(name, name))
    raise _UnknownError


class _Class:
    """A class in its source, and in which module that is."""

    def __init__(self, module: str, node: ast.ClassDef) -> None:
        self.module = module
        self.methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
        self._bases = [base.id for base in node.bases if isinstance(base, ast.Name)]

    @classmethod
    def found(cls, module: str, name: str) -> "_Class":
        """The class that a module defines, or imports from another one."""
        home, node = _found(module, name)
        if not isinstance(node, ast.ClassDef):
            raise _UnknownError
        return cls(home, node)

    def bases(self) -> Iterator["_Class"]:
        """Those whose source is looked into."""
        for name in self._bases:
            try:
                yield _Class.found(self.module, name)
            except _UnknownError:
                continue


def _lines_of(kind: _Class) -> list[_Class]:
    """A class and all its bases, nearest first."""
    return [kind, *(each for base in kind.bases() for each in _lines_of(base))]


def _of_method(kinds: list[_Class], name: str) -> set[str]:
    """Names of the arguments of a method of a class with these bases."""
    at = next((number for number, kind in enumerate(kinds) if name in kind.methods), None)
    if at is None:
        raise _UnknownError
    method = kinds[at].methods[name]
    known = {each.arg for each in (*method.args.args[1:], *method.args.kwonlyargs)}
    if method.args.kwarg is None:
        return known
    for call in ast.walk(method):
        if isinstance(call, ast.Call) and _passes_on(call, method.args.kwarg.arg):
            if isinstance(call.func, ast.Name):
                known |= _of_method(_lines_of(_Class.found(kinds[at].module, call.func.id)), "__init__")
            elif isinstance(call.func, ast.Attribute):
                is_own = isinstance(call.func.value, ast.Name)  # self.name(**kwargs), else super().name(**kwargs)
                known |= _of_method(kinds if is_own else kinds[at + 1 :], call.func.attr)
            else:
                raise _UnknownError
    return known


def _passes_on(call: ast.Call, name: str) -> bool:
    named = (each.value for each in call.keywords if each.arg is None)
    return any(isinstance(value, ast.Name) and value.id == name for value in named)


@lru_cache
def _tree(module: str) -> tuple[ast.Module, str]:
    """A module as its source has it, and the package that its relative imports start from."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top) if top in _READ else None  # which imports nothing
    if spec is None or spec.origin is None:
        raise _UnknownError
    path = Path(spec.origin).parent.joinpath(*rest)
    if path.is_dir():
        return ast.parse((path / "__init__.py").read_text(encoding="utf-8")), module
    return ast.parse(path.with_suffix(".py").read_text(encoding="utf-8")), module.rpartition(".")[0]
