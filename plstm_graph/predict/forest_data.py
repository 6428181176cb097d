"""What forests that are blended with networks see of a task: features and targets of its parts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.molecules.fingerprints import fingerprints
from plstm_graph.tasks.dag_folder import FolderOfDAGs
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.molecules import MoleculeTable
from plstm_graph.tasks.task import Row

#: Parts that are predicted.
OTHERS = ("valid", "test")
_PARTS = ("train", *OTHERS)
_MOST = 100_000  # training targets of a folder of DAGs


class ForestData(NamedTuple):
    """Features and targets of each part of a task.

    Attributes:
        features (dict[str, dict[str, ndarray]]): By their names, of each part ``[n, F]``.
        targets (dict[str, Tensor]): Of each part ``[n, T]``, float64; NaN where unknown, or known as a bound alone.
    """

    features: dict[str, dict[str, np.ndarray]]
    targets: dict[str, Tensor]


def forest_data(task: GraphTask, sets: Sequence[str] | None, counts: bool) -> ForestData:
    """Features and targets of the parts of a task.

    Args:
        task: Of molecules, or of a folder of DAGs.
        sets: Fingerprints of molecules, such as ``["ecfp", "ecfp,maccs"]``. (default: ``"ecfp"``)
        counts: Whether they count.

    Raises:
        ValueError: If the task has neither, or fingerprints are asked for of DAGs.
    """
    labelled, features = task.labelled, {}
    if isinstance(labelled, FolderOfDAGs):
        if sets is not None or counts:
            raise ValueError("--fingerprints and --counts are of molecules, and this run is of a folder of DAGs")
        targets = {part: labelled.targets(part) for part in _PARTS}
        if len(targets["train"]) > _MOST:
            raise ValueError(f"{len(targets['train']):,} training targets are more than a forest of {_MOST:,} takes")
        level = labelled.encoding.level
        name = "bag of nodes" if level == "graph" else f"{level}, level, degrees"
        features[name] = {part: labelled.simple_features(part).astype(np.float32) for part in _PARTS}
        return ForestData(features, {part: values.double() for part, values in targets.items()})
    smiles = {part: _smiles(task, part) for part in _PARTS}
    sets = ["ecfp"] if sets is None else sets
    single = {name: None for names in sets for name in names.split(",")}
    found = {name: {part: fingerprints(smiles[part], [name], counts=counts) for part in _PARTS} for name in single}
    for names in sets:
        parts = [found[name] for name in names.split(",")]
        features[names] = {part: np.concatenate([each[part] for each in parts], axis=1) for part in _PARTS}
    return ForestData(features, {part: _targets(task, part) for part in _PARTS})


def _smiles(task: GraphTask, part: str) -> Sequence[str]:
    """The SMILES of a part."""
    if isinstance(task.labelled, MoleculeTable):
        return task.labelled.row_names(part)["smiles"]
    found = getattr(task.parts[part], "smiles", None)
    if found is None:
        raise ValueError(
            f"forests see molecules and folders of DAGs, and {task.name} is neither: tables of molecules, ogbg-mol... "
            "sets and Peptides-func come with SMILES"
        )
    return found


def _targets(task: GraphTask, part: str) -> Tensor:
    if task.labelled is None:
        return task.parts[part].y.double()  # type: ignore[attr-defined]
    values, graphs = task.labelled.targets(part).double(), task.parts[part]
    if len(graphs) and "censor" in graphs[0]:
        exact = torch.cat([graph.censor for graph in graphs]) == 0
        values = torch.where(exact, values, torch.nan)
    return values


def score_of(task: GraphTask, prediction: Tensor, target: Tensor) -> Row:
    """Metrics of predictions: numbers in the unit of the targets, or probabilities."""
    if task.scores is not None:
        return task.scores.of_predictions(prediction, target)
    return task.metrics(prediction, **dict.fromkeys(task.columns, target))


def test_names(task: GraphTask) -> dict[str, list[str]]:
    """Columns that name each row of the test part."""
    return {"smiles": list(_smiles(task, "test"))} if task.labelled is None else task.labelled.row_names("test")
