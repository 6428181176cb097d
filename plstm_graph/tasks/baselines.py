"""What a model has to beat: the training mean, and ridge regression and random forests on fixed features."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plstm_graph.tasks.metrics import LABELS, MONITOR, Kind, evaluate
from plstm_graph.tasks.scale import TargetScale

_ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0)
_FEATURES_PER_SPLIT = ("sqrt", 0.1, 0.3)
_TREES = 300


@dataclass
class Forest:
    """A random forest for each target: on fingerprints, the strongest simple model of a molecule.

    Args:
        trees: Number of trees.
        min_samples_leaf: Fewest training samples in a leaf.
        max_features: Features that are tried at each split: a part of them, or ``"sqrt"``.
        seed: Of the bootstrap samples and of the features tried at each split.
        jobs: Cores to grow trees on; -1 for all.
    """

    trees: int = _TREES
    min_samples_leaf: int = 2
    max_features: str | float = "sqrt"
    seed: int = 0
    jobs: int = -1

    def __post_init__(self) -> None:
        if self.trees < 1 or self.min_samples_leaf < 1:
            raise ValueError(
                f"trees and min_samples_leaf must be at least 1, got {self.trees}, {self.min_samples_leaf}"
            )

    def estimator(self, kind: Kind) -> Any:
        """A forest of scikit-learn, not yet fitted."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        forest = RandomForestRegressor if kind == "regression" else RandomForestClassifier
        return forest(
            self.trees,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            n_jobs=self.jobs,
            random_state=self.seed,
        )

    def fit_predict(
        self, features: np.ndarray, targets: Tensor, others: Mapping[str, np.ndarray], kind: Kind
    ) -> dict[str, Tensor]:
        """Fit on the rows where a target is known, and predict other samples.

        Args:
            features: Of training samples, ``[n, F]``.
            targets: NaN where unknown, ``[n, T]``.
            others: Features of samples to predict, by the name of their part, ``[m, F]`` each.
            kind: ``"regression"``, or ``"binary"`` or ``"multilabel"`` of labels 0 and 1.

        Returns:
            By part: values or probabilities, ``[m, T]`` float64.

        Raises:
            ValueError: If a target is unknown for every training sample; gives its column.
        """
        columns = []
        for number, column in enumerate(targets.double().unbind(dim=1)):
            if not column.isfinite().any():
                raise ValueError(f"target {number} is unknown for every training sample")
            parts = {"train": features, **others}
            columns.append(_predict_column([self.estimator(kind)], parts, {"train": column}, kind, list(others)))
        return {part: torch.stack([column[part] for column in columns], dim=1) for part in others}


def baseline_predictions(
    features: Mapping[str, np.ndarray], targets: dict[str, Tensor], kind: Kind, seed: int = 0, name: str = "features"
) -> dict[str, Tensor]:
    """Fit each baseline on the training split and predict the test split.

    Ridge's penalty (logistic regression's, for classification) and the forest's number of features per split are
    chosen on the validation split, for each target alone.

    Args:
        features: Of each row of ``"train"``, ``"valid"`` and ``"test"``, ``[n, F]``.
        targets: Their targets, ``[n, T]``; NaN where none was measured.
        kind: ``"regression"``, ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        seed: Seed of the forest.
        name: What the features are called.

    Returns:
        Predictions for the test split, ``[n, T]`` (one column per class for ``"multiclass"``), by name of the baseline.
    """
    predictions = {}
    for model, candidates in _candidates(kind, seed, name).items():
        columns = [
            _predict_column(candidates, features, {split: y[:, column] for split, y in targets.items()}, kind)["test"]
            for column in range(targets["train"].size(1))
        ]
        predictions[model] = columns[0] if kind == "multiclass" else torch.stack(columns, dim=1)
    return predictions


def _candidates(kind: Kind, seed: int, name: str) -> dict[str, list[Any]]:
    """Estimators, not yet fitted, by name of the baseline."""
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    forests = [
        Forest(_TREES, min_samples_leaf=1, max_features=part, seed=seed).estimator(kind) for part in _FEATURES_PER_SPLIT
    ]
    if kind != "regression":
        return {
            "mean predictor": [DummyClassifier(strategy="prior")],
            f"{name} + logistic regression": [LogisticRegression(C=1 / alpha, max_iter=1000) for alpha in _ALPHAS],
            f"{name} + random forest": forests,
        }
    return {
        "mean predictor": [DummyRegressor()],
        f"{name} + ridge": [Ridge(alpha=alpha) for alpha in _ALPHAS],
        f"{name} + random forest": forests,
    }


def _predict_column(
    candidates: list[Any],
    features: Mapping[str, np.ndarray],
    targets: Mapping[str, Tensor],
    kind: Kind,
    parts: Sequence[str] = ("test",),
) -> dict[str, Tensor]:
    """Predictions of parts for one target, of the candidate that is best on the validation part, if there are several.

    ``[n]`` each, or ``[n, C]`` for classes.
    """
    from sklearn.base import clone

    known = targets["train"].isfinite().numpy()
    # Trees stop to split where the variance is below 1e-16, so nothing may depend on the unit of the target.
    scale = TargetScale.fit("standard" if kind == "regression" else "raw", targets["train"].unsqueeze(1))
    targets = {split: scale.apply(y) for split, y in targets.items()}
    inputs, values = features["train"][known], targets["train"].numpy()[known]
    if kind in LABELS and np.unique(values).size == 1:
        value = float(values[0])
        return {part: torch.full((len(features[part]),), value, dtype=torch.double) for part in parts}
    metric, mode = MONITOR[kind]
    classes = 2
    if kind == "multiclass":
        classes = 1 + max(int(y[y.isfinite()].max()) for y in targets.values() if y.isfinite().any())
    best, best_score = None, -np.inf
    for candidate in candidates:
        model = clone(candidate).fit(inputs, values)
        if len(candidates) > 1:
            predicted = _predict(model, features["valid"], kind, classes)
            predicted = predicted if predicted.dim() == 2 else predicted.unsqueeze(1)
            score = evaluate(predicted, targets["valid"].unsqueeze(1), kind)[metric]
            # Where validation does not define the metric, none is better than another: the first is taken.
            score = -np.inf if math.isnan(score) else -score if mode == "min" else score
        else:
            score = 0.0
        if best is None or score > best_score:
            best, best_score = model, score
    predictions = {part: _predict(best, features[part], kind, classes) for part in parts}
    return {part: scale.restore(each) if kind == "regression" else each for part, each in predictions.items()}


def _predict(model: Any, inputs: np.ndarray, kind: Kind, classes: int) -> Tensor:
    """Values ``[n]``, probabilities of label 1 ``[n]``, or of each class ``[n, C]``."""
    if kind == "regression":
        return torch.as_tensor(model.predict(inputs), dtype=torch.double)
    probability = torch.zeros(len(inputs), classes, dtype=torch.double)
    probability[:, torch.as_tensor(model.classes_, dtype=torch.long)] = torch.as_tensor(
        model.predict_proba(inputs), dtype=torch.double
    )
    return probability if kind == "multiclass" else probability[:, 1]
