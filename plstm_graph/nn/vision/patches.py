"""Images as grids of patches: embedding, positions, and checks of what comes in."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plstm_graph.nn.vision.batch_norm import BatchRMSNorm

Stem = Literal["linear", "conv"]


def check_images(images: Tensor, channels: int, patch_size: int) -> None:
    """Check a batch of images.

    Args:
        images: ``[B, C, height, width]``
        channels: Expected ``C``.
        patch_size: Must divide height and width.

    Raises:
        ValueError: If shape, size or a pixel is not usable; it names the image.
    """
    if images.dim() != 4 or images.size(1) != channels:
        raise ValueError(f"images must be [B, {channels}, height, width], got {list(images.shape)}")
    height, width = images.shape[2:]
    if height < patch_size or width < patch_size or height % patch_size or width % patch_size:
        raise ValueError(
            f"height and width of images must be multiples of the patch size, {patch_size}, got {height} x {width}"
        )
    # Compiled code cannot ask for values. The sum tells in one pass; it may overflow where no pixel does.
    if images.is_floating_point() and not torch.compiler.is_compiling() and not images.sum().isfinite():
        bad = (~images.isfinite()).flatten(1).any(dim=1).nonzero()
        if len(bad):
            raise ValueError(f"image {int(bad[0])} of the batch has pixels that are not finite")


class PatchEmbedding(nn.Module):
    """Cuts images into square patches and maps each to a vector.

    Args:
        in_channels (int): Channels of the images.
        channels (int): Size ``C`` of the vectors.
        patch_size (int): Side of a patch in pixels.

    Shapes:
        - **input:** images ``[B, in_channels, height, width]``, float in [0, 1], or uint8, which is divided by 255
        - **output:** ``[B, X, Y, C]`` with ``X = height / patch_size`` and ``Y = width / patch_size``

    Raises:
        ValueError: If an image does not fit, see :func:`check_images`.
    """

    def __init__(self, in_channels: int, channels: int, patch_size: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.patch_size = patch_size
        self.lin = nn.Linear(in_channels * patch_size**2, channels)

    def forward(self, images: Tensor) -> Tensor:
        """Embed all patches."""
        check_images(images, self.in_channels, self.patch_size)
        if not images.is_floating_point():
            images = images.to(self.lin.weight.dtype) / 255
        size = self.patch_size
        patches = images.unflatten(3, (-1, size)).unflatten(2, (-1, size))  # [B, C, X, p, Y, p]
        # Whatever autocast does to the product: layers add to this, and sums lose less in the dtype of the weights.
        return self.lin(patches.permute(0, 2, 4, 1, 3, 5).flatten(3)).to(self.lin.weight.dtype)


class Threshold(nn.Module):
    """ReLU of what exceeds a learned threshold of each channel, which is never negative.

    A background has its values at zero. Cut off at zero, a pattern and its negative would on average give the same, and
    so half a turn of an arrow would be lost.

    Args:
        channels (int): Number of channels ``C``.
        start (float): All thresholds at first. (default: ``1.5``)

    Shapes:
        - **input:** ``[B, C, height, width]``
        - **output:** the same
    """

    def __init__(self, channels: int, start: float = 1.5) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        """Cut off."""
        return F.relu(x - self.value.abs().to(x.dtype)[:, None, None])


class ConvStem(nn.Module):
    """Embeds patches by convolutions that overlap (`"Early Convolutions Help Transformers See Better"
    <https://arxiv.org/abs/2106.14881>`_), made smaller by averages rather than strides (`"Making Convolutional
    Networks Shift-Invariant Again" <https://arxiv.org/abs/1904.11486>`_).

    Four convolutions, each divided by its root mean square over the batch and followed by ReLU, and a linear map. The
    image is halved before the first three of them, and what is left of the patch size before the fourth. Strides would
    do with fewer operations, but lose thin strokes between the places they keep: which way an arrow points then hardly
    shows in the features, however wide they are. Where the image is zero, so are the vectors.

    Args:
        in_channels (int): Channels of the images.
        channels (int): Size ``C`` of the vectors; in the second convolution half as many, but 32 at least.
        patch_size (int): Side of a patch in pixels, a multiple of 8.

    Shapes:
        - as those of :class:`PatchEmbedding`

    Raises:
        ValueError: If an argument, or an image, does not fit.
    """

    def __init__(self, in_channels: int, channels: int, patch_size: int) -> None:
        super().__init__()
        if patch_size % 8:
            raise ValueError(f"convolutions embed patches whose size is a multiple of 8, got {patch_size}")
        self.in_channels = in_channels
        self.patch_size = patch_size
        half = max(32, channels // 2)
        self.stages = nn.Sequential(
            *self._stage(2, in_channels, half // 2, 5, Threshold(half // 2)),
            *self._stage(2, half // 2, half, 3, nn.ReLU()),
            *self._stage(2, half, channels, 3, nn.ReLU()),
            *self._stage(patch_size // 8, channels, channels, 3, nn.ReLU()),
        )
        # The order in which processors convolve fastest.
        nn.utils.convert_conv2d_weight_memory_format(self.stages, torch.channels_last)
        # Without a bias, so that a patch in which no convolution sees anything is embedded as zero.
        self.lin = nn.Linear(channels, channels, bias=False)

    @staticmethod
    def _stage(shrink: int, before: int, after: int, kernel: int, activation: nn.Module) -> tuple[nn.Module, ...]:
        conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        return nn.AvgPool2d(shrink), conv, BatchRMSNorm(after, dim=1), activation

    def forward(self, images: Tensor) -> Tensor:
        """Embed all patches."""
        check_images(images, self.in_channels, self.patch_size)
        if not images.is_floating_point():
            images = images.to(self.lin.weight.dtype) / 255
        return self.lin(self.stages(images).permute(0, 2, 3, 1)).to(self.lin.weight.dtype)


def make_stem(stem: Stem, in_channels: int, channels: int, patch_size: int) -> PatchEmbedding | ConvStem:
    """The first module of an image model.

    Args:
        stem: ``"linear"`` for :class:`PatchEmbedding`, ``"conv"`` for :class:`ConvStem`.
        in_channels: As theirs.
        channels: As theirs.
        patch_size: As theirs.

    Raises:
        ValueError: If there is no such stem.
    """
    if stem not in ("linear", "conv"):
        raise ValueError(f"stem must be 'linear' or 'conv', got {stem!r}")
    return (PatchEmbedding if stem == "linear" else ConvStem)(in_channels, channels, patch_size)


class PositionEmbedding(nn.Module):
    """A learned vector for each place of a grid, resized (bicubic) where the grid has another size.

    Args:
        channels (int): Size ``C`` of the vectors.
        grid (tuple[int, int]): Numbers of places ``(X, Y)`` for which vectors are learned.

    Shapes:
        - **input:** ``[B, X', Y', C]``
        - **output:** the same, with positions added
    """

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, *grid))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw small normal vectors."""
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Add the vectors."""
        weight: Tensor = self.weight
        size = x.shape[1:3]
        if weight.shape[1:] != size:
            weight = F.interpolate(weight[None], size, mode="bicubic", antialias=True)[0]
        return x + weight.permute(1, 2, 0).to(x.dtype)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        stored = state_dict.get(f"{prefix}weight")
        if stored is not None and stored.shape != self.weight.shape:
            raise ValueError(
                f"{prefix}weight: the stored position embedding is {list(stored.shape)}, that of this model "
                f"{list(self.weight.shape)} (channels, rows and columns of patches). Make the model with the image "
                "size that it was trained with; it takes larger and smaller images all the same"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        channels, *grid = self.weight.shape
        return f"{channels}, grid={tuple(grid)}"
