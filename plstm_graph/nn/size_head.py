"""The way of raw sizes to the prediction."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plstm_graph.ops.shapes import wide_dtype

SizeScale = Literal["linear", "log"]
_LARGEST = 1e30
_FIRST_GAIN = 3.0  # of e^g: an amount of about twenty times what a head reads at first


def check_size_scale(scale: SizeScale) -> None:
    """Refuse what is no scale."""
    if scale not in get_args(SizeScale):
        raise ValueError(f"size_scale must be 'linear' or 'log', got {scale!r}")


class SizeHead(nn.Linear):
    r"""A linear map of what no norm has bounded, in float32 or wider.

    Args:
        in_channels (int): Number of sizes ``C``.
        out_channels (int): Number of targets.
        scale (str): ``"linear"``: the map as it is. It starts at zero: at first a model predicts as if it were not
            there, and sizes of thousands do no harm before it has learned what they mean. ``"log"``: the logarithm of
            an amount, for targets that are one, such as those of ``task.target_scale: log1p``,

            .. math::
                \mathrm{sign}(a) \log(1 + |a|), \qquad a = e^g\, \frac{1}{C} \sum_c w_c s_c

            With weights that start at one, a step of an optimiser changes amounts of all sizes by the same small part.
            (default: ``"linear"``)

    Shapes:
        - **input:** ``[*, in_channels]``
        - **output:** ``[*, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int, scale: SizeScale = "linear") -> None:
        check_size_scale(scale)
        super().__init__(in_channels, out_channels, bias=False)
        self.log_gain = nn.Parameter(torch.empty(out_channels)) if scale == "log" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weights to their start."""
        gain = getattr(self, "log_gain", None)  # not there yet when the linear map draws its weights
        nn.init.constant_(self.weight, 0.0 if gain is None else 1.0)
        if gain is not None:
            nn.init.constant_(gain, _FIRST_GAIN)

    def forward(self, sizes: Tensor) -> Tensor:
        """Map sizes; half precision would round a size of a thousand to a multiple of four."""
        wide = wide_dtype(self.weight)
        with torch.autocast(sizes.device.type, enabled=False):
            sizes, weight = sizes.to(wide), self.weight.to(wide)
            if self.log_gain is None:
                return F.linear(sizes, weight).to(self.weight.dtype)
            # Bounded where a product would no longer be a number.
            mean = F.linear(sizes.clamp(-_LARGEST, _LARGEST), weight / self.in_features)
            amount = mean * self.log_gain.to(wide).exp()
            # Of either sign for itself: both have a derivative at zero, where the sign of a number has none.
            return (amount.clamp(min=0).log1p() - (-amount).relu().log1p()).to(self.weight.dtype)
