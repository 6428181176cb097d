"""Folds of cross-validation: at random, stratified by what is predicted, or with groups that stay together."""

import math
import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np

#: Strata of numbers: quantiles with as many rows each.
_QUANTILES = 10
#: Folds that make up the three parts of a split that is none of cross-validation.
_PIECES = 20

TRAIN, VALID, TEST = 0, 1, 2
#: Folds of the paper, see :func:`fold_split`.
NUM_FOLDS = 10


def fold_of_each(
    n: int,
    num_folds: int,
    seed: int = 0,
    targets: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
) -> np.ndarray:
    """The fold in which each of some rows is tested.

    Args:
        n: Number of rows.
        num_folds: Number of folds.
        seed: Of the order; groups alone depend on none.
        targets: What is predicted, ``[n]``: numbers, or words of classes. Every fold then has about the same share of
            each class, or of each tenth of the range.
        groups: Rows of the same word are never in two folds, ``[n]``.

    Returns:
        Numbers from 0 to ``num_folds - 1``, ``[n]``.

    Raises:
        ValueError: If there are fewer rows, or groups, than folds.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    if groups is not None:
        groups = np.asarray(groups)
        if (count := np.unique(groups).size) < num_folds:
            raise ValueError(f"{num_folds} folds need as many groups, and the number is {count}")
    elif n < num_folds:
        raise ValueError(f"{num_folds} folds need as many rows, and the number is {n}")
    if groups is None:
        kind = KFold if targets is None else StratifiedKFold
        splitter = kind(num_folds, shuffle=True, random_state=seed)
    elif targets is None:
        splitter = GroupKFold(num_folds)
    else:
        splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    strata = np.zeros(n, dtype=np.int64) if targets is None else _strata(targets, num_folds)
    if targets is not None and (most := int(np.bincount(strata).max())) < num_folds:
        raise ValueError(f"{num_folds} stratified folds need a class of as many rows, and the largest has {most}")
    found = np.empty(n, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # a rare class is missing in some folds
        for number, (_, rows) in enumerate(splitter.split(np.zeros(n), strata, groups)):
            found[rows] = number
    return found


class Drawn(Protocol):
    """A split by chance, as configurations and ``dag.yaml`` have it."""

    @property
    def fractions(self) -> Sequence[float]:
        """Of the three parts."""

    @property
    def num_folds(self) -> int:
        """In place of fractions; 0 for none."""

    @property
    def fold(self) -> int:
        """Which of them is tested."""

    @property
    def seed(self) -> int:
        """Of what is left to chance."""


def drawn_parts(
    split: Drawn, n: int, targets: np.ndarray | None = None, groups: Sequence[str] | np.ndarray | None = None
) -> np.ndarray:
    """The part of each row by folds, where there are any, or by fractions; arguments and errors as of these."""
    if split.num_folds:
        folds = fold_of_each(n, split.num_folds, split.seed, targets, groups)
        return parts_of_fold(folds, split.fold, split.num_folds)
    return parts_of_fractions(split.fractions, n, split.seed, targets, groups)


def parts_of_fold(folds: np.ndarray, fold: int, num_folds: int) -> np.ndarray:
    """The part of each row where one fold is tested: the next fold validates, and the others train.

    Args:
        folds: By :func:`fold_of_each`.
        fold: Which is tested.
        num_folds: Number of folds.

    Returns:
        :data:`TRAIN`, :data:`VALID` or :data:`TEST` for each row, ``[n]``.
    """
    part = np.full(len(folds), TRAIN)
    part[folds == (fold + 1) % num_folds] = VALID
    part[folds == fold] = TEST
    return part


def parts_of_fractions(
    fractions: Sequence[float],
    n: int,
    seed: int = 0,
    targets: np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
) -> np.ndarray:
    """The part of each row: at random, of these sizes; stratified or with groups that stay together, of about these.

    Args:
        fractions: Of the training, validation and test part.
        n: As of :func:`fold_of_each`, and so are the following.
        seed: Of the order.
        targets: What is predicted.
        groups: What stays together.

    Returns:
        :data:`TRAIN`, :data:`VALID` or :data:`TEST` for each row, ``[n]``.
    """
    if targets is None and groups is None:
        # 0.7 + 0.1 is a little less than 0.8 in floating point, and must not cost a row.
        ends = [math.floor(sum(fractions[:count]) * n + 1e-6) for count in (1, 2)]
        part = np.empty(n, dtype=np.int64)
        part[np.random.default_rng(seed).permutation(n)] = np.searchsorted(ends, np.arange(n), side="right")
        return part
    pieces = min(_PIECES, n if groups is None else np.unique(np.asarray(groups)).size)
    if pieces < 3:
        raise ValueError(
            f"three parts need as many {'rows' if groups is None else 'groups'}, and the number is {pieces}"
        )
    ends = np.rint(np.cumsum(fractions) * pieces)
    return np.searchsorted(ends[:2], fold_of_each(n, pieces, seed, targets, groups), side="right")


def fold_split(labels: np.ndarray, fold: int, seed: int) -> dict[str, np.ndarray]:
    """The paper's split: a stratified tenth to test; of the rest, a stratified ninth to validate.

    Args:
        labels: Class of each graph.
        fold: From 0 to 9.
        seed: Of both splits.

    Returns:
        Numbers of graphs in ``"train"``, ``"valid"`` and ``"test"``.
    """
    from sklearn.model_selection import StratifiedKFold, train_test_split

    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)
    rest, test = list(folds)[fold]
    train, valid = train_test_split(rest, train_size=8 / 9, random_state=seed, stratify=labels[rest])
    return {"train": train, "valid": valid, "test": test}


def check_fold(fold: int, num_folds: int) -> None:
    """Check that there is a fold.

    Raises:
        ValueError: If there are too few folds to train, validate and test, or there is none of this number.
    """
    if num_folds < 3:
        raise ValueError(f"num_folds must be at least 3, to train, validate and test, got {num_folds}")
    if not 0 <= fold < num_folds:
        raise ValueError(f"folds are numbered from 0 to {num_folds - 1}, got {fold}")


def _strata(targets: np.ndarray, num_folds: int) -> np.ndarray:
    """Numbers from 0, ``[n]``: classes as they are, many values by quantile, what is missing for itself.

    A quantile has a row or more for each fold.
    """
    if targets.dtype.kind != "f":
        return np.unique(targets.astype(str), return_inverse=True)[1]
    known = np.isfinite(targets)
    values, number = np.unique(targets[known], return_inverse=True)
    quantiles = max(min(_QUANTILES, int(known.sum()) // num_folds), 1)
    if values.size > quantiles:
        number = np.argsort(np.argsort(targets[known], kind="stable")) * quantiles // known.sum()
    strata = np.zeros(len(targets), dtype=np.int64)
    strata[known] = 1 + number
    return strata
