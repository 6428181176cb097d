"""Targets of molecules: a CSV table, or the set that comes with RDKit."""

import functools
import hashlib
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.transforms import BaseTransform

from plstm_graph.config.parser import make_transform
from plstm_graph.datasets import BadRow, BadRowsWarning, ChEMBL2321810, SmilesDataset
from plstm_graph.datasets.molecules.descriptors import DescriptorSet, Scaling
from plstm_graph.datasets.molecules.duplicates import Duplicates, one_row_each
from plstm_graph.datasets.molecules.fingerprints import morgan_fingerprints
from plstm_graph.datasets.molecules.similarity import packed_fingerprints
from plstm_graph.datasets.molecules.smiles import check_finite
from plstm_graph.datasets.molecules.smiles_targets import TargetKind
from plstm_graph.datasets.molecules.split_kinds import KINDS
from plstm_graph.datasets.molecules.splits import PARTS
from plstm_graph.datasets.molecules.table_split import Split
from plstm_graph.tasks.baseline_fits import MOST_ROWS, Fit, Samples, baseline_fits, drawn_rows
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs, Problem
from plstm_graph.tasks.metric_names import chosen_metrics
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.molecule_notes import alike_classes, odd_parts, repeated_molecules
from plstm_graph.tasks.supervised import check_kind, check_likelihood, supervised
from plstm_graph.tasks.weights import WeightOptions
from plstm_graph.transforms import ToDAG

_KINDS: dict[Kind, TargetKind] = {
    "regression": "number",
    "binary": "label",
    "multilabel": "label",
    "multiclass": "class",
    "sequence": "number",
}


