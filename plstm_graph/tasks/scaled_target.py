"""What a model of numbers learns in place of the numbers themselves."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.tasks.scale import TargetScale, as_double

TargetKind = Literal["raw", "standard", "log", "log1p"]
_LOGARITHMS = ("log", "log1p")
# The logarithm of the largest number of which the square is a number, too; outputs beyond it are taken for it.
_LARGEST_LOG = 350.0


class ScaledTarget:
    """A scale of targets: models learn on it, and their outputs are brought back before any metric sees them.

    Args:
        kind (str): ``"raw"`` (the targets themselves), ``"standard"`` (mean 0 and standard deviation 1 in the training
            part), ``"log"`` (the same of ``log(1 + y)``, for sizes that differ by orders of magnitude) or ``"log1p"``
            (``log(1 + y)`` itself, for models whose outputs are logarithms of amounts).
        scale (TargetScale): Mean and standard deviation, of the logarithms with ``"log"``.
    """

    def __init__(self, kind: TargetKind, scale: TargetScale) -> None:
        self.kind, self.scale = kind, scale

    @property
    def is_logarithm(self) -> bool:
        """Whether models learn logarithms of ``1 + y``."""
        return self.kind in _LOGARITHMS

    @classmethod
    def fit(cls, kind: TargetKind, graphs: Sequence[Data]) -> "ScaledTarget":
        """The scale of the targets of the training part.

        Args:
            kind: See above.
            graphs: With targets ``y`` ``[M, T]``; NaN where none was measured.

        Raises:
            ValueError: If there is no such kind; if a mean is taken and no target was measured; or if a target has no
                logarithm, with the number of its graph.
        """
        if kind in _LOGARITHMS:
            for number, graph in enumerate(graphs):
                _check_logarithms(kind, graph.y, f": graph {number} of the training part has")
        # A part without graphs is for whoever loads the task to refuse.
        targets = [graph.y.view(-1, graph.y.size(-1)) for graph in graphs]
        return cls.of_targets(kind, torch.cat(targets) if targets else torch.empty(0, 1))

    @classmethod
    def of_targets(cls, kind: TargetKind, targets: Tensor) -> "ScaledTarget":
        """The scale of targets ``[M, T]``, NaN where none was measured.

        Raises:
            ValueError: If there is no such kind, a mean is taken and no target was measured, or a target has no
                logarithm.
        """
        if kind not in get_args(TargetKind):
            raise ValueError(f"target_scale must be 'raw', 'standard', 'log' or 'log1p', got {kind!r}")
        _check_logarithms(kind, targets, ", got")
        if kind in ("raw", "log1p"):
            return cls(kind, TargetScale.identity())
        values = as_double(targets)
        return cls(kind, TargetScale.fit(values.log1p() if kind == "log" else values))

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "ScaledTarget":
        """From what :meth:`to_plain` gave."""
        return cls(values["kind"], TargetScale.of_plain({name: values[name] for name in ("mean", "std")}))

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"kind": self.kind, **self.scale.to_plain()}

    def apply(self, targets: Tensor) -> Tensor:
        """Targets on the scale that models learn, ``[M, T]``; NaN stays."""
        if self.kind == "raw":
            return targets
        return self.scale.standardise(as_double(targets).log1p() if self.is_logarithm else targets)

    def restore(self, output: Tensor) -> Tensor:
        """Outputs ``[M, T]`` in the unit of the targets, float64."""
        values = self.scale.restore(output)
        return values.clamp(max=_LARGEST_LOG).expm1() if self.is_logarithm else values


def _check_logarithms(kind: TargetKind, targets: Tensor, where: str) -> None:
    without = targets[targets <= -1] if kind in _LOGARITHMS else targets[:0]
    if without.numel():
        raise ValueError(
            f"target_scale {kind!r} is of log(1 + y), which needs targets above -1{where} {float(without[0]):g}; "
            "choose 'raw' or 'standard'"
        )
