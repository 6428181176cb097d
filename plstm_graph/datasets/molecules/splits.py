"""Splits into training, validation and test part. Each is a dict of sorted indices; none depends on anything hidden."""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import torch
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold
from torch import Tensor

from plstm_graph.datasets.molecules.molecule import parse_smiles
from plstm_graph.datasets.table import Table, TableError

PARTS = ("train", "valid", "test")
_PART_OF = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid"}
_PART_OF |= {"test": "test", "testing": "test"}


def scaffold_split(smiles: Sequence[str], fractions: Sequence[float] = (0.8, 0.1, 0.1)) -> dict[str, Tensor]:
    """Split by Bemis-Murcko scaffold (with chirality), so that molecules of one scaffold stay in one part.

    Scaffold sets go from the largest to the smallest, equal ones from the later to the earlier first molecule, into
    the training part while they fit, then into the validation part, else into the test part: the rule of OGB, whose
    official splits it reproduces. The test part gets the rare scaffolds, which is harder than a random split.

    Args:
        smiles: One SMILES for each molecule.
        fractions: Fractions of the training, validation and test part.

    Returns:
        Sorted indices under ``"train"``, ``"valid"`` and ``"test"``.

    Raises:
        InvalidSmilesError: If a SMILES cannot be read.
        ValueError: If fractions are not three positive numbers of sum 1, or a part would be empty.
    """
    _check_fractions(fractions)
    parts = scaffold_parts(smiles, fractions)
    count = len({bemis_murcko_scaffold(text) for text in smiles})
    return indices_of_parts(parts, f"{len(smiles)} molecules with {count} scaffolds")


def scaffold_parts(smiles: Sequence[str], fractions: Sequence[float]) -> dict[str, list[int]]:
    """The parts of :func:`scaffold_split`; a part of fraction 0 is empty, and so may be others of few molecules."""
    train_end, valid_end = _ends(len(smiles), fractions)
    members = defaultdict(list)
    for index, text in enumerate(smiles):
        members[bemis_murcko_scaffold(text)].append(index)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for group in sorted(members.values(), key=lambda group: (len(group), group[0]), reverse=True):
        num_train, num_valid = len(parts["train"]), len(parts["valid"])
        if num_train + len(group) <= train_end:
            parts["train"] += group
        elif num_train + num_valid + len(group) <= valid_end:
            parts["valid"] += group
        else:
            parts["test"] += group
    return parts


def random_split(n: int, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> dict[str, Tensor]:
    """Split at random.

    Args:
        n: Number of graphs.
        fractions: Fractions of the training, validation and test part.
        seed: The same seed gives the same split, whatever the state of the global generator.

    Returns:
        Sorted indices under ``"train"``, ``"valid"`` and ``"test"``.

    Raises:
        ValueError: If fractions are not three positive numbers of sum 1, or a part would be empty.
    """
    _check_fractions(fractions)
    return indices_of_parts(random_parts(n, fractions, seed), f"{n} graphs")


def random_parts(n: int, fractions: Sequence[float], seed: int) -> dict[str, list[int]]:
    """The parts of :func:`random_split`; a part of fraction 0 is empty, and so may be others of few graphs."""
    train_end, valid_end = _ends(n, fractions)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    return {"train": order[:train_end], "valid": order[train_end:valid_end], "test": order[valid_end:]}


def column_split(table: Table, column: str) -> dict[str, Tensor]:
    """A split that the table gives itself.

    Args:
        table: The table; ``dataset.table`` of a :class:`~plstm_graph.datasets.SmilesDataset` has its rows in the order
            of its graphs.
        column: Column with ``train``, ``valid`` (also ``val``, ``validation``) or ``test`` in every row.

    Returns:
        Sorted indices of rows under ``"train"``, ``"valid"`` and ``"test"``.

    Raises:
        TableError: If there is no such column, a row has another word (it names the line), or a part is empty.
    """
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, text in enumerate(table.column(column)):
        part = part_of_word(text)
        if part is None:
            raise TableError(f"{table.place(index)}: column {column!r} is {text!r}, expected one of {', '.join(PARTS)}")
        parts[part].append(index)
    return indices_of_parts(parts, f"column {column!r} of {table.path}")


def part_of_word(word: str) -> str | None:
    """The part that a word means, in any capitals; None if it means none."""
    return _PART_OF.get(word.strip().casefold())


@lru_cache(maxsize=1_000_000)  # each fold asks anew
def bemis_murcko_scaffold(smiles: str) -> str:
    """Rings and the chains between them, as a canonical SMILES with chirality; empty for a molecule without rings.

    Args:
        smiles: One molecule.

    Raises:
        InvalidSmilesError: If RDKit cannot read the SMILES.
    """
    scaffold: Chem.Mol = MurckoScaffold.GetScaffoldForMol(parse_smiles(smiles))
    return Chem.MolToSmiles(scaffold)


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != len(PARTS) or min(fractions) <= 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise ValueError(f"fractions must be three positive numbers of sum 1 ({', '.join(PARTS)}), got {fractions}")


def _ends(n: int, fractions: Sequence[float]) -> tuple[int, int]:
    """Where the training and the validation part end."""
    # 0.7 + 0.1 is a little less than 0.8 in floating point, and must not cost a molecule.
    return math.floor(fractions[0] * n + 1e-6), math.floor((fractions[0] + fractions[1]) * n + 1e-6)


def indices_of_parts(parts: dict[str, list[int]], of: str) -> dict[str, Tensor]:
    """Sorted indices of each part, none of which is empty.

    Args:
        parts: Indices by the names of :data:`PARTS`.
        of: What is divided, for the error.

    Raises:
        TableError: If a part is empty; it gives the sizes of all.
    """
    for part, members in parts.items():
        if not members:
            sizes = ", ".join(f"{name} {len(parts[name])}" for name in PARTS)
            raise TableError(f"the {part} part of {of} would be empty ({sizes})")
    return {part: torch.tensor(sorted(members)) for part, members in parts.items()}
