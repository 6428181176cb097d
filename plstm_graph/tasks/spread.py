"""How sure a prediction is: the spread of members, and intervals by what the validation part says."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from plstm_graph.tasks.conformal import COVERAGE, check_coverage
from plstm_graph.tasks.gaussian import mean_and_log_variance
from plstm_graph.tasks.metrics import Kind, to_prediction
from plstm_graph.tasks.scale import TargetScale, as_double
from plstm_graph.tasks.temperature import with_temperatures

if TYPE_CHECKING:
    from plstm_graph.tasks.calibration import Calibration


@dataclass(frozen=True)
class Assessed:
    """Predictions, and how sure they are.

    Attributes:
        values (Tensor): Values in the unit of the targets, or probabilities, ``[n, O]``.
        std (Tensor, optional): Standard deviation of each, ``[n, T]``: in the unit of the targets; of the probability
            of label 1; of that of the most probable class.
        lower (Tensor, optional): Begin of each interval, ``[n, T]``, in the unit of the targets; NaN for targets
            without intervals.
        upper (Tensor, optional): End likewise.
    """

    values: Tensor
    std: Tensor | None = None
    lower: Tensor | None = None
    upper: Tensor | None = None

    def rows(self, chosen: Tensor) -> "Assessed":
        """Some of the rows, by a mask or by their numbers."""
        parts = (self.values, self.std, self.lower, self.upper)
        return Assessed(*(None if part is None else part[chosen] for part in parts))  # type: ignore[arg-type]


def assess(
    outputs: Tensor,
    kind: Kind,
    scale: TargetScale | None,
    calibration: "Calibration | None" = None,
    coverage: float = COVERAGE,
    gaussian: bool = False,
) -> Assessed:
    r"""Predictions from what the members of an ensemble give, or one model alone.

    The prediction is that of the mean over members, on the scale that they learn. The deviation of a number,
    :math:`\sigma` on that scale, is brought back as half the distance between what
    :math:`\mu + \sigma` and :math:`\mu - \sigma` are in the unit of the targets: exact where the scale is linear. Ends
    of intervals are brought back one by one, so that as many measured values lie between them as on the scale.

    Args:
        outputs: ``[M, n, O]``: values on the scale that is learnt, or logits.
        kind: Of the targets.
        scale: Of numbers.
        calibration: Of the model; without one there are no intervals, and probabilities are those of the logits.
        coverage: Part of the measured values that intervals are to hold.
        gaussian: Whether members give variances of numbers, too, see :mod:`plstm_graph.tasks.gaussian`.

    Raises:
        ValueError: If the coverage is no part.
    """
    check_coverage(coverage)
    if kind != "regression":
        return _probabilities(outputs, kind, calibration)
    mean, std = spread_on_scale(outputs, gaussian)
    if calibration is not None and len(calibration.intervals) not in (0, mean.size(1)):
        raise ValueError(f"the calibration is of {len(calibration.intervals)} targets, the model gives {mean.size(1)}")

    def restored(values: Tensor) -> Tensor:
        return values if scale is None else scale.restore(values)

    values = restored(members_mean(outputs)[:, : mean.size(1)])
    deviation = None if std is None else (restored(mean + std) - restored(mean - std)) / 2
    if calibration is None or not calibration.intervals:
        return Assessed(values, deviation)
    half = torch.stack(
        [
            interval.half_width(None if std is None else std[:, number], mean[:, number], coverage)
            for number, interval in enumerate(calibration.intervals)
        ],
        dim=1,
    )
    if bool(half.isnan().all()) and half.numel():
        return Assessed(values, deviation)
    return Assessed(values, deviation, restored(mean - half), restored(mean + half))


def members_mean(outputs: Tensor) -> Tensor:
    """Mean over the members ``[M, n, O]``; of one of them what it gives."""
    return outputs.mean(dim=0) if len(outputs) > 1 else outputs[0]


def spread_on_scale(outputs: Tensor, gaussian: bool = False) -> tuple[Tensor, Tensor | None]:
    """Mean and standard deviation of numbers on the scale that is learnt, ``[n, T]`` each, in float64.

    Args:
        outputs: Of each member, ``[M, n, T]``.
        gaussian: Whether members give variances, too, ``[M, n, 2T]``.

    Returns:
        The mean over the members; their unbiased standard deviation, None for one member. With variances it is the root
        of their mean plus the variance of the members' means, that of an equal mixture of them.
    """
    if not gaussian:
        mean = as_double(members_mean(outputs))
        return mean, as_double(outputs).std(dim=0) if len(outputs) > 1 else None
    means, log_variances = mean_and_log_variance(outputs)
    variance = as_double(log_variances).exp().mean(dim=0)
    if len(outputs) > 1:
        variance = variance + as_double(means).var(dim=0)
    return as_double(members_mean(means)), variance.sqrt()


def _probabilities(outputs: Tensor, kind: Kind, calibration: "Calibration | None") -> Assessed:
    if calibration is not None and calibration.temperatures:
        if kind != "multiclass" and len(calibration.temperatures) != outputs.size(2):
            raise ValueError(
                f"the calibration is of {len(calibration.temperatures)} targets, the model gives {outputs.size(2)}"
            )
        outputs, mean = (
            with_temperatures(each, calibration.temperatures, kind) for each in (outputs, members_mean(outputs))
        )
    else:
        mean = members_mean(outputs)
    values = to_prediction(mean, kind)
    if kind == "sequence" or len(outputs) == 1:
        return Assessed(values)
    std = to_prediction(outputs, kind).std(dim=0)
    return Assessed(values, std.gather(1, values.argmax(dim=1, keepdim=True)) if kind == "multiclass" else std)
