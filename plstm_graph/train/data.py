"""Tables of molecules, split and batched for training."""

import functools
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform

from plstm_graph.datasets import (
    BadRow,
    BadRowsWarning,
    ChEMBL2321810,
    SmilesDataset,
    column_split,
    random_split,
    scaffold_split,
)
from plstm_graph.train.sampler import EpochBatchSampler
from plstm_graph.transforms import ToDAG


class MoleculeDataModule(LightningDataModule):
    """Molecules of a CSV table, or of the set that comes with RDKit, in a training, validation and test split.

    Under several processes each molecule is seen once per epoch by one process, in training and in evaluation.

    Args:
        path (str, optional): A CSV with a SMILES column and targets. (default: the 1,017 molecules with measured
            activity, ChEMBL2321810, that RDKit carries)
        smiles_column (str): Name of the SMILES column.
        target_columns (list[str], optional): Names of the target columns. (default: the only other column)
        split (str): ``"scaffold"`` (no Bemis-Murcko scaffold in two splits), ``"random"``, or the name of a column that
            says train, valid or test.
        fractions (tuple[float, float, float]): Parts of the molecules in training, validation and test.
        seed (int): Seed of the random split and of the order of training.
        batch_size (int): Molecules per batch and process.
        num_workers (int): Processes that load batches; 0 is fastest for molecules in memory on a CPU.
        pre_transform (BaseTransform, optional): Applied to each molecule once, before it is stored. (default:
            :class:`~plstm_graph.transforms.ToDAG`; ``torch_geometric.transforms.Compose([])`` keeps bonds in both
            directions)
        allow_missing (bool): Empty target cells are missing labels rather than bad rows.
        root (str): Folder for processed molecules.
    """

    def __init__(
        self,
        path: str | None = None,
        smiles_column: str = "smiles",
        target_columns: list[str] | None = None,
        split: str = "scaffold",
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
        pre_transform: BaseTransform | None = None,
        allow_missing: bool = False,
        root: str = "datasets",
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.path = path
        self.smiles_column = smiles_column
        self.target_columns = target_columns
        self.split = split
        self.fractions = fractions
        self.seed = seed
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.pre_transform = ToDAG() if pre_transform is None else pre_transform
        self.allow_missing = allow_missing
        self.root = root

    @property
    def title(self) -> str:
        """What the molecules are called."""
        return "ChEMBL2321810 (from RDKit)" if self.path is None else self.path

    @functools.cached_property
    def dataset(self) -> SmilesDataset:
        """All molecules of the table that can be used."""
        with warnings.catch_warnings():
            # `bad_rows` has them, and `fit` shows them; the warning would say it once more.
            warnings.simplefilter("ignore", BadRowsWarning)
            if self.path is None:
                dataset: SmilesDataset = ChEMBL2321810(
                    self.root, pre_transform=self.pre_transform, log=sys.stderr.isatty()
                )
            else:
                dataset = SmilesDataset(
                    str(Path(self.root) / Path(self.path).name.split(".")[0]),
                    self.path,
                    self.smiles_column,
                    self.target_columns,
                    allow_missing=self.allow_missing,
                    pre_transform=self.pre_transform,
                    log=sys.stderr.isatty(),
                )
        check_finite(dataset)
        return dataset

    @property
    def bad_rows(self) -> list[BadRow]:
        """Line and reason of each row that was left out."""
        return self.dataset.bad_rows

    @property
    def target_names(self) -> list[str]:
        """Names of the targets."""
        return self.dataset.target_columns

    @functools.cached_property
    def splits(self) -> dict[str, Tensor]:
        """Numbers of the molecules in ``"train"``, ``"valid"`` and ``"test"``."""
        if self.split == "scaffold":
            return scaffold_split(list(self.dataset.smiles), self.fractions)
        if self.split == "random":
            return random_split(len(self.dataset), self.fractions, self.seed)
        if self.path is None:
            raise ValueError(f"split must be 'scaffold' or 'random' for {self.title}, got {self.split!r}")
        return column_split(self.dataset.table, self.split)

    def subset(self, split: str) -> SmilesDataset:
        """The molecules of ``"train"``, ``"valid"`` or ``"test"``."""
        return self.dataset[self.splits[split]]

    @property
    def train_targets(self) -> Tensor:
        """Targets of the training split, ``[n, T]``; NaN where none was measured."""
        return torch.cat([data.y for data in self.subset("train")])

    def prepare_data(self) -> None:
        """Process the table, in one process only."""
        _ = self.dataset

    def setup(self, stage: str) -> None:
        """Load the molecules and check the splits, before anything is trained."""
        _ = self.splits

    def train_dataloader(self) -> DataLoader:
        """Batches of the training split in a new order each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Batches of the validation split."""
        return self._loader("valid")

    def test_dataloader(self) -> DataLoader:
        """Batches of the test split."""
        return self._loader("test")

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        rank, world_size, epoch = 0, 1, 0
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            # Lightning sets the epoch after it has started the workers, too late for the first epoch of a resumed run.
            epoch = self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        subset = self.subset(split)
        sampler = EpochBatchSampler(len(subset), self.batch_size, shuffle, self.seed, rank, world_size, epoch)
        return DataLoader(
            subset, batch_sampler=sampler, num_workers=self.num_workers, persistent_workers=self.num_workers > 0
        )


def check_finite(dataset: Sequence[Data]) -> None:
    """Check that features are finite and targets are finite or missing.

    Args:
        dataset: Graphs with floating-point or integer features.

    Raises:
        ValueError: If a value is infinite, or a feature is NaN; it names the graph and the value's place.
    """
    for number, data in enumerate(dataset):
        for name in ("x", "edge_attr", "y"):
            values = data.get(name)
            if values is None or not values.is_floating_point():
                continue
            bad = values.isinf() if name == "y" else ~values.isfinite()
            if bad.any():
                place = bad.nonzero()[0].tolist()
                smiles = f" ({data.smiles})" if "smiles" in data else ""
                raise ValueError(f"graph {number}{smiles} has {name}{place} = {float(values[tuple(place)])}")
