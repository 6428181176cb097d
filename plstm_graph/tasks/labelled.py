"""Graphs with targets and a split: what tables of molecules and folders of DAGs share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.problem import Problem

Baselines = dict[str, Tensor]


class LabelledGraphs(ABC):
    """Graphs in a training, validation and test part, with the names that predictions have.

    Attributes:
        kind (str): Class of the data in checkpoints, by which `predict` reads others like them.
        unit (str): What the graphs are called.
        seed (int): Of the baselines.
    """

    kind = ""
    unit = "graphs"
    seed = 0

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
    def baselines(self, kind: Kind) -> Baselines:
        """Predictions for the test part by simple models that were fitted on the training part."""

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

    @property
    def train_targets(self) -> Tensor:
        """Targets of the training part, ``[n, T]``; NaN where unknown."""
        return self.targets("train")
