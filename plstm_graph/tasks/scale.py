"""The unit of targets: what is subtracted and divided before training, and put back into predictions."""

import math
from typing import Any

import torch
from torch import Tensor

from plstm_graph.datasets.moments import Moments, centre_and_scale


def as_double(values: Tensor) -> Tensor:
    """Values in float64, on the CPU if their device has no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


class TargetScale:
    """Mean and standard deviation of each target, in float64 whatever precision the model has.

    Not buffers of a module: casting a model to half precision, or moving it to a device without float64, must not
    change the unit of its predictions.

    Args:
        mean (Tensor): ``[T]``
        std (Tensor): ``[T]``
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean.double().cpu(), std.double().cpu()

    @classmethod
    def fit(cls, targets: Tensor) -> "TargetScale":
        """The scale of the targets of the training part.

        Args:
            targets: ``[n, T]``; NaN where none was measured. Equal ones get their own size as their scale.

        Raises:
            ValueError: If a target was never measured; it gives their numbers.
        """
        columns = []
        for column in as_double(targets).cpu().t():
            moments = Moments()
            moments.update(column.numpy())
            columns.append(moments)
        missing = [number for number, moments in enumerate(columns) if moments.count == 0]
        if missing:
            raise ValueError(f"targets number {missing} have no measured value in the training split")
        pairs = torch.tensor([centre_and_scale(moments) for moments in columns], dtype=torch.double)
        return cls(*pairs.view(-1, 2).unbind(dim=1))

    @classmethod
    def identity(cls) -> "TargetScale":
        """Mean 0 and standard deviation 1."""
        return cls(torch.zeros(1), torch.ones(1))

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "TargetScale":
        """From what :meth:`to_plain` gave."""
        return cls(*(torch.tensor(values[name], dtype=torch.double) for name in ("mean", "std")))

    def to_plain(self) -> dict[str, list[float]]:
        """Plain values for a checkpoint."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def standardise(self, targets: Tensor) -> Tensor:
        """Targets with mean 0 and standard deviation 1, ``[..., T]`` float64; NaN stays."""
        values = as_double(targets)
        return (values - self.mean.to(values.device)) / self.std.to(values.device)

    def restore(self, output: Tensor) -> Tensor:
        """Values in the unit of the targets, ``[..., T]`` float64, of standardised ones."""
        values = as_double(output)
        return values * self.std.to(values.device) + self.mean.to(values.device)


def is_scale(values: Any) -> bool:
    """Whether plain values of a file are what :meth:`TargetScale.to_plain` gives."""
    if not isinstance(values, dict) or set(values) != {"mean", "std"}:
        return False
    lists = list(values.values())
    numbers = all(isinstance(each, list) and all(isinstance(value, float) for value in each) for each in lists)
    return numbers and len(lists[0]) == len(lists[1]) > 0 and all(map(math.isfinite, [*lists[0], *lists[1]]))
