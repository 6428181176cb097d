"""Graphs with targets and a split: what tables of molecules and folders of DAGs share."""

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import Compose

from plstm_graph.nn.encoders import OGB_DIMS, FeatureSpec
from plstm_graph.tasks.baseline_fits import Clock, Fit
from plstm_graph.tasks.metrics import Kind
from plstm_graph.transforms import SubdivideEdges


@dataclass
class Problem:
    """What data ask of a model.

    Attributes:
        kind (str): Of the targets: ``"regression"``, ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        target_level (str): What has the targets: ``"graph"``, ``"node"`` or ``"edge"``.
        out_channels (int): Number of columns that the model gives: targets, labels or classes.
        in_channels (int, list[int] or str): Node features, as :func:`plstm_graph.nn.feature_encoder` takes them.
        edge_dim (int, list[int], str or None): Edge features likewise; None for none.
        has_unknown (bool): Whether category 0 of each column stands for missing words and for those that training does
            not have.
        descriptors (int): Number of descriptors of each graph.
        components (int): Number of components of each graph that have roles, such as solute and solvent.
    """

    kind: Kind
    target_level: Literal["graph", "node", "edge"]
    out_channels: int
    in_channels: FeatureSpec
    edge_dim: FeatureSpec | None = None
    has_unknown: bool = False
    descriptors: int = 0
    components: int = 1

    def after(self, transform: object) -> "Problem":
        """What graphs ask of a model once a transform has changed them.

        Args:
            transform: Such as a pre-transform, which may be composed of others.

        Raises:
            ValueError: If targets of nodes or edges would become those of both.
        """
        if isinstance(transform, Compose):
            return functools.reduce(Problem.after, transform.transforms, self)
        if not isinstance(transform, SubdivideEdges):
            return self
        if self.target_level != "graph":
            raise ValueError(
                f"SubdivideEdges cannot be applied here: the targets are of {self.target_level}s, not of graphs"
            )
        if self.components > 1:
            raise ValueError("SubdivideEdges cannot be applied to rows of several molecules: bonds would be of none")
        edge_dim = None if self.edge_dim is None else _written_out(self.edge_dim)
        in_channels, edge_dim = SubdivideEdges.sizes(_written_out(self.in_channels), edge_dim)
        return replace(self, in_channels=in_channels, edge_dim=edge_dim)

    def hide_words(self, batch: Batch, rate: float) -> Batch:
        """Make some words unknown ones, so that a model learns what it can say without them.

        Args:
            batch: Graphs, as the data give them.
            rate: Part of the cells of category columns that become category 0.

        Returns:
            A batch with other ``x`` and ``edge_attr``, by the global random generator; the given one is as it was.
        """
        hidden = copy.copy(batch)
        for name, features in (("x", self.in_channels), ("edge_attr", self.edge_dim)):
            if not isinstance(features, Sequence) or isinstance(features, str):
                continue
            values = batch[name]
            is_category = torch.tensor([size > 0 for size in features], device=values.device)
            if name == "x" and "is_edge" in batch:
                is_category[-1] = False  # What SubdivideEdges puts there is no word.
            chosen = (torch.rand(values.shape, device=values.device) < rate) & is_category
            hidden[name] = values.masked_fill(chosen, 0)
        return hidden


def _written_out(features: FeatureSpec) -> int | Sequence[int]:
    return OGB_DIMS[features] if isinstance(features, str) else features


Baselines = dict[str, Tensor]


def exact(targets: Tensor, censor: Tensor | None) -> Tensor:
    """Targets, and NaN where they are bounds.

    Args:
        targets: ``[n, T]``; NaN where unknown.
        censor: 1 where the true value is above the target, -1 where it is below, ``[n, T]``. (default: 0)
    """
    return targets if censor is None else targets.masked_fill(censor.to(targets.device) != 0, torch.nan)


