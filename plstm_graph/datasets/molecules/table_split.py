"""How the molecules of a table are divided into parts, or into folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.folds import TEST, TRAIN, VALID, check_fold, drawn_parts, parts_of_fold
from plstm_graph.datasets.molecules.balanced import balanced_parts
from plstm_graph.datasets.molecules.duplicates import molecule_numbers
from plstm_graph.datasets.molecules.grouping import clusters_of, joined_groups, order_of, part_numbers, sizes_of
from plstm_graph.datasets.molecules.smiles import SmilesDataset
from plstm_graph.datasets.molecules.split_file import read_split
from plstm_graph.datasets.molecules.split_kinds import KINDS, ORDERED, SEEDED
from plstm_graph.datasets.molecules.splits import (
    PARTS,
    bemis_murcko_scaffold,
    column_split,
    indices_of_parts,
    random_parts,
    scaffold_parts,
)
from plstm_graph.datasets.molecules.stratified import labelled_parts
from plstm_graph.datasets.molecules.times import time_parts, times_of


@dataclass(frozen=True)
class Split:
    """How molecules are divided.

    Args:
        by: ``"scaffold"`` (no Bemis-Murcko scaffold in two parts, the largest in training, as OGB has it),
            ``"scaffold_balanced"`` (the same, but parts get large and small scaffolds by chance), ``"random"``,
            ``"stratified"`` (every part has the same share of each class, of each tenth of the range, or of each of
            several labels), ``"group"``,
            ``"time"`` (the oldest train, the newest are tested), ``"kennard_stone"`` (those that differ most by their
            fingerprints train), ``"butina"`` (no cluster of like fingerprints in two parts), or the name of a column
            that says train, valid or test.
        group_column: Molecules with the same word in this column are never in two parts; with ``"group"`` or
            ``"stratified"``.
        fractions: Parts of the molecules in training, validation and test.
        num_folds: Number of folds of a cross-validation, in place of fractions; 0 for none.
        fold: Which of them is tested; the next one validates.
        seed: Of what is left to chance.
        time_column: Column of dates or numbers, with ``"time"``.
        cutoff: Largest Tanimoto distance of two molecules that are neighbours, with ``"butina"``.
        file: A file that says the parts in place of all this, see :func:`~.split_file.read_split`; of several splits,
            ``fold`` says which.
        repeats: Folds are no parts of a cross-validation, but the same split drawn with seeds that follow each other.
        together: Rows of the same molecule are never in two parts.

    Raises:
        ValueError: If these do not go together.
    """

    by: str = "scaffold"
    group_column: str | None = None
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    num_folds: int = 0
    fold: int = 0
    seed: int = 0
    time_column: str | None = None
    cutoff: float = 0.65
    file: str | None = None
    repeats: bool = False
    together: bool = False

    def __post_init__(self) -> None:
        if (self.by == "group") > (self.group_column is not None):
            raise ValueError("split 'group' needs group_column, the column of what stays together")
        if self.group_column is not None and self.by not in ("group", "stratified"):
            raise ValueError(f"group_column goes with split: group or split: stratified, not with {self.by!r}")
        if (self.by == "time") != (self.time_column is not None):
            raise ValueError(
                f"split: time and time_column, a column of dates or numbers, go together; got split {self.by!r} and "
                f"time_column {self.time_column!r}"
            )
        if not 0 < self.cutoff < 1:
            raise ValueError(f"cutoff is a Tanimoto distance between 0 and 1, got {self.cutoff}")
        if self.file is not None and (self.repeats or self.together):
            raise ValueError("split_file says the parts itself: repeats and duplicates: group do not go with it")
        if self.repeats and (not self.num_folds or self.by not in SEEDED):
            raise ValueError(
                f"repeats need their number, num_folds, and a split that differs by its seed ({', '.join(SEEDED)}), "
                f"got {self.num_folds} and {self.by!r}"
            )
        if self.together and self.by not in KINDS:
            raise ValueError(f"column {self.by!r} says the parts itself, so duplicates: group does not go with it")
        if self.num_folds:
            self._check_folds()
        elif self.fold:
            raise ValueError(f"fold {self.fold} is one of how many? num_folds says so")

    def _check_folds(self) -> None:
        if self.repeats or self.file is not None:
            if not 0 <= self.fold < self.num_folds:
                raise ValueError(f"folds are numbered from 0 to {self.num_folds - 1}, got {self.fold}")
            return
        check_fold(self.fold, self.num_folds)
        fitting = [kind for kind in KINDS if kind not in ORDERED]
        if self.by in ORDERED:
            raise ValueError(f"split {self.by!r} has no folds; with folds, split is one of {', '.join(fitting)}")
        if self.by not in KINDS:
            raise ValueError(
                f"column {self.by!r} says the parts itself, so there are no folds; with folds, split is one of "
                f"{', '.join(fitting)}"
            )

    @property
    def columns(self) -> list[str]:
        """Columns of the table that say how it is divided."""
        own = [] if self.by in KINDS or self.file is not None else [self.by]
        return own + [column for column in (self.group_column, self.time_column) if column is not None]

    @property
    def name(self) -> str:
        """How the molecules are divided, in a few words."""
        how = self.by if self.file is None else self.file
        if not self.num_folds:
            return how
        if self.repeats:
            return f"{how}, repeat {self.fold} of {self.num_folds}"
        return f"{how}, {'fold' if self.file is None else 'split'} {self.fold} of {self.num_folds}"

    def wanted(self, given: Sequence[str] = ()) -> dict[str, float] | None:
        """The fraction of the molecules that each part should get; None where it is said by others.

        Args:
            given: Parts that are files of their own.
        """
        if self.file is not None or self.by not in KINDS or given:
            return None
        if self.num_folds and not self.repeats:
            return {"train": 1 - 2 / self.num_folds, "valid": 1 / self.num_folds, "test": 1 / self.num_folds}
        return dict(zip(PARTS, self.fractions, strict=True))

    def divide(self, dataset: SmilesDataset, files: np.ndarray | None = None) -> dict[str, Tensor]:
        """Numbers of the molecules in ``"train"``, ``"valid"`` and ``"test"``, in order.

        Args:
            dataset: The molecules.
            files: The part of each molecule that has one by its file, and -1 for those that are divided, ``[n]``.

        Raises:
            ValueError: If a part would be empty, or it needs a column that is not there.
        """
        if self.file is not None:
            part = read_split(self.file, dataset, self.fold, self.num_folds)
        elif files is None:
            part = self._together(dataset, self.fractions)
        else:
            part = files.copy()
            open_rows = np.flatnonzero(files < 0)
            fractions = [
                0.0 if bool((files == number).any()) else fraction for number, fraction in enumerate(self.fractions)
            ]
            if self.num_folds and not self.repeats:
                raise ValueError("folds are of one table, and valid_path or test_path gives parts of their own")
            if sum(fraction > 0 for fraction in fractions) == 1:
                part[open_rows] = TRAIN
            elif len(open_rows):
                part[open_rows] = self._together(dataset[open_rows], [each / sum(fractions) for each in fractions])
        found = {name: np.flatnonzero(part == number).tolist() for number, name in enumerate(PARTS)}
        return indices_of_parts(found, "the molecules")

    def _together(self, dataset: SmilesDataset, fractions: Sequence[float]) -> np.ndarray:
        """The part of each molecule, the same for all rows of a molecule where they stay together."""
        if not self.together:
            return self._parts(dataset, fractions)
        numbers = molecule_numbers(dataset.canonical_smiles)
        if self.group_column is not None:
            return self._parts(dataset, fractions, numbers)
        _, firsts, place = np.unique(numbers, return_index=True, return_inverse=True)
        return self._parts(dataset[firsts], fractions)[place]

    def _parts(
        self, dataset: SmilesDataset, fractions: Sequence[float], molecules: np.ndarray | None = None
    ) -> np.ndarray:
        """The part of each molecule, ``[n]``; of a fraction of 0 none."""
        if self.repeats:
            again = replace(self, repeats=False, num_folds=0, fold=0, seed=self.seed + self.fold)
            return again._parts(dataset, fractions, molecules)
        if self.by not in KINDS:
            return part_numbers(column_split(dataset.table, self.by), len(dataset))
        smiles = tuple(dataset.smiles)
        if self.by == "time":
            assert self.time_column is not None
            return time_parts(times_of(dataset.table, self.time_column), fractions)
        if self.by == "kennard_stone":
            sizes = np.rint(np.cumsum(fractions) * len(smiles)).astype(int)
            part = np.full(len(smiles), TEST)
            order = order_of(smiles, int(sizes[1]))
            part[order[: sizes[0]]], part[order[sizes[0] : sizes[1]]] = TRAIN, VALID
            return part
        if self.by in ("scaffold_balanced", "butina"):
            return self._balanced(smiles, fractions)
        if not self.num_folds and self.by == "scaffold":
            return part_numbers(scaffold_parts(smiles, fractions), len(smiles))
        if not self.num_folds and self.by == "random":
            return part_numbers(random_parts(len(smiles), fractions, self.seed), len(smiles))
        if self.by == "stratified" and len(dataset.target_columns) > 1 and dataset.kind == "label":
            return self._labelled(dataset, fractions)
        groups: Sequence[str] | np.ndarray | None = self._groups(dataset)
        if molecules is not None and groups is not None:
            groups = joined_groups(groups, molecules)
        train, valid, test = fractions
        how = replace(self, fractions=(train, valid, test))
        return drawn_parts(how, len(dataset), self._targets(dataset), groups)

    def _balanced(self, smiles: tuple[str, ...], fractions: Sequence[float]) -> np.ndarray:
        """Parts of scaffolds or clusters, of which each part gets large and small ones."""
        if self.by == "butina":
            groups = clusters_of(smiles, self.cutoff)
        else:
            groups = np.array([bemis_murcko_scaffold(text) for text in smiles])
        if not self.num_folds:
            return balanced_parts(groups, sizes_of(len(smiles), fractions), self.seed, first=True)
        count = len(np.unique(groups))
        if count < self.num_folds:
            raise ValueError(f"{self.num_folds} folds need as many groups, and the number is {count}")
        size = len(smiles) / self.num_folds
        folds = balanced_parts(groups, [size] * self.num_folds, self.seed, first=False)
        return parts_of_fold(folds, self.fold, self.num_folds)

    def _labelled(self, dataset: SmilesDataset, fractions: Sequence[float]) -> np.ndarray:
        """Parts of which each has its share of every label."""
        if self.group_column is not None:
            raise ValueError(
                "split 'stratified' with group_column is by one target, and there are "
                f"{', '.join(dataset.target_columns)}; split: group keeps groups together"
            )
        labels = torch.cat([data.y for data in dataset]).numpy()
        if not self.num_folds:
            return labelled_parts(labels, sizes_of(len(labels), fractions), self.seed)
        if len(labels) < self.num_folds:
            raise ValueError(f"{self.num_folds} folds need as many rows, and the number is {len(labels)}")
        folds = labelled_parts(labels, [len(labels) / self.num_folds] * self.num_folds, self.seed)
        return parts_of_fold(folds, self.fold, self.num_folds)

    def _targets(self, dataset: SmilesDataset) -> np.ndarray | None:
        """What the split is stratified by: the only target."""
        if self.by != "stratified":
            return None
        if len(dataset.target_columns) > 1:
            raise ValueError(
                f"split 'stratified' is by one target, and there are {', '.join(dataset.target_columns)}; 'random' fits"
            )
        return torch.cat([data.y for data in dataset]).view(-1).double().numpy()

    def _groups(self, dataset: SmilesDataset) -> Sequence[str] | None:
        if self.group_column is not None:
            table = dataset.table
            groups = table.column(self.group_column)
            for row, word in enumerate(groups):
                if not word.strip():
                    raise ValueError(
                        f"{table.place(row)}: column {self.group_column!r} is empty, by which molecules stay together"
                    )
            return groups
        if self.by == "scaffold":
            return [bemis_murcko_scaffold(text) for text in dataset.smiles]
        return None
