"""Norms of node features."""

from typing import Literal, get_args

from torch import nn

NormKind = Literal["rms", "batch", "none"]


# In place of the machine's precision, torch's default: where many nodes are zero, as empty pixels and padding are, that
# makes gradients thousands of times larger in every layer, until they overflow.
EPS = 1e-5


def rms_norm(channels: int) -> nn.RMSNorm:
    """The root-mean-square norm of all models here: torch's, with an ``eps`` that does not depend on the precision."""
    return nn.RMSNorm(channels, eps=EPS)


def make_norm(kind: NormKind, channels: int) -> nn.Module:
    """The norm of node features ``[N, channels]`` before a layer.

    Args:
        kind: ``"rms"``: each node by its own root mean square. ``"batch"``: each channel over all nodes of the batch,
            as GIN and the models derived from it do; it regularises, and keeps apart what differs in size only.
            ``"none"``: nodes as they are, for shallow models of targets that are linear in the features, such as
            delays in the load, over sizes that training never saw.
        channels: Number of channels.
    """
    if kind not in get_args(NormKind):
        raise ValueError(f"norm must be 'rms', 'batch' or 'none', got {kind!r}")
    if kind == "none":
        return nn.Identity()
    return rms_norm(channels) if kind == "rms" else nn.BatchNorm1d(channels)
