"""Simple models that are fitted one by one, each within a time: what is cut for it is said."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from plstm_graph.tasks.baselines import candidates, predict_column
from plstm_graph.tasks.metrics import Kind

#: Rows that are fitted at most.
MOST_ROWS = 30_000
_SPARSE_ROWS = 5000  # from which products with sparse matrices are worth their smaller accuracy
_SPARSE = 0.1  # part of cells that are not 0, up to which a matrix is taken for sparse
_STEP = 2.0  # seconds of growing trees between two looks at the clock


class Clock:
    """What is left of a time.

    Args:
        seconds: The time. (default: without end)
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._end = time.perf_counter() + seconds
        self.is_endless = math.isinf(seconds)

    @property
    def left(self) -> float:
        """Seconds that are left, 0 at least."""
        return max(0.0, self._end - time.perf_counter())

    def share(self, parts: int) -> "Clock":
        """A clock for one of so many equal parts of what is left."""
        return Clock(self.left / parts)


class Samples(NamedTuple):
    """What baselines are fitted on.

    Attributes:
        features (dict[str, np.ndarray]): Of each row of ``"train"``, ``"valid"`` and ``"test"``, ``[n, F]``.
        targets (dict[str, Tensor]): Their targets, ``[n, T]``; NaN where none was measured.
        note (str): What was cut of them.
    """

    features: Mapping[str, np.ndarray]
    targets: Mapping[str, Tensor]
    note: str = ""


class Baseline(NamedTuple):
    """A baseline that was fitted.

    Attributes:
        predicted (Tensor): For the test part, ``[n, T]`` (one column per class for ``"multiclass"``).
        note (str): What was cut for the time.
    """

    predicted: Tensor
    note: str = ""


Fit = Callable[[Clock], Baseline]


def baseline_fits(samples: Callable[[], Samples], kind: Kind, seed: int = 0, name: str = "features") -> dict[str, Fit]:
    """Baselines by their names, each of which is fitted on the training part when it is called.

    Ridge's penalty (logistic regression's, for classification) and the forest's number of features per split are
    chosen on the validation part, for each target alone. Within a time, penalties are tried, and trees are grown, until
    it is over; the first of each is there in any case.

    Args:
        samples: Gives features and targets; asked once they are needed.
        kind: ``"regression"``, ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        seed: Seed of the forest.
        name: What the features are called.
    """
    return {
        model: partial(_fit, samples, estimators, kind) for model, estimators in candidates(kind, seed, name).items()
    }


def baseline_predictions(
    features: Mapping[str, np.ndarray], targets: Mapping[str, Tensor], kind: Kind, seed: int = 0, name: str = "features"
) -> dict[str, Tensor]:
    """Predictions of all baselines without a limit of time; arguments as of :func:`baseline_fits`."""
    fits = baseline_fits(lambda: Samples(features, targets), kind, seed, name)
    return {model: fit(Clock()).predicted for model, fit in fits.items()}


def _fit(samples: Callable[[], Samples], estimators: list[Any], kind: Kind, clock: Clock) -> Baseline:
    features, targets, note = samples()
    is_forest = hasattr(estimators[0], "warm_start") and hasattr(estimators[0], "n_estimators")
    if not is_forest and len(estimators) > 1:
        features = _as_sparse(features, estimators)
    columns: list[Tensor] = []
    counts: list[int] = []  # of trees, or of penalties
    for number in range(targets["train"].size(1)):
        of_column = {part: y[:, number] for part, y in targets.items()}
        share = clock.share(targets["train"].size(1) - number)
        grow = _grown if is_forest else _tried
        column, made = grow(estimators, features, of_column, kind, share)
        columns.append(column)
        counts += made
    predicted = columns[0] if kind == "multiclass" else torch.stack(columns, dim=1)
    notes = [note] if note and len(estimators) > 1 else []
    total, what = (estimators[0].n_estimators, "trees") if is_forest else (len(estimators), "penalties")
    if counts and min(counts) < total:
        several = "" if min(counts) == max(counts) else f"{min(counts)} to "
        notes.append(f"{several}{max(counts)} of {total} {what}: time limit")
    return Baseline(predicted, ", ".join(notes))


def _tried(
    estimators: list[Any], features: Mapping[str, np.ndarray], targets: Mapping[str, Tensor], kind: Kind, clock: Clock
) -> tuple[Tensor, list[int]]:
    """Predictions of the test part for a target, of the best of as many estimators as there is time for; how many."""
    from sklearn.base import clone

    tried: list[Any] = []

    def in_time() -> Any:
        for estimator in estimators:
            if tried and clock.left <= 0:
                return
            tried.append(estimator)
            yield clone(estimator)

    found = predict_column(in_time(), features, targets, kind, len(estimators) > 1)
    return found, [len(tried)] if tried else []  # none are tried where all training labels are one


def _grown(
    estimators: list[Any], features: Mapping[str, np.ndarray], targets: Mapping[str, Tensor], kind: Kind, clock: Clock
) -> tuple[Tensor, list[int]]:
    """As :func:`_tried`, of forests, each grown within its part of the time; how many trees each has."""
    trees: list[int] = []

    def forests() -> Any:
        for number, estimator in enumerate(estimators):
            if trees and clock.left <= 0:
                return  # those that were grown decide
            forest = _TimedForest(estimator, clock.share(len(estimators) - number))
            yield forest
            trees.append(forest.trees)

    found = predict_column(forests(), features, targets, kind, len(estimators) > 1)
    return found, trees


class _TimedForest:
    """A forest that grows tree by tree until its time is over: with time enough, the same as without."""

    def __init__(self, estimator: Any, clock: Clock) -> None:
        self.estimator, self.clock, self.trees = estimator, clock, 0

    def fit(self, features: np.ndarray, values: np.ndarray) -> Any:
        """Grow it."""
        from sklearn.base import clone

        total, forest = self.estimator.n_estimators, clone(self.estimator).set_params(warm_start=True)
        step = total if self.clock.is_endless else 1
        while self.trees < total and (self.trees == 0 or self.clock.left > 0):
            self.trees = min(total, self.trees + step)
            started = time.perf_counter()
            forest.set_params(n_estimators=self.trees).fit(features, values)
            of_tree = (time.perf_counter() - started) / step
            step = max(1, int(min(_STEP, self.clock.left) / max(of_tree, 1e-6)))
        return forest


def _as_sparse(features: Mapping[str, np.ndarray], estimators: list[Any]) -> Mapping[str, Any]:
    """Features as sparse matrices where there are many rows of few entries, which estimators then are told."""
    train = features["train"]
    if len(train) <= _SPARSE_ROWS or np.count_nonzero(train) > _SPARSE * train.size:
        return features
    from scipy.sparse import csr_matrix

    for estimator in estimators:
        if "alpha" in estimator.get_params():  # ridge
            estimator.set_params(solver="sparse_cg", tol=1e-6)
    return {part: csr_matrix(each.astype(np.float64)) for part, each in features.items()}


def drawn_rows(count: int, most: int, seed: int) -> tuple[Tensor, str]:
    """Numbers of rows of a training part that baselines are fitted on, sorted, and what to say of it.

    Args:
        count: Rows that there are.
        most: Rows that are drawn at most.
        seed: Of the draw.
    """
    if count <= most:
        return torch.arange(count), ""
    rows = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].sort().values
    return rows, f"{most:,} of {count:,} training rows"
