"""What a model was trained on, so that what is unlike it can be told: fingerprints of molecules, sizes of DAGs."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.molecules.similarity import BYTES, nearest_similarity
from plstm_graph.datasets.storage.plain_values import as_dataclass
from plstm_graph.tasks.labelled import LabelledGraphs

#: Where the recipe of a model has it, and where a checkpoint has the fingerprints of the training molecules.
DOMAIN, FINGERPRINTS = "domain", "fingerprints"
#: Training molecules that are kept; of more of them, as many at equal distances in their order.
MOST_MOLECULES = 100_000
#: Part of the validation molecules that are less similar to the training set than the threshold.
_PART = 0.05


@dataclass(frozen=True)
class Domain:
    """Of a training set.

    Attributes:
        similarity (float, optional): Of molecules, the similarity to the training set that 95 of 100 validation
            molecules reach, see :func:`~plstm_graph.datasets.molecules.similarity.nearest_similarity`. Of those below
            it validation says little: neither the error nor the width of an interval is known there.
        sizes (dict[str, list[int]]): Of DAGs, the least and the largest number of ``"nodes"`` and of ``"levels"``.
    """

    similarity: float | None = None
    sizes: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of_plain(cls, values: Any) -> "Domain":
        """From what :meth:`to_plain` gave.

        Raises:
            ValueError: If it is no such thing.
        """
        made = as_dataclass(cls, values)
        if made.similarity is not None and not 0 <= made.similarity <= 1:
            raise ValueError(f"the least similarity is {made.similarity}, which is not between 0 and 1")
        for name, size in made.sizes.items():
            if name not in ("nodes", "levels") or len(size) != 2 or not 0 <= size[0] <= size[1]:
                raise ValueError(f"the sizes {name!r:.40} are {size}"[:200])
        return made

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @property
    def described(self) -> list[str]:
        """What carries a warning in predictions, in words, for a report."""
        texts = [f"graphs with fewer than {low} or more than {high} {name}" for name, (low, high) in self.sizes.items()]
        if self.similarity is not None:
            texts.append(f"molecules with a similarity below {self.similarity:.2f} to the nearest training molecule")
        return [f"predict warns of {text}" for text in texts]

    def unlike(self, similarity: Tensor) -> list[str]:
        """What to say of molecules: empty for those that are like the training set.

        Args:
            similarity: Of each to the training set, ``[n]``.
        """
        threshold = -math.inf if self.similarity is None else self.similarity
        return [
            f"unlike the training molecules: 95 of 100 of validation have a similarity of {threshold:.2f} or more"
            if value < threshold
            else ""
            for value in similarity.tolist()
        ]

    def outside(self, graph: Data) -> str:
        """What to say of a DAG: empty if it is as large as those of the training set."""
        found = [
            f"{count} {name}, where training graphs have {low} to {high}"
            for name, count in _sizes(graph).items()
            for low, high in [self.sizes.get(name, [count, count])]
            if not low <= count <= high
        ]
        return "; ".join(found)


def domain_of(labelled: LabelledGraphs) -> tuple[Domain, Tensor | None]:
    """What graphs with names were trained on.

    Returns:
        What a recipe keeps of it; and of molecules the fingerprints of the training part, ``[n, 256]``.
    """
    training = labelled.fingerprints("train")
    if training is None:
        found = [_sizes(graph) for graph in labelled.subset("train")]
        counts = {name: [sizes[name] for sizes in found] for name in found[0]}
        return Domain(sizes={name: [min(of), max(of)] for name, of in counts.items()}), None
    training = training[torch.arange(0, len(training), max(1, -(-len(training) // MOST_MOLECULES)))]
    validation = labelled.fingerprints("valid")
    assert validation is not None
    nearest = nearest_similarity(validation, training)
    return Domain(float(nearest.double().quantile(_PART, interpolation="lower"))), training


def check_fingerprints(values: Any) -> Tensor | None:
    """Fingerprints of a checkpoint, None if it has none.

    Raises:
        ValueError: If they are something else.
    """
    if values is None:
        return None
    if not isinstance(values, Tensor) or values.dtype != torch.uint8 or values.layout != torch.strided:
        raise ValueError("the fingerprints of its training molecules are no bytes")
    if values.dim() != 2 or values.size(1) != BYTES or not 0 < len(values) <= MOST_MOLECULES:
        raise ValueError(f"the fingerprints of its training molecules are {list(values.shape)}, not [n, {BYTES}]")
    return values


def _sizes(graph: Data) -> dict[str, int]:
    nodes = graph.num_nodes or 0
    levels = int(graph.level.max()) + 1 if nodes and "level" in graph else 0
    return {"nodes": nodes, "levels": levels}


def similarity_column(values: Tensor) -> list[str]:
    """Cells of similarities ``[n]``."""
    return [f"{value:.3f}" for value in values.tolist()]
