"""How the molecules of a table are divided into parts, or into folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.folds import check_fold, drawn_parts
from plstm_graph.datasets.molecules.smiles import SmilesDataset
from plstm_graph.datasets.molecules.split_kinds import KINDS
from plstm_graph.datasets.molecules.splits import (
    PARTS,
    bemis_murcko_scaffold,
    column_split,
    indices_of_parts,
    random_split,
    scaffold_split,
)


@dataclass(frozen=True)
class Split:
    """How molecules are divided.

    Args:
        by: ``"scaffold"`` (no Bemis-Murcko scaffold in two parts), ``"random"``, ``"stratified"`` (every part has the
            same share of each class, or of each tenth of the range), ``"group"``, or the name of a column that says
            train, valid or test.
        group_column: Molecules with the same word in this column are never in two parts; with ``"group"`` or
            ``"stratified"``.
        fractions: Parts of the molecules in training, validation and test.
        num_folds: Number of folds of a cross-validation, in place of fractions; 0 for none.
        fold: Which of them is tested; the next one validates.
        seed: Of what is left to chance.

    Raises:
        ValueError: If these do not go together.
    """

    by: str = "scaffold"
    group_column: str | None = None
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    num_folds: int = 0
    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.by == "group") > (self.group_column is not None):
            raise ValueError("split 'group' needs group_column, the column of what stays together")
        if self.group_column is not None and self.by not in ("group", "stratified"):
            raise ValueError(f"group_column goes with split: group or split: stratified, not with {self.by!r}")
        if self.num_folds:
            check_fold(self.fold, self.num_folds)
            if self.by not in KINDS:
                raise ValueError(
                    f"column {self.by!r} says the parts itself, so there are no folds; with folds, split is one of "
                    f"{', '.join(KINDS)}"
                )
        elif self.fold:
            raise ValueError(f"fold {self.fold} is one of how many? num_folds says so")

    def divide(self, dataset: SmilesDataset) -> dict[str, Tensor]:
        """Numbers of the molecules in ``"train"``, ``"valid"`` and ``"test"``, in order.

        Raises:
            ValueError: If a part would be empty, or it needs a column that is not there.
        """
        if not self.num_folds:
            if self.by == "scaffold":
                return scaffold_split(list(dataset.smiles), self.fractions)
            if self.by == "random":
                return random_split(len(dataset), self.fractions, self.seed)
            if self.by not in KINDS:
                return column_split(dataset.table, self.by)
        part = drawn_parts(self, len(dataset), self._targets(dataset), self._groups(dataset))
        found = {name: np.flatnonzero(part == number).tolist() for number, name in enumerate(PARTS)}
        return indices_of_parts(found, "the molecules")

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
            for line, word in zip(table.lines, groups, strict=True):
                if not word.strip():
                    place = f"{table.path}, line {line}"
                    raise ValueError(
                        f"{place}: column {self.group_column!r} is empty, by which molecules stay together"
                    )
            return groups
        if self.by == "scaffold":
            return [bemis_murcko_scaffold(text) for text in dataset.smiles]
        return None
