"""Descriptors of molecules: numbers of a table, RDKit's set, counts of substructures; raw, and on a common scale.

Imports no torch: worker processes start with it.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator

from plstm_graph.datasets.text_files import decimal_hint, is_missing, number_of
from plstm_graph.text import meant

#: What can be computed: RDKit's two-dimensional descriptors, and counts of circular substructures.
RDKIT, MORGAN = "rdkit2d", "morgan"
_SIZE, _LARGEST = 2048, 1 << 16  # places of counts
#: Standard deviations beyond which a descriptor tells nothing more.
CLIP = 5.0
# A bound that grows with the factorial of the size of a molecule: its logarithm is a number like the others.
_LOGARITHMIC = ("Ipc",)


class DescriptorError(ValueError):
    """A descriptor that there is not, or a cell that is no number."""


@functools.cache
def rdkit_set() -> dict[str, Callable[[Chem.Mol], float]]:
    """RDKit's descriptors, by their names."""
    from rdkit.Chem.Descriptors import descList  # takes a moment

    return dict(descList)


@dataclass(frozen=True)
class DescriptorSet:
    """Which descriptors a row of a table has.

    Attributes:
        columns (tuple[str, ...]): Columns of the table with numbers.
        kinds (tuple[str, ...]): What is computed of each molecule: ``"rdkit2d"``, ``"morgan"`` (2,048 counts of
            circular substructures of radius 2) or ``"morgan:SIZE"``.
        rdkit (tuple[str, ...]): Names of RDKit's descriptors, which differ between its versions. (default: all that
            this one has)
        allow_missing (bool): Whether an empty cell stands for the mean of the training part.

    Raises:
        DescriptorError: If there is no such kind or descriptor, or one stands twice.
    """

    columns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    rdkit: tuple[str, ...] = ()
    allow_missing: bool = False

    def __post_init__(self) -> None:
        for name in self.kinds:
            if name != RDKIT and _size(name) is None:
                raise DescriptorError(
                    f"descriptors must be {RDKIT}, {MORGAN} or {MORGAN}:SIZE, got {name!r}"
                    f"{meant(name, [RDKIT, MORGAN])}; for columns of the table there is descriptor_columns"
                )
        for names in (self.columns, [name.partition(":")[0] for name in self.kinds]):
            repeated = [name for name in names if list(names).count(name) > 1]
            if repeated:
                raise DescriptorError(f"descriptors name {repeated[0]!r} more than once")
        if RDKIT in self.kinds and not self.rdkit:
            object.__setattr__(self, "rdkit", tuple(rdkit_set()))
        missing = [name for name in self.rdkit if name not in rdkit_set()]
        if missing:
            raise DescriptorError(
                f"this RDKit ({rdBase.rdkitVersion}) lacks {len(missing)} descriptors, such as {missing[0]!r}"
            )

    def __bool__(self) -> bool:
        return bool(self.columns or self.kinds)

    def size(self, components: int) -> int:
        """Number of descriptors of a row of so many molecules."""
        return len(self.columns) + components * sum(map(self._width, self.kinds))

    def _width(self, kind: str) -> int:
        return len(self.rdkit) if kind == RDKIT else _size(kind) or 0

    def of_molecule(self, molecule: Chem.Mol) -> np.ndarray:
        """What is computed of a molecule, float32, NaN where RDKit has no number."""
        parts = [np.zeros(0, dtype=np.float32)]
        for kind in self.kinds:
            if kind == RDKIT:
                parts.append(np.array([_value(molecule, name) for name in self.rdkit], dtype=np.float32))
            else:
                parts.append(np.log1p(_generator(_size(kind) or 0).GetCountFingerprintAsNumPy(molecule)))
        return np.concatenate(parts).astype(np.float32)

    def of_cells(self, cells: Mapping[str, str]) -> list[float]:
        """The numbers of the columns of a row; NaN for those that are missing and may be.

        Args:
            cells: By the names of columns.

        Raises:
            DescriptorError: If a cell is missing, or no finite number; it names the column.
        """
        return [self._number(name, cells.get(name)) for name in self.columns]

    def _number(self, name: str, cell: str | None) -> float:
        if cell is None:
            raise DescriptorError(f"there is no column {name!r}, which the model reads as a descriptor")
        text = cell.strip()
        if is_missing(text, words=True):
            if self.allow_missing:
                return math.nan
            raise DescriptorError(f"descriptor {name!r} is empty (allow_missing takes the mean in its place)")
        value = number_of(text)
        if value is None:
            raise DescriptorError(f"descriptor {name!r} is {cell!r}, not a number{decimal_hint(text)}")
        if not math.isfinite(value):
            raise DescriptorError(f"descriptor {name!r} is {cell!r}, not a finite number")
        return value

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        names = {"columns": list(self.columns), "kinds": list(self.kinds), "rdkit": list(self.rdkit)}
        return names | {"allow_missing": self.allow_missing}

    def unscaled(self, components: int) -> np.ndarray:
        """Which descriptors are counts, that stay as they are, ``[D]``, bool."""
        of_one = [kind != RDKIT for kind in self.kinds for _ in range(self._width(kind))]
        return np.array([False] * len(self.columns) + of_one * components, dtype=bool)


