"""Molecules that stand in several rows: kept, dropped, or one row with the mean of their targets."""

import copy
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from plstm_graph.datasets.molecules.smiles import SmilesDataset

#: What is done about molecules that stand in several rows.
Duplicates = Literal["keep", "drop", "mean", "group"]


def molecule_numbers(canonical: Sequence[str]) -> np.ndarray:
    """The same number for rows of the same canonical SMILES, ``[n]``; from 0, by first rows."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(text, len(first)) for text in canonical], dtype=np.int64)


def one_row_each(
    dataset: SmilesDataset, mean: bool, parts: np.ndarray | None = None
) -> tuple[SmilesDataset, list[str]]:
    """A data set in which each molecule stands once: in its first row.

    Args:
        dataset: The molecules.
        mean: Whether the row gets the mean of the targets of all rows of its molecule, of each target that is known.
        parts: A number for each row, ``[n]``: a molecule stands once with each of them, so that no row gets targets of
            a row with another. (default: the same for all)

    Returns:
        The data set, and a note about the rows that are gone, if there are any.

    Raises:
        ValueError: If targets to be averaged are classes, or bounds of values.
    """
    numbers = molecule_numbers(dataset.canonical_smiles)
    if parts is not None:
        numbers = np.unique(np.stack([numbers, parts]), axis=1, return_inverse=True)[1].reshape(-1)
    _, firsts = np.unique(numbers, return_index=True)
    if len(firsts) == len(numbers):
        return dataset, []
    if mean and dataset.kind != "number":
        raise ValueError("duplicates: mean averages numbers, and these targets are classes; 'drop' keeps the first row")
    lines = dataset.table.lines
    gone = sorted(set(range(len(numbers))) - set(firsts.tolist()))
    shown = ", ".join(str(lines[row]) for row in gone[:8]) + (", ..." if len(gone) > 8 else "")
    how = "averaged into the first row of each molecule" if mean else "left out, as an earlier row has the molecule"
    kept = dataset[sorted(firsts.tolist())]
    if mean:
        kept._data = copy.copy(dataset._data)
        kept._data.y = _means(dataset, torch.from_numpy(numbers))
        kept._data_list = None
    return kept, [f"{len(gone)} rows {how}: lines {shown}"]


def _means(dataset: SmilesDataset, number: Tensor) -> Tensor:
    """Targets of all rows, each the mean of those of its molecule; NaN where none is known."""
    censor = dataset._data.get("censor")
    if censor is not None and bool((censor != 0).any()):
        raise ValueError("duplicates: mean averages values, and some targets are bounds; 'drop' or 'group' fit")
    values = dataset._data.y
    known = values.isfinite()
    shape = (int(number.max()) + 1, values.size(1))
    sums = values.new_zeros(shape).index_add_(0, number, values.nan_to_num())
    count = values.new_zeros(shape).index_add_(0, number, known.to(values.dtype))
    return (sums / count)[number]
