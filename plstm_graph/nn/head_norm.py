r"""Norms of what each head reads: what they keep of its size differs.

What a head reads grows with the number of nodes that it hears, differently in each head. :class:`MultiHeadRMSNorm`
brings all of it to one size, so that nothing is left of how much has arrived. :class:`MultiHeadLogNorm` keeps the size,
on a logarithmic scale. :class:`MultiHeadRatioNorm` divides by a sum that travels beside, as attention does, and keeps
that sum.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plstm_graph.nn.norm import EPS
from plstm_graph.ops.head_norm import scaled_heads
from plstm_graph.ops.shapes import wide_dtype

HeadNorm = Literal["rms", "log", "ratio"]


class MultiHeadRMSNorm(nn.Module):
    r"""Divides each head's output by its root mean square, then scales every channel.

    .. math::
        w \odot \frac{y}{\sqrt{\mathrm{mean}(y^2) + \epsilon}}

    Args:
        heads (int): Number of heads ``H``.
        channels (int): Width of a head ``V``.
        eps (float): Added to the mean square. (default: ``1e-5``)

    Shapes:
        - **input:** ``[..., H, V]``
        - **output:** ``[..., H, V]``, computed in float32 or wider
    """

    def __init__(self, heads: int, channels: int, eps: float = EPS) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(heads, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all scales to one."""
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last dimension."""
        return scaled_heads(_wide(x), self.weight, self.eps, "rms")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.size(0)}, {self.weight.size(1)})"


class MultiHeadLogNorm(MultiHeadRMSNorm):
    r"""Compresses the size of each head's output to a logarithmic scale, then scales every channel.

    .. math::
        w \odot \frac{\log(1 + r)}{r}\, y, \qquad r = \sqrt{\mathrm{mean}(y^2) + \epsilon}

    Small outputs pass as they are; a large one keeps its direction, and of its size the logarithm: at one a slope of a
    half, at a thousand a size of seven. So a network can still tell how much has arrived, and gradients stay bounded.

    Arguments and shapes are those of :class:`MultiHeadRMSNorm`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compress over the last dimension."""
        return scaled_heads(_wide(x), self.weight, self.eps, "log")


class MultiHeadRatioNorm(MultiHeadRMSNorm):
    r"""Divides each head's output by a normaliser that was carried along the same paths, and keeps its logarithm.

    .. math::
        w \odot \left(\frac{y}{|n| + \epsilon},\ \mathrm{sign}(n) \log(1 + |n| / \epsilon) \right)

    The normaliser :math:`n` is what the operator reads where a value is one: :func:`with_ones` puts that channel behind
    the values, as mLSTM does. The ratio does not fade with distance as the sum does.

    Args:
        heads (int): Number of heads ``H``.
        channels (int): Width of a head ``V``, the last channel of which is the normaliser.
        eps (float): What the normaliser is compared with. (default: ``0.1``)

    Shapes:
        - **input:** ``[..., H, V]``
        - **output:** ``[..., H, V]``, computed in float32 or wider
    """

    def __init__(self, heads: int, channels: int, eps: float = 0.1) -> None:
        if channels < 2:
            raise ValueError(f"a normaliser takes one channel, so heads must be 2 wide or more, got {channels}")
        super().__init__(heads, channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Divide the other channels by the last one."""
        read, normaliser = _wide(x).split([x.size(-1) - 1, 1], dim=-1)
        size = normaliser.abs()
        # Of either sign for itself: both have a derivative at zero, where the sign of a number has none.
        logarithm = (normaliser.clamp(min=0) / self.eps).log1p() - ((-normaliser).relu() / self.eps).log1p()
        return torch.cat([read / (size + self.eps), logarithm], dim=-1) * self.weight


_NORMS = {"rms": MultiHeadRMSNorm, "log": MultiHeadLogNorm, "ratio": MultiHeadRatioNorm}


def make_head_norm(kind: HeadNorm, heads: int, channels: int, eps: float | None = None) -> MultiHeadRMSNorm:
    """The norm behind the operator.

    Args:
        kind: ``"rms"``, ``"log"`` or ``"ratio"``.
        heads: Number of heads.
        channels: Width of a head; with ``"ratio"``, with its normaliser.
        eps: Of the norm. (default: that of its class)

    Raises:
        ValueError: If there is no such norm, or ``eps`` is no positive number.
    """
    if kind not in _NORMS:
        raise ValueError(f"head_norm must be one of {', '.join(map(repr, _NORMS))}, got {kind!r}")
    if eps is not None and not 0 < eps < math.inf:
        raise ValueError(f"norm_eps must be a positive number, got {eps}: heads that read nothing have no size")
    return _NORMS[kind](heads, channels) if eps is None else _NORMS[kind](heads, channels, eps)


def projected_channels(kind: HeadNorm, heads: int, channels: int, scores: bool = True) -> int:
    """Rows of the map to queries, keys and values; with ``"ratio"`` one value channel of each head has none.

    Args:
        kind: The norm.
        heads: Number of heads.
        channels: Width of a head.
        scores: Whether there are queries and keys.
    """
    return heads * ((3 if scores else 1) * channels - (kind == "ratio"))


def query_key_value(
    x: Tensor, weight: Tensor, norm: MultiHeadRMSNorm, scores: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of all heads, ``[..., H, V]`` each.

    Args:
        x: ``[..., C]``
        weight: Of :func:`projected_channels` rows, ``[R, C]``.
        norm: What the heads read passes it; for :class:`MultiHeadRatioNorm` values end with a channel of ones.
        scores: Whether there are queries and keys. Without them both are ones, ``[..., H, 1]``.
    """
    # One product each, not one for all: it leaves every operand contiguous.
    parts = weight.split(projected_parts(weight, norm, scores))
    return as_heads([F.linear(x, part) for part in parts], norm)


def projected_parts(weight: Tensor, norm: MultiHeadRMSNorm, scores: bool = True) -> list[int]:
    """Rows of the map to queries, of that to keys and of that to values; the last alone where there are no scores."""
    width = norm.weight.numel()
    return [width, width, weight.size(0) - 2 * width] if scores else [weight.size(0)]


def as_heads(projected: Sequence[Tensor], norm: MultiHeadRMSNorm) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as :func:`query_key_value` gives them, of what their maps give, ``[..., H * V]``."""
    *scored, value = (each.unflatten(-1, (norm.weight.size(0), -1)) for each in projected)
    value = with_ones(value) if isinstance(norm, MultiHeadRatioNorm) else value
    query, key = scored or [torch.ones_like(value[..., :1])] * 2
    return query, key, value


def with_ones(value: Tensor) -> Tensor:
    """Values with a channel of ones behind the others, ``[..., V - 1]`` to ``[..., V]``."""
    return F.pad(value, (0, 1), value=1.0)


def _wide(x: Tensor) -> Tensor:
    return x.to(wide_dtype(x))
