"""The way of raw sizes to the prediction."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SizeHead(nn.Linear):
    """A linear map of what no norm has bounded, in float32 or wider, that starts at zero.

    At first a model predicts as if it were not there; sizes of thousands then do no harm before the map has learned
    what they mean.

    Args:
        in_channels (int): Number of sizes.
        out_channels (int): Number of targets.

    Shapes:
        - **input:** ``[*, in_channels]``
        - **output:** ``[*, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, bias=False)

    def reset_parameters(self) -> None:
        """Set all weights to zero."""
        nn.init.zeros_(self.weight)

    def forward(self, sizes: Tensor) -> Tensor:
        """Map sizes; half precision would round a size of a thousand to a multiple of four."""
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(sizes.device.type, enabled=False):
            return F.linear(sizes.to(wide), self.weight.to(wide)).to(self.weight.dtype)
