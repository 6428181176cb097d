"""The symmetries of the square: an image turned and mirrored, for outputs that do not depend on how it lies."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

Symmetries = Literal[1, 4, 8]


def views(images: Tensor, count: Symmetries) -> Iterator[Tensor]:
    """Images as they are (1), in their four turns (4), and the mirror images of these (8).

    Args:
        images: ``[B, C, height, width]``
        count: How many.

    Yields:
        Images; quarter turns exchange height and width.
    """
    for view in range(count):
        # No turn would be a copy.
        turned = torch.rot90(images, view % 4, (2, 3)) if view % 4 else images
        yield turned.flip(3) if view >= 4 else turned


def averaged_output(model: nn.Module, images: Tensor, count: Symmetries) -> Tensor:
    """Mean of a model's outputs over the :func:`views` of images, ``[B, T]``."""
    total: Tensor = sum(model(view) for view in views(images, count))
    return total / count
