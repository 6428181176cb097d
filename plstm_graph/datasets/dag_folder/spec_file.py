"""Reading ``dag.yaml``: what it says, or all that is wrong with it, by the line."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import yaml

from plstm_graph.datasets.dag_folder.problems import DAGFolderError, Problem
from plstm_graph.datasets.dag_folder.spec import NAME, Kind, Level, Spec, SplitSpec, TableSpec, Task, file_of
from plstm_graph.datasets.storage.plain_values import YamlError, check_yaml, load_yaml

_TABLE_KEYS = {
    "edges": ("file", "graph", "source", "target", "features"),
    "nodes": ("file", "graph", "id", "features"),
    "graphs": ("file", "graph", "features"),
}
_KEYS = [each.name for each in fields(Spec) if each.name != "missing_of"]
#: In ``missing``, the columns that are not named.
OTHERS = "*"

Place = tuple[str, ...]


def read_spec(folder: Path) -> Spec:
    """Read ``dag.yaml``.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is no folder, or no ``dag.yaml`` in it.
        DAGFolderError: If it is no YAML, keys are unknown, or values are of the wrong kind; it lists all of them.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}, where DAGs are looked for")
    path = file_of(folder, NAME, NAME)
    if path is None:
        raise FileNotFoundError(
            f"{folder} has no {NAME}; the shortest one is a line `targets: [COLUMN]` (docs/custom_dags.md)"
        )
    try:
        text = path.read_text(encoding="utf-8")
        content, node = load_yaml(text), check_yaml(text)
    except YamlError as error:
        raise DAGFolderError([Problem(NAME, error.line, None, f"no YAML: {error}")]) from error
    except UnicodeDecodeError as error:
        raise DAGFolderError([Problem(NAME, None, None, f"not UTF-8 text: {error.reason}")]) from error
    return spec_of({} if content is None else content, dict(_lines(node, ())))


def spec_of(content: Any, lines: Mapping[Place, int] | None = None) -> Spec:
    """The specification of plain values, as ``dag.yaml`` has them.

    Args:
        content: The values.
        lines: Line of each key, by the keys that lead to it.

    Raises:
        DAGFolderError: If keys are unknown, or values are of the wrong kind; it lists all of them.
    """
    reader = _Reader(lines or {})
    spec = reader.spec(content)
    if reader.problems:
        raise DAGFolderError(reader.problems)
    return spec


def _lines(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode) and len(place) < 3:
        for key, value in node.value:
            inner = (*place, str(getattr(key, "value", "")))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)


