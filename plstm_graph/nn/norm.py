"""Norms of node features, and of each head on its own."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NormKind = Literal["rms", "batch"]


# In place of the machine's precision, torch's default: where many nodes are zero, as empty pixels and padding are, that
# makes gradients thousands of times larger in every layer, until they overflow.
_EPS = 1e-5


def rms_norm(channels: int) -> nn.RMSNorm:
    """The root-mean-square norm of all models here: torch's, with an ``eps`` that does not depend on the precision."""
    return nn.RMSNorm(channels, eps=_EPS)


def make_norm(kind: NormKind, channels: int) -> nn.Module:
    """The norm of node features ``[N, channels]`` before a layer.

    Args:
        kind: ``"rms"``: each node by its own root mean square. ``"batch"``: each channel over all nodes of the batch,
            as GIN and the models derived from it do; it regularises, and keeps apart what differs in size only.
        channels: Number of channels.
    """
    if kind not in ("rms", "batch"):
        raise ValueError(f"norm must be 'rms' or 'batch', got {kind!r}")
    return rms_norm(channels) if kind == "rms" else nn.BatchNorm1d(channels)


class MultiHeadRMSNorm(nn.Module):
    r"""Divides each head's output by its root mean square, then scales every channel.

    The operator's outputs grow with the number of ancestors, differently in each head; this brings all heads to one
    size whatever the depth.

    Args:
        heads (int): Number of heads ``H``.
        channels (int): Width of a head ``V``.
        eps (float): Added to the mean square. (default: ``1e-5``)

    Shapes:
        - **input:** ``[..., H, V]``
        - **output:** ``[..., H, V]``, computed in float32 or wider
    """

    def __init__(self, heads: int, channels: int, eps: float = _EPS) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(heads, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all scales to one."""
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last dimension."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.rms_norm(x, x.shape[-1:], eps=self.eps) * self.weight

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.size(0)}, {self.weight.size(1)})"
