"""Scales of targets: what models of numbers learn in place of the numbers, and how outputs are brought back."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.moments import Moments, centre_and_scale

TargetKind = Literal["raw", "standard", "log", "log1p"]
_LOGARITHMS = ("log", "log1p")
# The logarithm of the largest number of which the square is a number, too; outputs beyond it are taken for it.
_LARGEST_LOG = 350.0


def as_double(values: Tensor) -> Tensor:
    """Values in float64, on the CPU if their device has no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


class TargetScale:
    """A scale of targets: models learn on it, and their outputs are brought back before any metric sees them.

    Mean and deviation are float64 whatever precision the model has, and no buffers of a module: casting a model to half
    precision, or moving it to a device without float64, must not change the unit of its predictions.

    Args:
        kind (str): ``"raw"`` (the targets themselves), ``"standard"`` (mean 0 and standard deviation 1 in the training
            part), ``"log"`` (the same of ``log(1 + y)``, for sizes that differ by orders of magnitude) or ``"log1p"``
            (``log(1 + y)`` itself, for models whose outputs are logarithms of amounts).
        mean (Tensor): ``[T]``, of the logarithms with ``"log"``; ``[1]`` for one scale of all targets.
        std (Tensor): Likewise.
    """

    def __init__(self, kind: TargetKind, mean: Tensor, std: Tensor) -> None:
        self.kind, self.mean, self.std = kind, mean.double().cpu(), std.double().cpu()

    @property
    def is_logarithm(self) -> bool:
        """Whether models learn logarithms of ``1 + y``."""
        return self.kind in _LOGARITHMS

    @classmethod
    def fit(cls, kind: TargetKind, targets: Tensor) -> "TargetScale":
        """The scale of the targets of the training part.

        Args:
            kind: See above.
            targets: ``[M, T]``; NaN where none was measured. Equal ones get their own size as their scale.

        Raises:
            ValueError: If there is no such kind, a target has no logarithm, or a mean is taken and a target was never
                measured; it gives their numbers.
        """
        if kind not in get_args(TargetKind):
            raise ValueError(f"target_scale must be 'raw', 'standard', 'log' or 'log1p', got {kind!r}")
        _check_logarithms(kind, targets, ", got")
        if kind in ("raw", "log1p"):
            return cls(kind, torch.zeros(1), torch.ones(1))
        values = as_double(targets).cpu()
        columns = []
        for column in (values.log1p() if kind == "log" else values).t():
            moments = Moments()
            moments.update(column.numpy())
            columns.append(moments)
        missing = [number for number, moments in enumerate(columns) if moments.count == 0]
        if missing:
            raise ValueError(f"targets number {missing} have no measured value in the training split")
        pairs = torch.tensor([centre_and_scale(moments) for moments in columns], dtype=torch.double)
        return cls(kind, *pairs.view(-1, 2).unbind(dim=1))

    @classmethod
    def of_graphs(cls, kind: TargetKind, graphs: Sequence[Data]) -> "TargetScale":
        """As :meth:`fit`, of targets ``y`` ``[M, T]`` of graphs; a target without a logarithm is named by its graph."""
        for number, graph in enumerate(graphs if kind in _LOGARITHMS else ()):
            _check_logarithms(kind, graph.y, f": graph {number} of the training part has")
        # A part without graphs is for whoever loads the task to refuse.
        targets = [graph.y.view(-1, graph.y.size(-1)) for graph in graphs]
        return cls.fit(kind, torch.cat(targets) if targets else torch.empty(0, 1))

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "TargetScale":
        """From what :meth:`to_plain` gave."""
        return cls(values["kind"], *(torch.tensor(values[name], dtype=torch.double) for name in ("mean", "std")))

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"kind": self.kind, "mean": self.mean.tolist(), "std": self.std.tolist()}

    def apply(self, targets: Tensor) -> Tensor:
        """Targets on the scale that models learn, ``[..., T]``; NaN stays."""
        if self.kind == "raw":
            return targets
        values = as_double(targets)
        values = values.log1p() if self.is_logarithm else values
        return (values - self.mean.to(values.device)) / self.std.to(values.device)

    def restore(self, output: Tensor) -> Tensor:
        """Outputs ``[..., T]`` in the unit of the targets, float64."""
        values = as_double(output)
        values = values * self.std.to(values.device) + self.mean.to(values.device)
        return values.clamp(max=_LARGEST_LOG).expm1() if self.is_logarithm else values


def is_scale(values: Any, num_targets: int) -> bool:
    """Whether plain values of a file are those of a scale of so many targets, or of one for all of them."""
    if not isinstance(values, dict) or set(values) != {"kind", "mean", "std"}:
        return False
    mean, std = values["mean"], values["std"]
    lists = all(isinstance(each, list) and all(isinstance(value, float) for value in each) for each in (mean, std))
    return (
        values["kind"] in get_args(TargetKind)
        and lists
        and len(mean) == len(std)
        and len(mean) in (1, num_targets)
        and all(map(math.isfinite, [*mean, *std]))
    )


def _check_logarithms(kind: TargetKind, targets: Tensor, where: str) -> None:
    without = targets[targets <= -1] if kind in _LOGARITHMS else targets[:0]
    if without.numel():
        raise ValueError(
            f"target_scale {kind!r} is of log(1 + y), which needs targets above -1{where} {float(without[0]):g}; "
            "choose 'raw' or 'standard'"
        )