class _Reader:
    """Takes values over one by one; one that is wrong is noted, and the default stays in its place."""

    def __init__(self, lines: Mapping[Place, int]) -> None:
        self.problems: list[Problem] = []
        self._lines = lines

    def spec(self, content: Any) -> Spec:
        spec = Spec()
        found = self._mapping(content, (), _KEYS)
        for name, keys in _TABLE_KEYS.items():
            if name in found:
                setattr(spec, name, self._table(name, found[name], keys))
        for name, allowed in (("task", get_args(Task)), ("level", get_args(Level))):
            message = f"{name} must be one of {', '.join(allowed)}, got {found.get(name)!r}"
            if name in found and self._holds(found[name] in allowed, (name,), message):
                setattr(spec, name, found[name])
        if "split" in found:
            spec.split = self._split(found["split"])
        if "targets" in found:
            value = [found["targets"]] if isinstance(found["targets"], str) else found["targets"]
            spec.targets = self._names(value, ("targets",), spec.targets)
        if "missing" in found:
            self._missing(found["missing"], spec)
        message = f"json must be the name of a file, got {found.get('json')!r}"
        if "json" in found and self._holds(isinstance(found["json"], str), ("json",), message):
            spec.json = found["json"]
        self._holds(
            spec.task != "classification" or len(spec.targets) <= 1,
            ("task",),
            f"classification has one target, got {', '.join(spec.targets)}; for columns of 0 and 1 say task: "
            "multilabel",
        )
        return spec

    def _table(self, name: str, value: Any, keys: Sequence[str]) -> TableSpec:
        table = TableSpec()
        for key, given in self._mapping(value, (name,), keys).items():
            if key == "features":
                table.features = self._features(given, name)
            elif self._holds(isinstance(given, str), (name, key), f"{name}.{key} must be a name, got {given!r}"):
                setattr(table, key, given)
        return table

    def _split(self, value: Any) -> SplitSpec:
        if isinstance(value, str):
            return SplitSpec() if value == "random" else SplitSpec(column=value)
        good: dict[str, Any] = {}
        for key, given in self._mapping(value, ("split",), [each.name for each in fields(SplitSpec)]).items():
            expected, is_right = _SPLIT[key]
            if self._holds(is_right(given), ("split", key), f"split.{key} must be {expected}, got {given!r}"):
                good[key] = tuple(given) if key == "fractions" else given
        try:
            return SplitSpec(**good)
        except ValueError as error:  # a fold that there is not
            message = error.problems[0].message if isinstance(error, DAGFolderError) else f"split: {error}"
            self._note(("split", "fold"), message)
            return SplitSpec()

    def _missing(self, value: Any, spec: Spec) -> None:
        """One list for all columns, or lists by column."""
        if not isinstance(value, Mapping):
            spec.missing = self._words(value, ("missing",), spec.missing)
            return
        for column, words in value.items():
            found = self._words(words if isinstance(words, list) else [words], ("missing", str(column)), [])
            if column == OTHERS:
                spec.missing = found
            else:
                spec.missing_of[str(column)] = found

    def _features(self, value: Any, table: str) -> dict[str, Kind | None] | None:
        place = (table, "features")
        if isinstance(value, list):
            return dict.fromkeys(self._names(value, place, []))
        message = f"{table}.features must be a list of columns, or columns with their kinds, got {value!r}"
        if not self._holds(isinstance(value, Mapping), place, message):
            return None
        for name, kind in value.items():
            message = f"{table}.features.{name} must be number, raw or category, got {kind!r}"
            message += "; nothing leaves it to the values"
            self._holds(kind is None or kind in get_args(Kind), (*place, str(name)), message)
        return {str(name): kind for name, kind in value.items()}

    def _mapping(self, value: Any, place: Place, allowed: Sequence[str]) -> dict[str, Any]:
        where = ".".join(place) or "the file"
        if not self._holds(isinstance(value, Mapping), place, f"{where} must be keys with values, got {value!r}"):
            return {}
        for key in value:
            if key not in allowed:
                close = difflib.get_close_matches(str(key), allowed, n=1)
                hint = f", did you mean {close[0]!r}?" if close else f"; it may have {', '.join(allowed)}"
                self._note((*place, str(key)), f"{where} has an unknown key {key!r}{hint}")
        return {key: each for key, each in value.items() if key in allowed}

    def _names(self, value: Any, place: Place, default: list[str]) -> list[str]:
        where = ".".join(place)
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if not self._holds(is_list, place, f"{where} must be a list of names, got {value!r}"):
            return default
        repeated = [each for each in value if value.count(each) > 1]
        self._holds(not repeated, place, f"{where} has {repeated[0] if repeated else None!r} more than once")
        return value

    def _words(self, value: Any, place: Place, default: list[str]) -> list[str]:
        """Words that stand for no value: as text, or numbers."""
        numbers = value if isinstance(value, list) else []
        if any(isinstance(each, bool) or each is None for each in numbers):
            self._note(place, f"{'.'.join(place)} has words that YAML takes for {value!r}; put them in quotes")
            return default
        is_word = [isinstance(each, int | float) for each in numbers]
        given = [str(each) if yes else each for each, yes in zip(numbers, is_word, strict=True)]
        return self._names(given if isinstance(value, list) else value, place, default)

    def _holds(self, holds: bool, place: Place, message: str) -> bool:
        if not holds:
            self._note(place, message)
        return holds

    def _note(self, place: Place, message: str) -> None:
        self.problems.append(Problem(NAME, self._lines.get(place), None, message))


def _is_name(value: Any) -> bool:
    return isinstance(value, str | None)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_fractions(value: Any) -> bool:
    numbers = isinstance(value, list | tuple) and all(isinstance(each, int | float) for each in value)
    return numbers and len(value) == 3 and min(value) > 0 and abs(sum(value) - 1) < 1e-6


_SPLIT: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "column": ("the name of a column", _is_name),
    "group": ("the name of a column", _is_name),
    "stratified": ("true or false", lambda value: isinstance(value, bool)),
    "fractions": ("three positive numbers of sum 1", _are_fractions),
    "num_folds": ("a whole number", _is_whole),
    "fold": ("a whole number", _is_whole),
    "seed": ("a whole number", _is_whole),
}
