"""What a model has to beat: the training mean, and ridge regression and random forests on fixed features."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plstm_graph.tasks.forest import Forest, predict_features
from plstm_graph.tasks.metrics import LABELS, MONITOR, Kind, evaluate
from plstm_graph.tasks.scale import TargetScale

_ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0)
_FEATURES_PER_SPLIT = ("sqrt", 0.1, 0.3)
_TREES = 300


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
            _predict_column(candidates, features, {split: y[:, column] for split, y in targets.items()}, kind)
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
) -> Tensor:
    """Predictions of the test part for one target, of the candidate that is best on the validation part.

    ``[n]``, or ``[n, C]`` for classes.
    """
    from sklearn.base import clone

    known = targets["train"].isfinite().numpy()
    # Trees stop to split where the variance is below 1e-16, so nothing may depend on the unit of the target.
    scale = TargetScale.fit("standard" if kind == "regression" else "raw", targets["train"].unsqueeze(1))
    targets = {split: scale.apply(y) for split, y in targets.items()}
    inputs, values = features["train"][known], targets["train"].numpy()[known]
    if kind in LABELS and np.unique(values).size == 1:
        value = float(values[0])
        return torch.full((len(features["test"]),), value, dtype=torch.double)
    metric, mode = MONITOR[kind]
    classes = 2
    if kind == "multiclass":
        classes = 1 + max(int(y[y.isfinite()].max()) for y in targets.values() if y.isfinite().any())
    best, best_score = None, -np.inf
    for candidate in candidates:
        model = clone(candidate).fit(inputs, values)
        if len(candidates) > 1:
            predicted = predict_features(model, features["valid"], kind, classes)
            predicted = predicted if predicted.dim() == 2 else predicted.unsqueeze(1)
            score = evaluate(predicted, targets["valid"].unsqueeze(1), kind)[metric]
            # Where validation does not define the metric, none is better than another: the first is taken.
            score = -np.inf if math.isnan(score) else -score if mode == "min" else score
        else:
            score = 0.0
        if best is None or score > best_score:
            best, best_score = model, score
    found = predict_features(best, features["test"], kind, classes)
    return scale.restore(found) if kind == "regression" else found
