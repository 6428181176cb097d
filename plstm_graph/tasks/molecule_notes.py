"""What is to be said of the parts of a table of molecules: molecules in several parts, and parts of other sizes."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from plstm_graph.datasets.molecules.splits import bemis_murcko_scaffold
from plstm_graph.datasets.table import Table

_SHOWN = 4  # molecules that stand in several rows, and rows of each
_FAR = 0.4  # how far, in parts of its size, a part may be from it without a word


def repeated_molecules(table: Table, canonical: Sequence[str], splits: Mapping[str, Tensor], of: str) -> list[str]:
    """How many molecules stand in several rows, how many in several parts, and the first of them; in a line.

    Args:
        table: The rows.
        canonical: SMILES of each, the same for the same molecule.
        splits: Numbers of the rows in each part.
        of: Which parts these are, where there are several splits; such as ``" (of fold 0)"``.
    """
    part_of = {int(row): part for part, rows in splits.items() for row in rows}
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(canonical):
        rows_of.setdefault(text, []).append(row)
    repeated = [rows for rows in rows_of.values() if len(rows) > 1]
    if not repeated:
        return []
    across = [len({part_of.get(row) for row in rows}) > 1 for rows in repeated]
    shown = [rows for _, rows in sorted(zip(across, repeated, strict=True), key=lambda each: not each[0])[:_SHOWN]]

    def place(row: int) -> str:
        file = table.file(row)
        of_file = "" if file == table.path else f" of {file.name}"
        return f"{table.lines[row]}{of_file} ({part_of.get(row, 'no part')})"

    texts = [" and ".join(place(row) for row in rows[:_SHOWN]) for rows in shown]
    kinds = "1 molecule stands" if len(repeated) == 1 else f"{len(repeated)} molecules stand"
    return [
        f"{kinds} in several rows ({sum(map(len, repeated))} rows), {sum(across)} of them in several parts{of}: lines "
        f"{'; lines '.join(texts)}{'; ...' if len(repeated) > _SHOWN else ''}"
    ]


def alike_classes(names: Sequence[str], classes: Sequence[Sequence[str]]) -> list[str]:
    """A line for each target of which two classes differ in capitals alone.

    Args:
        names: Of the targets.
        classes: Names of the classes of each.
    """
    notes = []
    for name, words in zip(names, classes, strict=True):
        lower = [word.casefold() for word in words]
        alike = [word for word in words if lower.count(word.casefold()) > 1]
        if alike:
            notes.append(f"target {name!r}: classes {', '.join(map(repr, alike))} differ in capitals alone")
    return notes


def odd_parts(
    splits: Mapping[str, Tensor], wanted: Mapping[str, float] | None, smiles: Sequence[str], by: str
) -> list[str]:
    """A line on parts that are far from their size, and one on molecules that are in none.

    Args:
        splits: Numbers of the molecules in each part.
        wanted: Fraction of the molecules that each part should have; None where nobody says.
        smiles: Of all molecules.
        by: Kind of the split.
    """
    total, notes = len(smiles), []
    missing = total - sum(len(rows) for rows in splits.values())
    if missing:
        notes.append(f"{missing} of {total} molecules are in no part, as the file of the split leaves them out")
    sizes = {part: len(rows) / total for part, rows in splits.items()}
    far = [part for part, size in (wanted or {}).items() if abs(sizes[part] - size) > _FAR * size + 1 / total]
    if wanted and far:
        text = ", ".join(f"{part} has {sizes[part]:.0%} in place of {wanted[part]:.0%}" for part in far)
        notes.append(f"parts are far from their sizes: {text}{_acyclic(smiles, by)}")
    return notes


def _acyclic(smiles: Sequence[str], by: str) -> str:
    """How many molecules share the scaffold of those without a ring, if they are many."""
    if not by.startswith("scaffold"):
        return ""
    count = sum(bemis_murcko_scaffold(text) == "" for text in smiles)
    if count < len(smiles) / 20:
        return ""
    share = f"{count} of {len(smiles)} molecules have no ring, and all share the empty scaffold"
    return f"; {share}: split: butina divides them"
