"""Targets of the DAGs of a folder."""

import functools
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform

from plstm_graph.config.parser import make_transform
from plstm_graph.datasets.dag_folder.columns import Column, in_order
from plstm_graph.datasets.dag_folder.dataset import DAGFolder, OnDiskDAGFolder
from plstm_graph.datasets.dag_folder.encoding import Encoding, row_names
from plstm_graph.nn.encoders import FeatureSpec, num_columns
from plstm_graph.tasks.baseline_fits import MOST_ROWS, Fit, Samples, baseline_fits, drawn_rows
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs, Problem
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.supervised import supervised
from plstm_graph.tasks.weights import WeightOptions
from plstm_graph.transforms import ToDAG

_KINDS: dict[str, Kind] = {"regression": "regression", "classification": "multiclass", "multilabel": "multilabel"}
_MAX_BASELINE_ROWS = 100_000


class FolderOfDAGs(LabelledGraphs):
    """The DAGs of a folder with its ``dag.yaml``, which says what is predicted and how the graphs are split.

    Args:
        root (str): The folder; ``plstm-graph check`` describes it.
        pre_transform (BaseTransform, optional): Applied to each graph once, before it is stored. (default:
            :class:`~plstm_graph.transforms.ToDAG`, which keeps the directions)
        on_disk (bool): Keep the graphs in a database instead of in memory, for sets larger than that.
        seed (int): Of the baselines.
        split (dict, optional): How the graphs are divided, in place of what ``dag.yaml`` says.
    """

    kind = "dag_folder"

    def __init__(
        self,
        root: str,
        pre_transform: BaseTransform | None = None,
        on_disk: bool = False,
        seed: int = 0,
        split: dict[str, Any] | None = None,
    ) -> None:
        self.seed = seed
        self._split = split
        self.root = root
        self.pre_transform = ToDAG("keep") if pre_transform is None else pre_transform
        self.on_disk = on_disk
        self._parts: dict[str, Any] = {}

    @functools.cached_property
    def dataset(self) -> DAGFolder | OnDiskDAGFolder:
        """All graphs of the folder."""
        kind = OnDiskDAGFolder if self.on_disk else DAGFolder
        return kind(self.root, pre_transform=self.pre_transform, split=self._split)

    @property
    def encoding(self) -> Encoding:
        """Names, classes and features."""
        return self.dataset.encoding

    @property
    def problem(self) -> Problem:
        """Kind of targets, sizes, and what has the targets, by ``dag.yaml`` and the tables."""
        encoding = self.encoding
        problem = Problem(
            kind=_KINDS[encoding.task],
            target_level=encoding.level,
            out_channels=encoding.num_outputs,
            in_channels=_feature_spec(encoding.node_sizes),
            edge_dim=_feature_spec(encoding.edge_sizes) if encoding.edge_sizes else None,
            has_unknown=True,
        )
        return problem.after(self.pre_transform)

    @property
    def title(self) -> str:
        """The folder."""
        return self.root

    @property
    def target_names(self) -> list[str]:
        """Names of the targets."""
        return self.encoding.target_names

    @property
    def output_names(self) -> list[str]:
        """Names of the targets, or ``target: class`` for each class."""
        return self.encoding.output_names

    @property
    def split_name(self) -> str:
        """The column of the split, or ``"random"``."""
        split = self.dataset.spec.split
        if not split.is_drawn:
            return str(split.column)
        how = " and ".join(
            [*(["stratified"] if split.stratified else []), *([f"by {split.group}"] if split.group else [])]
        )
        return f"fold {split.fold} of {split.num_folds}" * (split.num_folds > 0) + " " * bool(how) + how or "random"

    @property
    def splits(self) -> dict[str, Tensor]:
        """Numbers of the graphs in each part; all of them in each where the targets of a graph are split."""
        return self.dataset.split

    @property
    def reading(self) -> dict[str, Any]:
        """Names of the columns and what they became, for other folders."""
        return {"spec": asdict(self.dataset.spec), "encoding": asdict(self.encoding)}

    @property
    def classes(self) -> list[list[str]]:
        """Names of the classes of each target; empty for numbers."""
        return self.encoding.classes

    @property
    def notes(self) -> list[str]:
        """Columns that are no features, and why; that may be numbers; and words that were never seen in training."""
        left_out = [f"no feature, {name}: {reason}" for name, reason in self.encoding.left_out.items()]
        said = [*self.encoding.mixed.items(), *self.encoding.unseen.items()]
        return left_out + [f"{name}: {text}" for name, text in said]

    def subset(self, split: str) -> Sequence[Data]:
        """Graphs of a part, with NaN for the targets of other parts."""
        if split not in self._parts:
            self._parts[split] = self.dataset.part(split)
        return self._parts[split]

    def row_names(self, split: str) -> dict[str, list[str]]:
        """Identifiers of graphs, and of nodes or of both ends of edges if those have the targets."""
        return row_names(self.subset(split), self.encoding.level)

    def baseline_fits(self, kind: Kind, seed: int) -> dict[str, Fit]:
        """Models on a bag of nodes, or on the features, levels and degrees of a node or edge.

        Fitted on 30,000 targets at most; none for more than 100,000, whose features would take longer than the model.
        """
        if len(self.targets("train")) > _MAX_BASELINE_ROWS:
            return {}
        name = "bag of nodes" if self.encoding.level == "graph" else f"{self.encoding.level}, level, degrees"
        return baseline_fits(functools.cache(partial(self._described, seed)), kind, seed, name)

    def _described(self, seed: int) -> Samples:
        targets = {split: self.targets(split) for split in ("train", "valid", "test")}
        features = {split: self.simple_features(split) for split in targets}
        rows, note = drawn_rows(len(targets["train"]), MOST_ROWS, seed)
        if note:
            features["train"], targets["train"] = features["train"][rows.numpy()], targets["train"][rows]
        return Samples(features, targets, note)

    def simple_features(self, split: str) -> np.ndarray:
        """Features of each target of a part, without what lies around it, ``[n, F]``."""
        return np.concatenate([self._features(data) for data in self.subset(split)])

    def _features(self, data: Data) -> np.ndarray:
        """Features of each target of a graph, without what lies around it, ``[n, F]``."""
        assert data.edge_index is not None and data.num_nodes is not None
        assert data.x is not None
        nodes = _one_hot(data.x, self.encoding.node_sizes, self.encoding.of("nodes", "graphs"))
        degree = [torch.bincount(index, minlength=data.num_nodes) for index in data.edge_index]
        # Sums over nodes and columns that say the same: in float32 ridge would find them all but singular.
        nodes = torch.cat([nodes, torch.stack([data.level, *degree], dim=1)], dim=1).double()
        if "is_edge" in data:
            nodes = nodes[~data.is_edge]
        if self.encoding.level == "node":
            return nodes.numpy()
        if self.encoding.level == "edge":
            start, end = data.edge_index
            edges = nodes[start, :0] if data.edge_attr is None else self._edges(data.edge_attr)
            return torch.cat([nodes[start], nodes[end], edges], dim=1).numpy()
        size = torch.tensor([data.num_nodes, data.num_edges, int(data.level.max()) + 1]).log1p()
        return torch.cat([nodes.mean(dim=0), nodes.sum(dim=0), size]).unsqueeze(0).numpy()

    def _edges(self, values: Tensor) -> Tensor:
        return _one_hot(values, self.encoding.edge_sizes, self.encoding.of("edges"))


