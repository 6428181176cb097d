"""Random forests on fixed features, by scikit-learn: the strongest simple model of molecules, by their fingerprints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from plstm_graph.tasks.metrics import LABELS, Kind
from plstm_graph.tasks.scale import TargetScale

_STEPS = 20  # in which a forest is grown, as far as the bar shows
_LEAST = 10  # trees of a step: each step starts the workers anew


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

    trees: int = 300
    min_samples_leaf: int = 2
    max_features: str | float = "sqrt"
    seed: int = 0
    jobs: int = -1

    def __post_init__(self) -> None:
        if self.trees < 1 or self.min_samples_leaf < 1:
            raise ValueError(
                f"trees and min_samples_leaf must be at least 1, got {self.trees}, {self.min_samples_leaf}"
            )
        if self.max_features != "sqrt" and not (isinstance(self.max_features, float) and 0 < self.max_features <= 1):
            raise ValueError(f"max_features must be sqrt or a part such as 0.2, got {self.max_features}")

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
        self,
        features: np.ndarray,
        targets: Tensor,
        others: Mapping[str, np.ndarray],
        kind: Kind,
        classes: int | None = None,
    ) -> dict[str, Tensor]:
        """Fit on the rows where a target is known, and predict other samples, with a bar on stderr after two seconds.

        Args:
            features: Of training samples, ``[n, F]``.
            targets: NaN where unknown, ``[n, T]``.
            others: Features of samples to predict, by the name of their part, ``[m, F]`` each.
            kind: Of the targets.
            classes: Of a ``"multiclass"`` target, how many there are. (default: those that are known)

        Returns:
            By part: values or probabilities, ``[m, T]``, or ``[m, C]`` of the classes, float64.

        Raises:
            ValueError: If a target is unknown for every training sample; gives its column.
        """
        columns = []
        with tqdm(desc="forest", unit=" trees", total=self.trees * targets.size(1), delay=2, disable=None) as bar:
            for number, column in enumerate(targets.double().unbind(dim=1)):
                if not column.isfinite().any():
                    raise ValueError(f"target {number} is unknown for every training sample")
                columns.append(self._of_column(features, column, others, kind, classes, bar))
        if kind == "multiclass":
            return columns[0]
        return {part: torch.stack([column[part] for column in columns], dim=1) for part in others}

    def _of_column(
        self,
        features: np.ndarray,
        target: Tensor,
        others: Mapping[str, np.ndarray],
        kind: Kind,
        classes: int | None,
        bar: Any,
    ) -> dict[str, Tensor]:
        known = target.isfinite()
        # Trees stop to split where the variance is below 1e-16, so nothing may depend on the unit of the target.
        scale = TargetScale.fit("standard" if kind == "regression" else "raw", target.unsqueeze(1))
        values = scale.apply(target)[known].numpy()
        if kind in LABELS and np.unique(values).size == 1:
            bar.update(self.trees)
            return {
                part: torch.full((len(rows),), float(values[0]), dtype=torch.double) for part, rows in others.items()
            }
        classes = max(classes or 0, 1 + int(values.max())) if kind == "multiclass" else 2
        model, inputs = self.estimator(kind).set_params(warm_start=True), features[known.numpy()].astype(np.float32)
        step = max(_LEAST, -(-self.trees // _STEPS))
        grown = 0
        for trees in [*range(step, self.trees, step), self.trees]:
            # The same trees as of one fit: each has a place of its own in the series of random states.
            model.set_params(n_estimators=trees).fit(inputs, values)
            bar.update(trees - grown)
            grown = trees
        found = {part: predict_features(model, rows, kind, classes) for part, rows in others.items()}
        if kind != "regression":
            return found
        return {part: scale.restore(each) for part, each in found.items()}


def predict_features(model: Any, inputs: np.ndarray, kind: Kind, classes: int) -> Tensor:
    """What a model of scikit-learn predicts: values ``[n]``, probabilities of label 1, or of each class ``[n, C]``."""
    if kind == "regression":
        return torch.as_tensor(model.predict(inputs), dtype=torch.double)
    probability = torch.zeros(inputs.shape[0], classes, dtype=torch.double)
    probability[:, torch.as_tensor(model.classes_, dtype=torch.long)] = torch.as_tensor(
        model.predict_proba(inputs), dtype=torch.double
    )
    return probability if kind == "multiclass" else probability[:, 1]
