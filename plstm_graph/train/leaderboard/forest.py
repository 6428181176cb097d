"""Random forests on fingerprints: the strongest simple model of a molecule, to stand beside or with a network."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from plstm_graph.datasets.moments import Moments, centre_and_scale


@dataclass
class Forest:
    """A random forest for each target.

    Args:
        trees: Number of trees.
        min_samples_leaf: Fewest training molecules in a leaf.
        seed: Of the bootstrap samples and of the features tried at each split.
        jobs: Processes to grow trees with; -1 for one per core.
    """

    trees: int = 300
    min_samples_leaf: int = 2
    seed: int = 0
    jobs: int = -1

    def __post_init__(self) -> None:
        if self.trees < 1 or self.min_samples_leaf < 1:
            raise ValueError(
                f"trees and min_samples_leaf must be at least 1, got {self.trees}, {self.min_samples_leaf}"
            )

    def fit_predict(
        self, features: np.ndarray, targets: np.ndarray, others: dict[str, np.ndarray], classification: bool
    ) -> dict[str, np.ndarray]:
        """Fit on the rows where a target is known, and predict other molecules.

        Args:
            features: Of training molecules, ``[n, F]``.
            targets: NaN where unknown, ``[n, T]``.
            others: Features of molecules to predict, by the name of their split, ``[m, F]`` each.
            classification: Whether targets are labels 0 and 1.

        Returns:
            By split: probabilities or values, ``[m, T]``.

        Raises:
            ValueError: If a target is unknown for every training molecule; gives its column.
        """
        predictions = {name: np.zeros((len(rows), targets.shape[1])) for name, rows in others.items()}
        for column in range(targets.shape[1]):
            known = np.isfinite(targets[:, column])
            if not known.any():
                raise ValueError(f"target {column} is unknown for every training molecule")
            values = targets[known, column].astype(np.float64)
            # Trees stop to split where the variance is below 1e-16, so the unit of the target must not matter.
            moments = Moments()
            moments.update(values)
            mean, std = (0.0, 1.0) if classification else centre_and_scale(moments)
            values = values if classification else (values - mean) / std
            kind = RandomForestClassifier if classification else RandomForestRegressor
            forest = kind(
                self.trees,
                min_samples_leaf=self.min_samples_leaf,
                max_features="sqrt",
                n_jobs=self.jobs,
                random_state=self.seed,
            ).fit(features[known], values)
            for name, rows in others.items():
                if not classification:
                    predictions[name][:, column] = forest.predict(rows) * std + mean
                elif len(forest.classes_) == 1:
                    predictions[name][:, column] = forest.classes_[0]
                else:
                    predictions[name][:, column] = forest.predict_proba(rows)[:, 1]
        return predictions
