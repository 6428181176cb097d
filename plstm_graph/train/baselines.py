"""What a model has to beat: the training mean, and ridge regression and a random forest on Morgan fingerprints."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from plstm_graph.train.metrics import MONITOR, Task, evaluate

_BITS = 2048
_ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0)
_FEATURES_PER_SPLIT = ("sqrt", 0.1, 0.3)
_TREES = 300


def morgan_fingerprints(smiles: Sequence[str]) -> np.ndarray:
    """Morgan fingerprints of radius 2, 2048 bits (ECFP4).

    Args:
        smiles: Molecules that RDKit can read.

    Returns:
        ``[n, 2048]``, float32, 0 or 1.
    """
    generator = GetMorganGenerator(radius=2, fpSize=_BITS)
    prints = [generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles]
    return np.stack(prints).astype(np.float32)


def baseline_predictions(
    smiles: Mapping[str, Sequence[str]], targets: dict[str, Tensor], task: Task, seed: int = 0
) -> dict[str, Tensor]:
    """Fit each baseline on the training split and predict the test split.

    Ridge's penalty (logistic regression's, for classification) and the forest's number of features per split are
    chosen on the validation split, for each target alone.

    Args:
        smiles: Molecules of ``"train"``, ``"valid"`` and ``"test"``.
        targets: Their targets, ``[n, T]``; NaN where none was measured.
        task: ``"regression"`` or ``"classification"``.
        seed: Seed of the forest.

    Returns:
        Predictions for the test split, ``[n, T]``, by name of the baseline.
    """
    features = {split: morgan_fingerprints(texts) for split, texts in smiles.items()}
    predictions = {}
    for name, candidates in _candidates(task, seed).items():
        columns = [
            _predict_column(candidates, features, {split: y[:, column] for split, y in targets.items()}, task)
            for column in range(targets["train"].size(1))
        ]
        predictions[name] = torch.stack(columns, dim=1)
    return predictions


def _candidates(task: Task, seed: int) -> dict[str, list[Any]]:
    """Estimators, not yet fitted, by name of the baseline."""
    forest: dict[str, Any] = {"n_estimators": _TREES, "n_jobs": -1, "random_state": seed}
    if task == "classification":
        return {
            "mean predictor": [DummyClassifier(strategy="prior")],
            "Morgan + logistic regression": [LogisticRegression(C=1 / alpha, max_iter=1000) for alpha in _ALPHAS],
            "Morgan + random forest": [
                RandomForestClassifier(max_features=part, **forest) for part in _FEATURES_PER_SPLIT
            ],
        }
    return {
        "mean predictor": [DummyRegressor()],
        "Morgan + ridge": [Ridge(alpha=alpha) for alpha in _ALPHAS],
        "Morgan + random forest": [RandomForestRegressor(max_features=part, **forest) for part in _FEATURES_PER_SPLIT],
    }


def _predict_column(
    candidates: list[Any], features: dict[str, np.ndarray], targets: dict[str, Tensor], task: Task
) -> Tensor:
    """Test predictions for one target, ``[n]``, of the candidate that is best on the validation split."""
    known = targets["train"].isfinite().numpy()
    inputs, values = features["train"][known], targets["train"].numpy()[known]
    if task == "classification" and np.unique(values).size == 1:
        return torch.full_like(targets["test"], float(values[0]))
    metric, mode = MONITOR[task]
    best, best_score = None, -np.inf
    for candidate in candidates:
        model = clone(candidate).fit(inputs, values)
        if len(candidates) > 1:
            predicted = _predict(model, features["valid"], task)
            score = evaluate(predicted.unsqueeze(1), targets["valid"].unsqueeze(1), task)[metric]
            score = -score if mode == "min" else score
        else:
            score = 0.0
        if best is None or score > best_score:
            best, best_score = model, score
    return _predict(best, features["test"], task)


def _predict(model: Any, inputs: np.ndarray, task: Task) -> Tensor:
    values = model.predict_proba(inputs)[:, 1] if task == "classification" else model.predict(inputs)
    return torch.as_tensor(values, dtype=torch.float)
