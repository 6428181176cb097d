"""Targets of a folder as tables: what there is of them in each part."""

from collections.abc import Iterator, Mapping
from typing import Any

from plstm_graph.datasets.digits import rows_of_columns

_SINGLY = 8  # targets that have a table each
_CLASSES = 40  # classes that have a row each

Table = tuple[list[str], list[list[str]]]


def target_tables(targets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Table]:
    """Header and rows of the tables: one for each target, or for each part where there are many targets.

    Of more than 40 classes the most frequent ones have a row each, and the others one together.

    Args:
        targets: For each target its parts, each with its numbers by name, ``known`` among them; those of classes are
            counts.
    """
    kinds = {_names(parts) for parts in targets.values()}
    if len(targets) > _SINGLY and len(kinds) == 1 and len(names := next(iter(kinds))) <= _SINGLY:
        for part in next(iter(targets.values())):
            values = [_values(parts[part], names) for parts in targets.values()]
            yield [f"target, {part}", *names], _labelled(targets, values)
        return
    for target, parts in targets.items():
        parts = _with_others(parts)
        names = _names(parts)
        columns = zip(*_texts([_values(part, names) for part in parts.values()]), strict=True)
        yield [target, *parts], [[name, *column] for name, column in zip(names, columns, strict=True)]


def _names(parts: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts.values() for name in part))


def _values(part: Mapping[str, Any], names: tuple[str, ...]) -> list[float | None]:
    return [part.get(name) for name in names]


def _texts(values: list[list[float | None]]) -> list[list[str]]:
    """Texts of numbers, empty where there is none."""
    texts = rows_of_columns(values, 6)
    return [
        ["" if value is None else text for value, text in zip(*row, strict=True)]
        for row in zip(values, texts, strict=True)
    ]


def _labelled(labels: Mapping[str, Any], values: list[list[float | None]]) -> list[list[str]]:
    return [[label, *row] for label, row in zip(labels, _texts(values), strict=True)]


def _with_others(parts: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """The classes with the largest counts, in their order, and the sums of the others."""
    names = [name for name in _names(parts) if name != "known"]
    if len(names) <= _CLASSES:
        return parts
    total = {name: sum(part.get(name, 0) for part in parts.values()) for name in names}
    kept = set(sorted(names, key=lambda name: -total[name])[: _CLASSES - 1])
    others = f"{len(names) - len(kept):,} other classes"
    return {
        part: {"known": values["known"]}
        | {name: values.get(name, 0) for name in names if name in kept}
        | {others: sum(values.get(name, 0) for name in names if name not in kept)}
        for part, values in parts.items()
    }
