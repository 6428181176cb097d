"""Benchmarks with an official split and metric: OGB's molecules and syntax trees, and the peptides of LRGB."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor
from torch_geometric.data import Dataset
from torch_geometric.transforms import BaseTransform

from plstm_graph.datasets.molecules.ogb import OGBMolDataset, ogb_evaluator
from plstm_graph.datasets.molecules.peptides import PEPTIDES, PeptidesDataset
from plstm_graph.datasets.ogb_code2 import NAME as CODE2
from plstm_graph.datasets.ogb_code2 import NamedFunctions, NameVocabulary, OGBCode2Dataset, code2_f1

PARTS = ("train", "valid", "test")


@dataclass
class Benchmark:
    """A data set with its official split and metric.

    Attributes:
        name (str): Its official name.
        parts (dict[str, Dataset]): Graphs of ``"train"``, ``"valid"`` and ``"test"``.
        task (str): ``"classification"`` (binary labels), ``"regression"``, or ``"sequence"`` (a class at each of ``T``
            positions).
        target_names (list[str]): Names of the ``T`` columns of ``y``.
        metric (str): Name of the official metric.
        mode (str): ``"max"`` if more of it is better, else ``"min"``.
        evaluate (callable): The metric of targets and predictions, ``[n, T]`` each; NaN targets do not count.
        package (str): Package and version that loader and metric come from.
        evaluated (str): Attribute of a graph that ``evaluate`` takes as its targets.
    """

    name: str
    parts: dict[str, Dataset]
    task: Literal["classification", "regression", "sequence"]
    target_names: list[str]
    metric: str
    mode: Literal["min", "max"]
    evaluate: Callable[[Tensor, Tensor], float]
    package: str
    evaluated: str = "y"


def load_benchmark(
    name: str, root: str = "datasets", source: str | None = None, pre_transform: BaseTransform | None = None
) -> Benchmark:
    """Load a benchmark by its name.

    Args:
        name: ``"ogbg-mol..."``, ``"ogbg-code2"``, ``"Peptides-func"`` or ``"Peptides-struct"``.
        root: Folder of all data sets.
        source: Folder with an offline copy of the raw files: for OGB ``ogbg_molhiv`` as its archive unpacks, for
            Peptides-func ``peptides_func``, or a folder above. (default: the environment variable PLSTM_DATA, else a
            download)
        pre_transform: Applied to each graph once, before it is stored.

    Raises:
        ValueError: If there is no such benchmark.
        OSError: If files are missing or damaged, or cannot be downloaded.
    """
    if name in PEPTIDES:
        return _peptides(name, root, source, pre_transform)
    if name == CODE2:
        return _code2(root, source, pre_transform)
    if not name.startswith("ogbg-"):
        raise ValueError(f"no benchmark {name!r}: expected ogbg-mol..., {CODE2}, {' or '.join(PEPTIDES)}")
    dataset = OGBMolDataset(name, root, source, pre_transform=pre_transform)
    split = dataset.get_idx_split()
    return Benchmark(
        name=name,
        parts={part: dataset[split[part]] for part in PARTS},
        task="regression" if dataset.task_type == "regression" else "classification",
        target_names=dataset.target_names,
        metric=dataset.eval_metric,
        mode="min" if dataset.eval_metric in ("rmse", "mae") else "max",
        evaluate=ogb_evaluator(name),
        package=f"ogb {importlib.metadata.version('ogb')}",
    )


def mean_average_precision(target: Tensor, prediction: Tensor) -> float:
    """Average precision of each label over its known rows, averaged over labels: LRGB's metric for Peptides-func.

    Args:
        target: Labels 0 and 1, NaN where unknown, ``[n, T]``.
        prediction: Scores, ``[n, T]``.

    Returns:
        The mean over labels that have both classes.

    Raises:
        ValueError: If no label has both classes.
    """
    from sklearn.metrics import average_precision_score

    true, score = target.numpy(force=True), prediction.numpy(force=True)
    values = []
    for column in range(true.shape[1]):
        known = ~np.isnan(true[:, column])
        labels = true[known, column]
        if 0 < labels.sum() < labels.size:
            values.append(average_precision_score(labels, score[known, column]))
    if not values:
        raise ValueError("no label has both classes, so average precision is not defined")
    return float(np.mean(values))


def mean_absolute_error(target: Tensor, prediction: Tensor) -> float:
    """Mean absolute error over all known targets: LRGB's metric for Peptides-struct.

    Args:
        target: Values, NaN where unknown, ``[n, T]``.
        prediction: ``[n, T]``.
    """
    return float((prediction.double() - target.double()).abs().nanmean())


def _code2(root: str, source: str | None, pre_transform: BaseTransform | None) -> Benchmark:
    dataset = OGBCode2Dataset(root, source, pre_transform=pre_transform)
    split = dataset.get_idx_split()
    names = [data.y for data in dataset]
    vocabulary = NameVocabulary(names[number] for number in split["train"].tolist())
    functions = NamedFunctions(dataset, names, vocabulary)

    def evaluate(numbers: Tensor, codes: Tensor) -> float:
        return code2_f1([names[number] for number in numbers.tolist()], vocabulary.decode(codes))

    return Benchmark(
        name=CODE2,
        parts={part: functions[split[part]] for part in PARTS},
        task="sequence",
        target_names=[f"word {position}" for position in range(1, vocabulary.length + 1)],
        metric="F1",
        mode="max",
        evaluate=evaluate,
        package=f"ogb {importlib.metadata.version('ogb')}",
        evaluated="number",
    )


def _peptides(name: str, root: str, source: str | None, pre_transform: BaseTransform | None) -> Benchmark:
    parts = {
        part: PeptidesDataset(root, name, subset, source, pre_transform=pre_transform)
        for part, subset in zip(PARTS, ("train", "val", "test"), strict=True)
    }
    classification = name == "Peptides-func"
    return Benchmark(
        name=name,
        parts=parts,
        task="classification" if classification else "regression",
        target_names=[f"{name} {number}" for number in range(PEPTIDES[name])],
        metric="ap" if classification else "mae",
        mode="max" if classification else "min",
        evaluate=mean_average_precision if classification else mean_absolute_error,
        package=f"torch_geometric {importlib.metadata.version('torch_geometric')}",
    )
