"""What a model has to beat: the training mean, and ridge regression and a random forest on fixed features."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from plstm_graph.tasks.scale import TargetScale
from plstm_graph.train.metrics import MONITOR, Task, evaluate

_ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0)
_FEATURES_PER_SPLIT = ("sqrt", 0.1, 0.3)
_TREES = 300


def baseline_predictions(
    features: Mapping[str, np.ndarray], targets: dict[str, Tensor], task: Task, seed: int = 0, name: str = "features"
) -> dict[str, Tensor]:
    """Fit each baseline on the training split and predict the test split.

    Ridge's penalty (logistic regression's, for classification) and the forest's number of features per split are
    chosen on the validation split, for each target alone.

    Args:
        features: Of each row of ``"train"``, ``"valid"`` and ``"test"``, ``[n, F]``.
        targets: Their targets, ``[n, T]``; NaN where none was measured.
        task: ``"regression"``, ``"classification"`` or ``"multiclass"``.
        seed: Seed of the forest.
        name: What the features are called.

    Returns:
        Predictions for the test split, ``[n, T]`` (one column per class for ``"multiclass"``), by name of the baseline.
    """
    predictions = {}
    for model, candidates in _candidates(task, seed, name).items():
        columns = [
            _predict_column(candidates, features, {split: y[:, column] for split, y in targets.items()}, task)
            for column in range(targets["train"].size(1))
        ]
        predictions[model] = columns[0] if task == "multiclass" else torch.stack(columns, dim=1)
    return predictions


def _candidates(task: Task, seed: int, name: str) -> dict[str, list[Any]]:
    """Estimators, not yet fitted, by name of the baseline."""
    forest: dict[str, Any] = {"n_estimators": _TREES, "n_jobs": -1, "random_state": seed}
    if task != "regression":
        return {
            "mean predictor": [DummyClassifier(strategy="prior")],
            f"{name} + logistic regression": [LogisticRegression(C=1 / alpha, max_iter=1000) for alpha in _ALPHAS],
            f"{name} + random forest": [
                RandomForestClassifier(max_features=part, **forest) for part in _FEATURES_PER_SPLIT
            ],
        }
    return {
        "mean predictor": [DummyRegressor()],
        f"{name} + ridge": [Ridge(alpha=alpha) for alpha in _ALPHAS],
        f"{name} + random forest": [RandomForestRegressor(max_features=part, **forest) for part in _FEATURES_PER_SPLIT],
    }


def _predict_column(
    candidates: list[Any], features: Mapping[str, np.ndarray], targets: dict[str, Tensor], task: Task
) -> Tensor:
    """Test predictions for one target, of the candidate that is best on the validation split.

    ``[n]``, or ``[n, C]`` for classes.
    """
    known = targets["train"].isfinite().numpy()
    # Trees stop to split where the variance is below 1e-16, so nothing may depend on the unit of the target.
    scale = TargetScale.fit(targets["train"].unsqueeze(1)) if task == "regression" else TargetScale.identity()
    targets = {split: scale.standardise(y) for split, y in targets.items()}
    inputs, values = features["train"][known], targets["train"].numpy()[known]
    if task == "classification" and np.unique(values).size == 1:
        return torch.full_like(targets["test"], float(values[0]))
    metric, mode = MONITOR[task]
    classes = 1 + max(int(y[y.isfinite()].max()) for y in targets.values() if y.isfinite().any())
    best, best_score = None, -np.inf
    for candidate in candidates:
        model = clone(candidate).fit(inputs, values)
        if len(candidates) > 1:
            predicted = _predict(model, features["valid"], task, classes)
            predicted = predicted if predicted.dim() == 2 else predicted.unsqueeze(1)
            score = evaluate(predicted, targets["valid"].unsqueeze(1), task)[metric]
            # Where validation does not define the metric, none is better than another: the first is taken.
            score = -np.inf if math.isnan(score) else -score if mode == "min" else score
        else:
            score = 0.0
        if best is None or score > best_score:
            best, best_score = model, score
    predicted = _predict(best, features["test"], task, classes)
    return scale.restore(predicted) if task == "regression" else predicted


def _predict(model: Any, inputs: np.ndarray, task: Task, classes: int) -> Tensor:
    """Values ``[n]``, probabilities of label 1 ``[n]``, or of each class ``[n, C]``."""
    if task == "regression":
        return torch.as_tensor(model.predict(inputs), dtype=torch.double)
    probability = torch.zeros(len(inputs), classes, dtype=torch.double)
    probability[:, torch.as_tensor(model.classes_, dtype=torch.long)] = torch.as_tensor(
        model.predict_proba(inputs), dtype=torch.double
    )
    return probability if task == "multiclass" else probability[:, 1]
