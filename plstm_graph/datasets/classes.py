"""Classes by their names: from the words of a target column to numbers, in an order that any machine finds again."""

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from plstm_graph.datasets.text_files import finite_number

#: Names of the two classes of a column of labels 0 and 1, or false and true.
PLAIN_LABELS = ["0", "1"]
_LABELS = {"0": 0, "1": 1, "false": 0, "true": 1}
# Words of two labels, the positive one last. Other words are in the order of the alphabet.
_PAIRS = [("no", "yes"), ("n", "y"), ("f", "t"), ("inactive", "active"), ("negative", "positive"), ("neg", "pos")]
_PAIRS += [("-", "+"), ("low", "high"), ("nontoxic", "toxic"), ("non-toxic", "toxic"), ("off", "on"), ("fail", "pass")]
_WHOLE = re.compile(r"([+-]?)(0|[1-9]\d*)(\.0*)?")
# So many rows are needed to say that a class for each of them is no class at all.
_FEW_ROWS = 10


class ClassError(ValueError):
    """Words that are no classes.

    Args:
        word: The first one that is wrong.
        reason: What is wrong with it, and the kind that fits.
    """

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(f"{word!r}, {reason}")
        self.word, self.reason = word, reason


def class_name(word: str) -> str:
    """The name of a class: without spaces around it; ``2.0``, as some tables write a whole number, is ``2``."""
    word = word.strip()
    match = _WHOLE.fullmatch(word)
    return word if match is None else ("-" if match[1] == "-" and match[2] != "0" else "") + match[2]


def find_classes(words: Iterable[str], rows: int, option: str = "kind") -> list[str]:
    """Names of the classes of a column, sorted as numbers if all of them are, else as text.

    Args:
        words: Its cells that have a value, in their order; equal ones may be left out.
        rows: Number of all of them.
        option: Where a user says that targets are classes.

    Raises:
        ClassError: If they are numbers other than whole ones, if there is only one class, or if nearly every row has
            a class of its own.
    """
    names = list(dict.fromkeys(map(class_name, words)))
    if all(finite_number(name) is not None for name in names):
        for name in names:
            if not _is_whole(name):
                raise ClassError(
                    name,
                    f"a number and not the name of a class; {option}: regression fits numbers (classes are whole "
                    "numbers or words, such as low and high)",
                )
    if rows >= _FEW_ROWS and len(names) > max(rows // 2, 2):
        fits = f"; {option}: regression fits numbers" if all(finite_number(name) is not None for name in names) else ""
        raise ClassError(names[0], f"one of {len(names)} classes in {rows} rows, which are too many{fits}")
    if len(names) == 1:
        raise ClassError(names[0], "in every row; at least two classes are needed")
    return _sort(names)


def find_labels(words: Iterable[str], rows: int, option: str = "kind", multiclass: str = "multiclass") -> list[str]:
    """Names of the two classes of a column of labels, the second of which is the positive one.

    :data:`PLAIN_LABELS` for 0 and 1 or false and true, one of which may be missing; else those that occur: such
    as no and yes or inactive and active in this order, and others sorted.

    Args:
        words: Its cells that have a value, in their order; equal ones may be left out.
        rows: Number of all of them.
        option: Where a user says that targets are labels.
        multiclass: What is said there of more than two classes.

    Raises:
        ClassError: If there are fewer or more than two, or numbers other than whole ones.
    """
    names = list(dict.fromkeys(map(class_name, words)))
    if all(name.lower() in _LABELS for name in names):
        return PLAIN_LABELS
    _check_capitals(names)
    if len(names) > 2:
        if all(finite_number(name) is not None for name in names) and not all(map(_is_whole, names)):
            word = next(name for name in names if not _is_whole(name))
            raise ClassError(
                word, f"a number, and the column has {len(names)} different ones; {option}: regression fits"
            )
        known = ", ".join(names[:2])
        shown = ", ".join(_sort(names)[:6]) + (", ..." if len(names) > 6 else "")
        raise ClassError(
            names[2],
            f"a third value beside {known}, where labels have two; {option}: {multiclass} fits {len(names)} classes "
            f"({shown})",
        )
    lower = {name.lower(): name for name in names}
    pair = next((pair for pair in _PAIRS if set(pair) == set(lower)), None)
    return find_classes(names, rows, option) if pair is None else [lower[word] for word in pair]


def _check_capitals(names: Sequence[str]) -> None:
    """Refuse labels of which two differ in capitals alone."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            raise ClassError(name, f"which differs from {other!r} in capitals alone; write the label in one way")


def encode_classes(words: Iterable[str | float | None], names: Sequence[str]) -> np.ndarray:
    """Numbers of classes, ``[n]`` float64.

    Args:
        words: Cells; None, NaN and "" are missing.
        names: Of the classes.

    Returns:
        The place of each in ``names``; NaN for a missing one, -1 for one that has none.
    """
    codes = {name: float(number) for number, name in enumerate(names)}
    if list(names) == PLAIN_LABELS:
        codes |= {name: float(code) for name, code in _LABELS.items()}

    def encode(word: str | float | None) -> float:
        if not isinstance(word, str) or not word.strip():
            return math.nan
        name = class_name(word)
        return codes.get(name, codes.get(name.lower(), -1.0) if list(names) == PLAIN_LABELS else -1.0)

    return np.array([encode(word) for word in words], dtype=np.float64)


def note_of_labels(target: str, names: Sequence[str]) -> str | None:
    """What is to be said of the two classes of a column of labels; None if they are 0 and 1."""
    if list(names) == PLAIN_LABELS:
        return None
    return f"target {target!r}: {names[0]!r} is label 0, {names[1]!r} is label 1, of which average precision is"


def _sort(names: Sequence[str]) -> list[str]:
    if all(finite_number(name) is not None for name in names):
        return sorted(names, key=float)
    return sorted(names)


def _is_whole(name: str) -> bool:
    return name.lstrip("+-").isdecimal()