class MoleculeTable(LabelledGraphs):
    """Molecules of a CSV table, or of the set that comes with RDKit, in a training, validation and test split.

    Args:
        path (str, optional): A table with a SMILES column and targets. (default: the 1,017 molecules with measured
            activity, ChEMBL2321810, that RDKit carries)
        smiles_column (str or int, optional): Name of the SMILES column, or its place, from 0. (default: found by its
            name or its cells)
        target_columns (list, optional): Names of the target columns, or places. (default: the only other column that
            has a name)
        split (Split, optional): How the molecules are divided. (default: by scaffold, 80 / 10 / 10)
        pre_transform (BaseTransform, optional): Applied to each molecule once, before it is stored. (default:
            :class:`~plstm_graph.transforms.ToDAG`; ``torch_geometric.transforms.Compose([])`` keeps bonds in both
            directions)
        allow_missing (bool): Empty target cells are missing labels rather than bad rows.
        root (str): Folder for processed molecules.
        censored (bool): Whether cells of numbers may be bounds, such as ``>10``.
        weight_column (str, optional): Column of the weights of rows.
        valid_path (str, optional): A table of its own for the validation part, with the same columns in any order.
        test_path (str, optional): Likewise for the test part.
        duplicates (str): What is done about rows of the same molecule: ``"keep"`` them, ``"drop"`` all but the first,
            ``"mean"`` of their targets in the first row (within each part, where files or a column say the parts),
            or ``"group"``, all in one part.
        descriptors (DescriptorSet, optional): Descriptors that models read beside the graphs.
        scaling (Scaling, optional): Their scale. (default: by mean and standard deviation of the training part)
    """

    kind = "molecules"
    unit = "molecules"

    def __init__(
        self,
        path: str | None = None,
        smiles_column: str | int | Sequence[str | int] | None = None,
        target_columns: Sequence[str | int] | None = None,
        split: Split | None = None,
        pre_transform: BaseTransform | None = None,
        allow_missing: bool = False,
        root: str = "datasets",
        censored: bool = False,
        weight_column: str | None = None,
        valid_path: str | None = None,
        test_path: str | None = None,
        duplicates: Duplicates = "keep",
        descriptors: DescriptorSet | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        self.split = Split() if split is None else split
        self._files = {part: Path(file) for part, file in (("valid", valid_path), ("test", test_path)) if file}
        if self._files and path is None:
            raise ValueError("valid_path and test_path go with path, the table that trains")
        if self._files and (self.split.file or self.split.together):
            raise ValueError(
                "valid_path and test_path say the parts: split_file and duplicates: group do not go with it"
            )
        given = [Path(file).expanduser() for file in (path, *self._files.values()) if file]
        if len(set(given)) < len(given):
            raise ValueError("path, valid_path and test_path must be different files")
        self.duplicates = duplicates
        self._merged: list[str] = []
        self.path = path
        self.smiles_column = smiles_column
        self.target_columns = target_columns
        self.pre_transform = ToDAG() if pre_transform is None else pre_transform
        self.allow_missing = allow_missing
        self.root = root
        self.censored, self.weight_column = censored, weight_column
        self.descriptors = DescriptorSet() if descriptors is None else descriptors
        self.scaling = scaling
        self._kind: TargetKind = "number"
        self._classes: Sequence[Sequence[str]] | None = None
        self._fingerprints: dict[str, Tensor] = {}

    def use_kind(self, kind: Kind, classes: Sequence[Sequence[str]] | None = None) -> None:
        """Read targets as numbers, as labels 0 and 1 or as classes, whose names may be words.

        Args:
            kind: Of the targets.
            classes: Names of the classes of each target, if a trained model knows them already.
        """
        read_as = _KINDS[kind]
        if read_as != self._kind or classes is not None:
            for name in ("dataset", "splits"):
                self.__dict__.pop(name, None)
        self._kind, self._classes = read_as, classes if read_as != "number" and any(classes or ()) else None

    @property
    def classes(self) -> list[list[str]]:
        """Names of the classes of each target; empty for numbers."""
        return self.dataset.classes

    @property
    def reading(self) -> dict[str, Any]:
        """Names of the classes of each target; further columns of SMILES, and descriptors, if there are any."""
        reading: dict[str, Any] = {"classes": self.classes}
        if len(self.dataset.smiles_columns) > 1:
            reading["more_smiles"] = self.dataset.smiles_columns[1:]
        if self.descriptors and self.scaling is not None:
            reading["descriptors"] = self.descriptors.to_plain() | {"scaling": self.scaling.to_plain()}
        return reading

    def place(self, split: str, row: int, column: int) -> str:
        """File, line and column of a target."""
        place = self.dataset.table.place(int(self.splits[split][row]))
        return f"{place}: target {self.target_names[column]!r}"

    @property
    def title(self) -> str:
        """What the molecules are called."""
        return "ChEMBL2321810 (from RDKit)" if self.path is None else self.path

    @property
    def problem(self) -> Problem:
        """OGB's features of atoms and bonds, and a column for each target or class."""
        columns = len(self.classes[0]) if self._kind == "class" else len(self.target_names)
        kinds: dict[TargetKind, Kind] = {"number": "regression", "label": "multilabel", "class": "multiclass"}
        components = len(self.dataset.smiles_columns)
        found = Problem(
            kinds[self._kind],
            "graph",
            columns,
            "atom",
            "bond",
            descriptors=self.descriptors.size(components),
            components=components,
        )
        return found.after(self.pre_transform)

    @functools.cached_property
    def dataset(self) -> SmilesDataset:
        """All molecules of the table that can be used."""
        with warnings.catch_warnings():
            # `bad_rows` has them, and `fit` shows them; the warning would say it once more.
            warnings.simplefilter("ignore", BadRowsWarning)
            given: dict[str, Any] = {
                "kind": self._kind,
                "classes": self._classes,
                "pre_transform": self.pre_transform,
                "log": sys.stderr.isatty(),
                "descriptors": self.descriptors,
            }
            if self.path is None:
                dataset: SmilesDataset = ChEMBL2321810(self.root, **given)
            else:
                folder = str(Path(self.root) / Path(self.path).name.split(".")[0])
                columns = self.smiles_column, self.target_columns
                given |= {"censored": self.censored, "weight_column": self.weight_column}
                given |= {"allow_missing": self.allow_missing, "more_paths": list(self._files.values())}
                given["no_targets"] = self.split.columns
                dataset = SmilesDataset(folder, self.path, *columns, **given)
        check_finite(dataset)
        values = dataset.descriptors if self.descriptors else None
        if self.duplicates in ("drop", "mean"):
            dataset, self._merged = one_row_each(dataset, self.duplicates == "mean", self._given_parts(dataset))
        if values is not None:
            if self.scaling is None:
                rows = values[list(dataset.indices())][self._divide(dataset)["train"].numpy()]
                self.scaling = Scaling.fit(rows, self.descriptors.unscaled(len(dataset.smiles_columns)))
            dataset.attach(torch.from_numpy(self.scaling.apply(values)))
        return dataset

    @property
    def bad_rows(self) -> list[BadRow]:
        """Line and reason of each row that was left out."""
        return self.dataset.bad_rows

    @property
    def target_names(self) -> list[str]:
        """Names of the targets."""
        return self.dataset.target_columns

    @property
    def output_names(self) -> list[str]:
        """Names of the targets, or ``target: class`` for each of several classes."""
        if self._kind != "class":
            return self.target_names
        return [f"{self.target_names[0]}: {word}" for word in self.classes[0]]

    @property
    def split_name(self) -> str:
        """How the molecules are divided."""
        files = ", ".join(f"{part} of {file}" for part, file in self._files.items())
        if len(self._files) == 2:
            return files
        return f"{self.split.name}, {files}" if files else self.split.name

    @property
    def digest(self) -> str:
        """What changes whenever the table or the file of its split does."""
        file = self.split.file
        if file is None:
            return super().digest
        return f"{super().digest}-{hashlib.sha256(Path(file).expanduser().read_bytes()).hexdigest()[:8]}"

    @property
    def summary(self) -> str:
        """The table in a line."""
        bad = len(self.bad_rows)
        rows = {0: "no bad rows", 1: "1 bad row left out"}.get(bad, f"{bad} bad rows left out")
        return f"{self.title}, {len(self.dataset)} molecules, {rows}"

    @property
    def notes(self) -> list[str]:
        """How the table was read, molecules that stand in several rows, and line and reason of rows left out."""
        left_out = [f"left out, line {row.line}: {row.reason}" for row in self.bad_rows]
        smiles, splits = list(self.dataset.smiles), self.splits
        of = f" (of {'repeat' if self.split.repeats else 'fold'} {self.split.fold})" if self.split.num_folds else ""
        repeated = repeated_molecules(self.dataset.table, self.dataset.canonical_smiles, splits, of)
        odd = odd_parts(splits, self.split.wanted(list(self._files)), smiles, self.split.by)
        alike = alike_classes(self.target_names, self.classes)
        return [*self.dataset.table.notes, *self._merged, *alike, *repeated, *odd, *left_out]

    @functools.cached_property
    def splits(self) -> dict[str, Tensor]:
        """Numbers of the molecules in ``"train"``, ``"valid"`` and ``"test"``."""
        if self.path is None and (self.split.by not in KINDS or self.split.group_column is not None):
            raise ValueError(f"split must be one of {', '.join(KINDS)} for {self.title}, got {self.split.by!r}")
        return self._divide(self.dataset)

    def _divide(self, dataset: SmilesDataset) -> dict[str, Tensor]:
        if not self._files:
            return self.split.divide(dataset)
        part_of = {file.expanduser(): PARTS.index(part) for part, file in self._files.items()}
        files = np.array([part_of.get(file, -1) for file in dataset.table.files], dtype=np.int64)
        return self.split.divide(dataset, files)

    def _given_parts(self, dataset: SmilesDataset) -> np.ndarray | None:
        """The part of each row by which rows of a molecule are not averaged across; None if parts are drawn later."""
        if self.duplicates != "mean":
            return None
        if self._files:
            _, found = np.unique(list(map(str, dataset.table.files)), return_inverse=True)
            return found
        if self.split.file is None and self.split.by in KINDS:
            return None
        parts = np.full(len(dataset), -1, dtype=np.int64)
        for number, rows in enumerate(self._divide(dataset).values()):
            parts[rows.numpy()] = number
        return parts

    def subset(self, split: str) -> SmilesDataset:
        """The molecules of ``"train"``, ``"valid"`` or ``"test"``."""
        return self.dataset[self.splits[split]]

    def split_table(self) -> tuple[list[str], list[list[str]]]:
        """Line, SMILES and part of each molecule; with its file, where there are several."""
        splits, table = self.splits, self.dataset.table
        part_of = {int(row): part for part, rows in splits.items() for row in rows}
        rows = []
        for row, smiles in enumerate(table.column(self.dataset.smiles_column)):
            place = [str(table.file(row))] if self._files else []
            rows.append([*place, str(table.lines[row]), smiles, part_of.get(row, "")])
        return [*(["file"] if self._files else []), "line", "smiles", "part"], rows

    def row_names(self, split: str) -> dict[str, list[str]]:
        """The SMILES of a split."""
        return {"smiles": [data.smiles for data in self.subset(split)]}

    def fingerprints(self, split: str) -> Tensor:
        """What substructures the molecules of a part have."""
        if split not in self._fingerprints:
            self._fingerprints[split] = packed_fingerprints(self.row_names(split)["smiles"])
        return self._fingerprints[split]

    def baseline_fits(self, kind: Kind, seed: int) -> dict[str, Fit]:
        """Models on fingerprints, and descriptors if any, of 30,000 molecules of the training part at most."""
        name = "Morgan and descriptors" if self.descriptors else "Morgan"
        return baseline_fits(functools.cache(partial(self._fingerprinted, seed)), kind, seed, name)

    def _fingerprinted(self, seed: int) -> Samples:
        targets = {split: self.targets(split) for split in self.splits}
        rows, note = drawn_rows(len(targets["train"]), MOST_ROWS, seed)
        subsets = {split: self.subset(split) for split in targets}
        if note:
            subsets["train"], targets["train"] = subsets["train"][rows], targets["train"][rows]
        return Samples({split: self._features(subset) for split, subset in subsets.items()}, targets, note)

    def _features(self, subset: SmilesDataset) -> np.ndarray:
        """Fingerprints of each molecule of a row, side by side, and its descriptors."""
        table = subset.table
        parts = [morgan_fingerprints(table.column(name)).astype(np.float32) for name in self.dataset.smiles_columns]
        if self.descriptors:
            parts.append(torch.cat([data.descriptors for data in subset]).numpy())
        return np.hstack(parts)


def molecules(
    root: str,
    path: str | None = None,
    kind: Kind = "regression",
    smiles_column: list[str | int] | str | int | None = None,
    target_columns: list[str | int] | str | int | None = None,
    split: str = "scaffold",
    group_column: str | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    num_folds: int = 0,
    fold: int = 0,
    seed: int = 0,
    pre_transform: dict[str, Any] | None = None,
    allow_missing: bool = False,
    metrics: list[str] | None = None,
    metric: str | None = None,
    weight_column: str | None = None,
    class_weights: str | list[float] | dict[str, float] | None = None,
    pos_weight: float | list[float] | dict[str, float] | None = None,
    target_weights: list[float] | dict[str, float] | None = None,
    balanced_batches: bool = False,
    censored: bool = False,
    likelihood: str | None = None,
    time_column: str | None = None,
    cutoff: float = 0.65,
    split_file: str | None = None,
    repeats: bool = False,
    valid_path: str | None = None,
    test_path: str | None = None,
    duplicates: Duplicates = "keep",
    components: Literal["concatenated", "pooled"] = "concatenated",
    descriptors: list[str] | str | None = None,
    descriptor_columns: list[str] | str | None = None,
) -> GraphTask:
    """Targets of the molecules of a table, or of the set that comes with RDKit.

    Args:
        root: As of :class:`MoleculeTable`, and so are all that are not named here.
        path: A table with a SMILES column and targets. (default: the molecules that RDKit carries)
        kind: ``"regression"``, ``"binary"`` (labels 0 and 1, or two words), ``"multilabel"`` (several such) or
            ``"multiclass"`` (one column of classes).
        smiles_column: Name of the SMILES column, or its place, from 0; a list of several, as [solute, solvent], makes
            one graph of the molecules of a row. Splits are by the first. (default: found by its name or its cells)
        target_columns: Names of the target columns, or places; one alone needs no list. (default: the only other
            column that has a name)
        split: As of :class:`~plstm_graph.datasets.molecules.table_split.Split`, which calls it ``by``, and so are the
            five that follow.
        group_column: What stays together.
        fractions: Sizes of the parts.
        num_folds: Folds in their place.
        fold: Which is tested.
        seed: Of what is left to chance.
        pre_transform: Class and arguments of a transform, applied to each molecule once. (default: ToDAG)
        allow_missing: Empty target cells are missing labels rather than bad rows.
        metrics: Names of metrics that are reported, such as [rmse, spearman]: of numbers rmse, mae, r2, pearson,
            spearman, max_error, mape; of labels auroc, ap, accuracy, balanced_accuracy, f1, mcc, brier, nll; of classes
            accuracy, balanced_accuracy, f1, mcc, kappa, auroc_ovr, nll. (default: rmse, mae, r2; auroc, ap; accuracy,
            f1)
        metric: The one that selects epochs and choices, see ``--metric``. (default: the first of them)
        weight_column: Column with the weight of each row in the loss, numbers from 0. Metrics are not weighted.
        class_weights: Weights of classes in the loss: balanced, so that all count alike however many rows they have;
            or a weight for each class, as a list in their order or by their names.
        pos_weight: Weight of label 1 in the loss, where label 0 has 1; of several targets also a list, or by names.
        target_weights: Weight of each of several targets in the loss, a list or by their names.
        balanced_batches: Draw molecules of all classes equally often, in place of weights.
        censored: Cells of numbers may be bounds such as >10 or <0.5. The loss then asks for no more than a prediction
            on the right side; metrics leave bounds out.
        likelihood: gaussian, for a model that gives the standard deviation of each number with it; predictions then
            have it as std. (default: squared errors)
        time_column: Column of dates or numbers, with split: time; the oldest rows train, the newest are tested.
        cutoff: Largest Tanimoto distance of neighbours, with split: butina.
        split_file: A CSV or JSON file that says the parts, such as the split.csv of a run, in place of split.
        repeats: Folds are the same split drawn with as many seeds, not those of a cross-validation; see ``--repeats``.
        valid_path: A table of its own for the validation part, with the same columns in any order.
        test_path: Likewise for the test part.
        duplicates: What is done about rows of the same molecule: ``"keep"`` them, ``"drop"`` all but the first,
            ``"mean"`` of their targets in the first row (within each part, where files or a column say the parts),
            or ``"group"``, all in one part.
        components: How models read the molecules of several columns: each is pooled by itself, and the vectors are
            concatenated, so that it matters which is which, or pooled, so that it does not.
        descriptors: Numbers that are computed of each molecule and read beside its graph: rdkit2d (RDKit's set), morgan
            (2,048 counts of substructures) or morgan:SIZE, or a list of them.
        descriptor_columns: Columns with numbers that are read so too, such as temperature. An empty cell makes a bad
            row; with allow_missing the mean of the training part takes its place.
    """
    check_kind(kind)
    check_likelihood(likelihood, kind)
    chosen_metrics(kind, metrics, metric)
    weights = WeightOptions(class_weights, pos_weight, target_weights, balanced_batches)
    weights.check(kind)
    if censored and kind != "regression":
        raise ValueError(f"censored is of numbers (kind: regression), and kind is {kind}")
    own = {"censored": censored, "weight_column": weight_column, "descriptor_columns": descriptor_columns}
    for option, value in own.items():
        if path is None and value:
            raise ValueError(f"{option} is of a table of your own, --task.path my_molecules.csv")
    if path is None and isinstance(smiles_column, list):
        raise ValueError("several columns of SMILES are of a table of your own, --task.path my_molecules.csv")
    given_set = DescriptorSet(_names(descriptor_columns), _names(descriptors), allow_missing=allow_missing)
    transform = make_transform(pre_transform)
    if isinstance(smiles_column, list):  # before they are read
        Problem("regression", "graph", 1, "atom", "bond", components=len(smiles_column)).after(transform)
    if descriptor_columns and duplicates in ("drop", "mean"):
        raise ValueError(
            f"duplicates: {duplicates} would take rows of a molecule for the same, which differ in "
            "descriptor_columns; 'group' keeps them in one part"
        )
    if duplicates == "mean" and (weight_column is not None or split == "time"):
        why = "rows have weights of their own" if weight_column is not None else "later values would be learnt from"
        raise ValueError(f"duplicates: mean takes no mean where {why}; 'group' keeps rows of a molecule in one part")
    together = duplicates == "group"
    drawn = split, group_column, fractions, num_folds, fold, seed
    how = Split(*drawn, time_column, cutoff, split_file, repeats, together)
    targets = [target_columns] if isinstance(target_columns, str | int) else target_columns
    table = MoleculeTable(
        path,
        smiles_column,
        targets,
        how,
        transform,
        allow_missing,
        root,
        censored,
        weight_column,
        valid_path,
        test_path,
        duplicates,
        given_set,
    )
    table.use_kind(kind)
    given: dict[str, Any] = {"smiles_column": table.dataset.smiles_column, "pre_transform": pre_transform}
    if censored:
        given["censored"] = True
    return supervised(table, kind, given, num_folds, metrics, metric, weights, likelihood, components)


def _names(given: list[str] | str | None) -> tuple[str, ...]:
    """Names that were given as a list, or one of them alone."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)