class LabelledGraphs(ABC):
    """Graphs in a training, validation and test part, with the names that predictions have.

    Attributes:
        kind (str): Class of the data in checkpoints, by which `predict` reads others like them.
        unit (str): What the graphs are called.
    """

    kind = ""
    unit = "graphs"

    @property
    @abstractmethod
    def dataset(self) -> Any:
        """All graphs."""

    @property
    @abstractmethod
    def problem(self) -> Problem:
        """What the data ask of a model."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the data are called."""

    @property
    @abstractmethod
    def target_names(self) -> list[str]:
        """Names of the targets."""

    @property
    @abstractmethod
    def output_names(self) -> list[str]:
        """Names of the columns of a prediction."""

    @property
    @abstractmethod
    def split_name(self) -> str:
        """How the parts came about."""

    @property
    @abstractmethod
    def splits(self) -> dict[str, Tensor]:
        """Numbers of the graphs in ``"train"``, ``"valid"`` and ``"test"``."""

    @abstractmethod
    def subset(self, split: str) -> Sequence[Data]:
        """Graphs of ``"train"``, ``"valid"`` or ``"test"``."""

    @abstractmethod
    def row_names(self, split: str) -> dict[str, list[str]]:
        """Columns that name each row of the targets of a part."""

    @abstractmethod
    def baseline_fits(self, kind: Kind, seed: int) -> dict[str, Fit]:
        """Simple models by their names, each of which is fitted on the training part when it is called.

        Args:
            kind: Of the targets.
            seed: Of what is left to chance.
        """

    def baselines(self, kind: Kind, seed: int) -> Baselines:
        """Predictions for the test part by simple models, without a limit of time."""
        return {name: fit(Clock()).predicted for name, fit in self.baseline_fits(kind, seed).items()}

    def fingerprints(self, split: str) -> Tensor | None:
        """Of molecules, what substructures those of a part have, ``[n, 256]``, uint8; None for other graphs.

        See :func:`~plstm_graph.datasets.molecules.similarity.packed_fingerprints`.
        """
        return None

    @property
    def classes(self) -> list[list[str]]:
        """Names of the classes of each target; empty for numbers, and where they have no names."""
        return [[] for _ in self.target_names]

    def place(self, split: str, row: int, column: int) -> str:
        """Where a target stands, for messages.

        Args:
            split: Part of the data.
            row: Number of its row in :meth:`targets`.
            column: Number of the target.
        """
        names = ", ".join(f"{name} {cells[row]}" for name, cells in self.row_names(split).items())
        return f"{self.title}, {split} part, {names}: target {self.target_names[column]!r}"

    @property
    def digest(self) -> str:
        """What changes whenever the files of the data do, or what makes graphs of them."""
        return Path(self.dataset.processed_dir).name

    def split_table(self) -> tuple[list[str], list[list[str]]] | None:
        """Names of the columns, and the rows, of a table that says the part of each graph; None where there is none."""
        return None

    @property
    def notes(self) -> list[str]:
        """What was left out of the data, and why."""
        return []

    @property
    def reading(self) -> dict[str, Any]:
        """What reading other data as these were read needs beside the arguments; plain values for the checkpoint."""
        return {}

    @property
    def summary(self) -> str:
        """The data in a line."""
        return f"{self.title}, {len(self.dataset)} {self.unit}"

    def targets(self, split: str) -> Tensor:
        """Targets of a part, ``[n, T]``; NaN where unknown."""
        return torch.cat([data.y for data in self.subset(split)])

    def exact_targets(self, split: str) -> Tensor:
        """As :meth:`targets`, and NaN also for those that are known as bounds alone, which have no error."""
        return exact(self.targets(split), self.column(split, "censor"))

    def column(self, split: str, name: str) -> Tensor | None:
        """What graphs of a part have for each target, ``[n, T]``: ``"weight"`` or ``"censor"``; None where they do not.

        Args:
            split: Part of the data.
            name: Which of both.
        """
        graphs = self.subset(split)
        if not len(graphs) or name not in graphs[0]:
            return None
        return torch.cat([graph[name] for graph in graphs])

    @property
    def train_targets(self) -> Tensor:
        """Targets of the training part, ``[n, T]``; NaN where unknown."""
        return self.targets("train")
