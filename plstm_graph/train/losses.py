"""Losses that several trainings share."""

from torch import Tensor
from torch.nn import functional as F


def class_loss(output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of classes; each member of an ensemble has a loss of its own.

    Args:
        output: Scores ``[..., C]``, or ``[M, ..., C]`` of an ensemble.
        target: Numbers of the classes, ``[...]``, int64.
        label_smoothing: As in :func:`torch.nn.functional.cross_entropy`.
    """
    target = target.expand(output.shape[:-1]).reshape(-1)
    return F.cross_entropy(output.reshape(-1, output.size(-1)), target, label_smoothing=label_smoothing)
