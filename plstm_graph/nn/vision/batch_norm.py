"""Norms of each channel over all nodes of a batch."""

import torch
from torch import Tensor, nn

from plstm_graph.ops.shapes import wide_dtype

_EPS = 1e-5
_MOMENTUM = 0.1


class BatchNorm(nn.BatchNorm1d):
    """Batch norm of the last dimension over all others.

    Shapes:
        - **input:** ``[..., C]``
        - **output:** ``[..., C]``
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return super().forward(x.flatten(0, -2)).view(x.shape)


class BatchRMSNorm(nn.Module):
    r"""Divides each channel by its root mean square over the batch, then scales it; nothing is subtracted or added.

    So a node whose features are zero keeps them, whatever the others are. With batch norm a background, however
    empty, lies off the mean, and every sum over an image grows with the area of the background.
    In evaluation mode a running mean of the mean squares is used, as batch norm does it.

    Args:
        channels (int): Size of node features ``C``.
        dim (int): Dimension of the channels. (default: ``-1``)

    Shapes:
        - **input:** ``[..., C]``, or with ``C`` in dimension ``dim``
        - **output:** the same, computed in float32 or wider
    """

    mean_square: Tensor

    def __init__(self, channels: int, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("mean_square", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        wide = x.to(wide_dtype(x))
        shape = [1] * x.dim()
        shape[self.dim] = -1
        if self.training:
            mean_square = wide.square().mean(dim=[dim for dim, size in enumerate(shape) if size == 1])
            with torch.no_grad():
                self.mean_square.lerp_(mean_square.to(self.mean_square.dtype), _MOMENTUM)
        else:
            mean_square = self.mean_square
        return wide * ((mean_square + _EPS).rsqrt() * self.weight).view(shape)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return str(len(self.weight))
