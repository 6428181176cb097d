"""Losses of targets, some of which may be unknown, weigh more than others, or are known as bounds alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.tasks.gaussian import gaussian_losses
from plstm_graph.tasks.scale import TargetScale

Objective = Literal["mse", "l1", "gaussian", "binary", "cross_entropy", "sequence"]
#: Objectives of which a target is the number of a class.
_OF_CLASSES = ("cross_entropy", "sequence")
_LOSSES: dict[Objective, Callable[..., Tensor]] = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "binary": F.binary_cross_entropy_with_logits,
}


@dataclass(frozen=True)
class Weighing:
    """How much each target counts in the loss beside the weight of its row.

    Attributes:
        targets (Tensor, optional): Weight of each target, ``[T]``.
        classes (Tensor, optional): Weight of each class of each target, ``[T, C]``.
        unit (float): What weights of rows are divided by, so that numbers of any size may be given.
    """

    targets: Tensor | None = None
    classes: Tensor | None = None
    unit: float = 1.0

    def of(self, target: Tensor, weight: Tensor | None) -> Tensor:
        """Weights of some targets, ``[M, T]``.

        Args:
            target: ``[M, T]``; NaN where unknown.
            weight: Weights of their rows, ``[M, T]``. (default: 1)
        """
        found = torch.ones_like(target) if weight is None else weight / self.unit
        if self.targets is not None:
            found = found * self.targets.to(found)
        if self.classes is not None:
            table = self.classes.to(found)
            codes = target.nan_to_num(0).long()  # an unknown target has no loss, whatever its weight
            found = found * table[torch.arange(len(table), device=codes.device), codes]
        return found


def loss_sum(
    output: Tensor,
    target: Tensor,
    objective: Objective,
    scale: TargetScale | None = None,
    label_smoothing: float = 0.0,
    weight: Tensor | None = None,
    censor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum of the losses of known targets, and what to divide it by for their mean.

    Args:
        output: ``[..., M, O]`` on the scale that is learnt, of an ensemble with its members in front, each of which has
            a loss of its own; for ``"gaussian"`` means and logarithms of variances, ``[..., M, 2T]``.
        target: In their own unit, ``[M, T]``; NaN where unknown.
        objective: Which loss.
        scale: Of numbers; None for their own unit, and for classes.
        label_smoothing: Of the cross-entropy.
        weight: Of each target, ``[M, T]``. (default: 1)
        censor: Of numbers: 1 where the true value is above the target, -1 where it is below, 0 where it is the target,
            ``[M, T]``. A prediction on the right side of a bound has no loss, one on the wrong side that of an exact
            target; of a Gaussian it is that of all values beyond the bound. (default: 0)

    Returns:
        The sum of weight times loss, and the sum of the weights: without weights, the number of known targets.
    """
    if objective in _OF_CLASSES:
        return _of_classes(output, target if objective == "sequence" else target.view(-1), label_smoothing, weight)
    values = target if scale is None else scale.apply(target)
    values = values.to(output.device, output.dtype)
    if objective == "gaussian":
        return _of_gaussian(output, values, weight, censor)
    values = values.expand(output.shape)
    known = values.isfinite()
    if censor is not None:
        # A prediction that keeps to the bound takes its place, which leaves neither loss nor gradient.
        side = censor.to(output.device)
        output = torch.where(((output - values) * side > 0), values, output)
    found, expected = output[known], values[known]
    if weight is None:
        return _LOSSES[objective](found, expected, reduction="sum"), known.sum()
    weights = weight.to(output.device, output.dtype).expand(output.shape)[known]
    return (_LOSSES[objective](found, expected, reduction="none") * weights).sum(), weights.sum()


def _of_gaussian(output: Tensor, values: Tensor, weight: Tensor | None, censor: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of means and variances."""
    known = values.isfinite()
    losses = gaussian_losses(output, values.nan_to_num(0, 0, 0), None if censor is None else censor.to(output.device))
    weights = known.to(output.dtype) if weight is None else torch.where(known, weight.to(losses), 0)
    weights = weights.expand(losses.shape)
    return (losses * weights).sum(), weights.sum()


def _of_classes(output: Tensor, target: Tensor, label_smoothing: float, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of a class of each row, or at each of several positions."""
    known = target.isfinite()
    labels = torch.where(known, target, -1).long().expand(output.shape[:-1])
    loss = F.cross_entropy(
        output.flatten(0, -2),
        labels.reshape(-1),
        ignore_index=-1,
        reduction="sum" if weight is None else "none",
        label_smoothing=label_smoothing,
    )
    if weight is None:
        return loss, (labels >= 0).sum()
    weights = weight.to(output.device, output.dtype).view(target.shape).expand(output.shape[:-1])
    return (loss * weights.reshape(-1)).sum(), weights[labels >= 0].sum()
