"""What a model has to beat: the training mean, and ridge regression and random forests on fixed features."""

import math
from collections.abc import Iterable, Mapping
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


def candidates(kind: Kind, seed: int, name: str) -> dict[str, list[Any]]:
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


def predict_column(
    estimators: Iterable[Any], features: Mapping[str, Any], targets: Mapping[str, Tensor], kind: Kind, several: bool
) -> Tensor:
    """Predictions of the test part for one target, of the estimator that is best on the validation part.

    Args:
        estimators: Not yet fitted; none is asked for before the one before it was fitted.
        features: Of each row of ``"train"``, ``"valid"`` and ``"test"``, ``[n, F]``, arrays or sparse matrices.
        targets: Of each of these rows, ``[n]``; NaN where none was measured.
        kind: Of the target.
        several: Whether there are several estimators.

    Returns:
        ``[n]``, or ``[n, C]`` for classes.
    """
    known = targets["train"].isfinite().numpy()
    # Trees stop to split where the variance is below 1e-16, so nothing may depend on the unit of the target.
    scale = TargetScale.fit("standard" if kind == "regression" else "raw", targets["train"].unsqueeze(1))
    targets = {split: scale.apply(y) for split, y in targets.items()}
    inputs, values = features["train"][known], targets["train"].numpy()[known]
    if kind in LABELS and np.unique(values).size == 1:
        value = float(values[0])
        return torch.full((features["test"].shape[0],), value, dtype=torch.double)
    metric, mode = MONITOR[kind]
    classes = 2
    if kind == "multiclass":
        classes = 1 + max(int(y[y.isfinite()].max()) for y in targets.values() if y.isfinite().any())
    best, best_score = None, -np.inf
    for estimator in estimators:
        model = estimator.fit(inputs, values)
        if several:
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
