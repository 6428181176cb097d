"""What every data module here shares: a split, loaders that see each graph once, and what ``fit`` reports."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from plstm_graph.tasks.metrics import Task
from plstm_graph.tasks.sampler import EpochBatchSampler
from plstm_graph.train.problem import Problem

Baselines = dict[str, Tensor]


class GraphDataModule(LightningDataModule):
    """Graphs in a training, validation and test part.

    Under several processes each graph is seen once per epoch by one process, in training and in evaluation.

    Args:
        batch_size (int): Graphs per batch and process.
        num_workers (int): Processes that load batches; 0 is fastest for graphs in memory on a CPU.
        seed (int): Seed of the order of training.
    """

    #: What the graphs are called.
    unit = "graphs"

    def __init__(self, batch_size: int, num_workers: int, seed: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed

    @property
    @abstractmethod
    def dataset(self) -> Any:
        """All graphs."""

    @property
    @abstractmethod
    def problem(self) -> Problem | None:
        """What the data ask of a model; None if the configuration has to say it."""

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
    def baselines(self, task: Task) -> Baselines:
        """Predictions for the test part by simple models that were fitted on the training part."""

    @property
    def classes(self) -> list[list[str]]:
        """Names of the classes of each target; empty for numbers, and where they have no names."""
        return [[] for _ in self.target_names]

    def use_task(self, task: Task, classes: Sequence[Sequence[str]] | None = None) -> None:
        """Say what is to be learnt before the data are read, for data that do not say it themselves.

        Args:
            task: The task.
            classes: Names of the classes of each target, if a trained model knows them already.
        """

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

    def prepare_data(self) -> None:
        """Process the data, in one process only."""
        _ = self.dataset

    def setup(self, stage: str) -> None:
        """Load the graphs and check the parts, before anything is trained."""
        _ = self.splits

    def train_dataloader(self) -> DataLoader:
        """Batches of the training part in a new order each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Batches of the validation part."""
        return self._loader("valid")

    def test_dataloader(self) -> DataLoader:
        """Batches of the test part."""
        return self._loader("test")

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        rank, world_size, epoch = 0, 1, 0
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            # Lightning sets the epoch after it has started the workers, too late for the first epoch of a resumed run.
            epoch = self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        subset: Any = self.subset(split)
        sampler = EpochBatchSampler(len(subset), self.batch_size, shuffle, self.seed, rank, world_size, epoch)
        return DataLoader(
            subset, batch_sampler=sampler, num_workers=self.num_workers, persistent_workers=self.num_workers > 0
        )