@dataclass(frozen=True)
class Scaling:
    """Descriptors on a common scale: standardised by the training part, clipped, 0 where missing.

    Attributes:
        mean (numpy.ndarray): ``[D]``
        factor (numpy.ndarray): What differences from the mean are multiplied by, ``[D]``; 0 for what is the same in all
            of the training part.
    """

    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    factor: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def fit(cls, values: np.ndarray, unscaled: np.ndarray) -> "Scaling":
        """Scale by mean and standard deviation.

        Args:
            values: Of the training part, ``[n, D]``, NaN where missing.
            unscaled: Which are left as they are, ``[D]``, bool.
        """
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        deviation = np.where(known, values - mean, 0.0)
        std = np.sqrt(np.square(deviation).sum(axis=0) / count)
        varies = std > 1e-6 * np.maximum(np.abs(mean), 1e-30)
        factor = np.where(varies, 1 / np.where(varies, std, 1.0), 0.0)
        return cls(np.where(unscaled, 0.0, mean), np.where(unscaled, 1.0, factor))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Raw descriptors ``[n, D]``, NaN where missing, as the model takes them, float32."""
        scaled = np.clip((values - self.mean) * self.factor, -CLIP, CLIP)
        return np.where(np.isfinite(values), scaled, 0.0).astype(np.float32)

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"mean": self.mean.tolist(), "factor": self.factor.tolist()}

    @classmethod
    def of_plain(cls, value: Any, size: int) -> "Scaling":
        """What :meth:`to_plain` gave.

        Args:
            value: From a checkpoint of anybody.
            size: Number of descriptors.

        Raises:
            ValueError: If it is something else.
        """
        if not isinstance(value, Mapping):
            raise ValueError("there is no scale of descriptors")
        arrays = []
        for name in ("mean", "factor"):
            numbers = value.get(name)
            if not isinstance(numbers, list) or len(numbers) != size:
                raise ValueError(f"the scale of descriptors has no {size} numbers as {name}")
            if not all(isinstance(number, float) and math.isfinite(number) for number in numbers):
                raise ValueError(f"the scale of descriptors has something else than numbers as {name}")
            arrays.append(np.array(numbers, dtype=np.float64))
        return cls(*arrays)


def of_plain(value: Any) -> DescriptorSet:
    """The descriptors that a checkpoint names.

    Raises:
        ValueError: If it names none in the right way, or this RDKit lacks one.
    """
    names: dict[str, tuple[str, ...]] = {}
    for name in ("columns", "kinds", "rdkit"):
        words: Sequence[Any] = value.get(name, []) if isinstance(value, Mapping) else [None]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"its descriptors have something else for {name}")
        names[name] = tuple(words)
    return DescriptorSet(**names, allow_missing=value.get("allow_missing") is True)


def _size(kind: str) -> int | None:
    """Places of a kind of counts; None if it is none."""
    name, colon, size = kind.partition(":")
    if name != MORGAN or (colon and not (size.isdecimal() and 16 <= int(size[:9]) <= _LARGEST)):
        return None
    return int(size) if colon else _SIZE


@functools.cache
def _generator(size: int) -> Any:
    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=size)


def _value(molecule: Chem.Mol, name: str) -> float:
    try:
        value = float(rdkit_set()[name](molecule))
    except Exception:  # RDKit raises whatever stops a descriptor, such as an element without parameters
        return math.nan
    value = math.log1p(max(value, 0.0)) if name in _LOGARITHMIC and not math.isnan(value) else value
    return value if abs(value) < 1e30 else math.nan