def _feature_spec(sizes: list[int]) -> FeatureSpec:
    return sizes if any(sizes) else len(sizes)


def _one_hot(values: Tensor, sizes: list[int], features: list[Column]) -> Tensor:
    """Numbers standardised, for penalties are of all columns alike; categories one-hot."""
    columns = [
        F.one_hot(values[:, column].long(), size).float() if size else values[:, column : column + 1].float()
        for column, size in enumerate(sizes)
    ]
    place = 0
    for feature in in_order(features):
        if feature.kind == "raw":
            columns[place] = (columns[place] - feature.mean) / (feature.std or 1.0)
        place += len(feature.sizes)
    return torch.cat(columns, dim=1)


def dag_folder(
    path: str = "",
    split: dict[str, Any] | None = None,
    num_folds: int = 0,
    fold: int = 0,
    pre_transform: dict[str, Any] | None = None,
    on_disk: bool = False,
    unknown_words: float = 0.02,
    metrics: list[str] | None = None,
    metric: str | None = None,
    class_weights: str | list[float] | dict[str, float] | None = None,
    pos_weight: float | list[float] | dict[str, float] | None = None,
    target_weights: list[float] | dict[str, float] | None = None,
    balanced_batches: bool = False,
    likelihood: str | None = None,
) -> GraphTask:
    """Targets of the DAGs of a folder, whose ``dag.yaml`` says what is predicted and how the graphs are split.

    Args:
        path: The folder; ``plstm-graph check`` describes it.
        split: How the graphs are divided, in place of what ``dag.yaml`` says: ``group`` (a column), ``stratified``,
            ``fractions``, ``seed``, ``column``.
        num_folds: Number of folds of a cross-validation, in place of fractions; 0 for none.
        fold: Which of them is tested; the next one validates.
        pre_transform: Class and arguments of a transform, applied to each graph once. (default: ToDAG, which keeps the
            directions)
        on_disk: Keep the graphs in a database instead of in memory, for sets larger than that.
        unknown_words: Fraction of the words that each training step takes for unknown ones, so that the embedding of
            those is trained too. Evaluation leaves all words as they are.
        metrics: Names of metrics that are reported, as of
            :func:`~plstm_graph.tasks.molecules.molecules`.
        metric: The one that selects epochs and choices, see ``--metric``. (default: the first of them)
        class_weights: Weights of classes in the loss: balanced, so that all count alike however many rows they have;
            or a weight for each class, as a list in their order or by their names.
        pos_weight: Weight of label 1 in the loss, where label 0 has 1; of several targets also a list, or by names.
        target_weights: Weight of each of several targets in the loss, a list or by their names.
        balanced_batches: Draw graphs of all classes equally often, in place of weights.
        likelihood: gaussian, for a model that gives the standard deviation of each number with it; predictions then
            have it as std. (default: squared errors)
    """
    if not path:
        raise ValueError("the task dag_folder needs the folder: --task.path my_dags")
    if not 0 <= unknown_words < 1:
        raise ValueError(f"unknown_words must be in [0, 1), got {unknown_words}")
    how = dict(split or {}) | ({"num_folds": num_folds, "fold": fold} if num_folds or fold else {})
    folder = FolderOfDAGs(path, make_transform(pre_transform), on_disk, split=how)
    weights = WeightOptions(class_weights, pos_weight, target_weights, balanced_batches)
    kind, given = folder.problem.kind, {"pre_transform": pre_transform}
    task = supervised(folder, kind, given, num_folds, metrics, metric, weights, likelihood)
    if num_columns(task.in_channels) == len(folder.encoding.node_names):  # no transform has made others
        task.column_names = {"x": folder.encoding.node_names}
    task.changes = partial(_hide_words, folder, unknown_words) if unknown_words else None
    return task


def _hide_words(data: LabelledGraphs, rate: float, batch: Batch) -> Batch:
    return data.problem.hide_words(batch, rate) if data.problem.has_unknown else batch
