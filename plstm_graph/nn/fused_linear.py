"""Several linear maps of one input as one matrix product."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn.dense import Linear


def fused_linear(x: Tensor, maps: Sequence[Linear]) -> tuple[Tensor, ...]:
    """Apply linear maps to the same input; the maps of a few columns then cost next to nothing.

    Forward hooks of the single maps do not run.

    Args:
        x: ``[N, C]``
        maps: PyG linear maps of ``C`` channels, or of -1, which take ``C`` from ``x``.

    Returns:
        One result for each map, ``[N, maps[i].out_channels]``.
    """
    return joined_linear(x, maps).split([lin.out_channels for lin in maps], dim=-1)


def joined_linear(x: Tensor, maps: Sequence[Linear]) -> Tensor:
    """What :func:`fused_linear` gives, in one tensor, ``[N, sum of maps[i].out_channels]``."""
    return F.linear(x, *joined_weight(x, maps))


def joined_weight(x: Tensor, maps: Sequence[Linear]) -> tuple[Tensor, Tensor]:
    """Weight and bias of :func:`joined_linear`."""
    take_channels(x, maps)
    weight = torch.cat([lin.weight for lin in maps])
    bias = [weight.new_zeros(lin.out_channels) if lin.bias is None else lin.bias for lin in maps]
    return weight, torch.cat(bias)


def split_where_any(joined: Tensor | None, maps: Sequence[Linear | None]) -> list[Tensor | None]:
    """The results of maps from one tensor, and None in the place of each that is None.

    Args:
        joined: What :func:`joined_linear` gives for the maps that there are; None where there is none.
        maps: Linear maps, or None.
    """
    sizes = [lin.out_channels for lin in maps if lin is not None]
    found = [] if joined is None else list(joined.split(sizes, dim=-1))
    return [None if lin is None else found.pop(0) for lin in maps]


def take_channels(x: Tensor, maps: Sequence[Linear]) -> None:
    """Let lazy maps, those of -1 channels, take their number of channels from an input.

    Args:
        x: ``[N, C]``
        maps: PyG linear maps.
    """
    for lin in maps:
        if lin.in_channels < 0:
            lin(x[:0])
