"""The way of raw sizes to the prediction."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SizeScale = Literal["linear", "log"]
_LARGEST = 1e30


class SizeHead(nn.Linear):
    r"""A linear map of what no norm has bounded, in float32 or wider, that starts at zero.

    At first a model predicts as if it were not there; sizes of thousands then do no harm before the map has learned
    what they mean.

    Args:
        in_channels (int): Number of sizes.
        out_channels (int): Number of targets.
        scale (str): ``"linear"``, or ``"log"`` for the map of :math:`\mathrm{arsinh}(e^g s)`, a logarithm for sizes of
            both signs: where the target is itself the logarithm of an amount. What is small is learnt for each size,
            :math:`g` begins at 3. (default: ``"linear"``)

    Shapes:
        - **input:** ``[*, in_channels]``
        - **output:** ``[*, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int, scale: SizeScale = "linear") -> None:
        if scale not in get_args(SizeScale):
            raise ValueError(f"size_scale must be 'linear' or 'log', got {scale!r}")
        super().__init__(in_channels, out_channels, bias=False)
        self.log_gain = nn.Parameter(torch.empty(in_channels)) if scale == "log" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all weights to zero."""
        nn.init.zeros_(self.weight)
        gain = getattr(self, "log_gain", None)  # not there yet when the linear map draws its weights
        if gain is not None:
            nn.init.constant_(gain, 3.0)

    def forward(self, sizes: Tensor) -> Tensor:
        """Map sizes; half precision would round a size of a thousand to a multiple of four."""
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(sizes.device.type, enabled=False):
            sizes = sizes.to(wide)
            if self.log_gain is not None:
                # Bounded where a product would no longer be a number.
                sizes = (sizes.clamp(-_LARGEST, _LARGEST) * self.log_gain.to(wide).exp()).asinh()
            return F.linear(sizes, self.weight.to(wide)).to(self.weight.dtype)
