"""The order in which blocks of a grid hand states on: anti-diagonal by anti-diagonal, all orientations at once."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from plstm_graph.graph.plain import outside_transforms


class Wave(NamedTuple):
    """Blocks of one anti-diagonal in every orientation, as rows of ``[items, blocks, O]`` flattened.

    Attributes:
        rows: The blocks, ``[W]``.
        right: Where what leaves them to the right goes, ``[W]``; one past the last row if it leaves the grid.
        down: Where what leaves them downwards goes, ``[W]``.
    """

    rows: Tensor
    right: Tensor
    down: Tensor


@functools.lru_cache(maxsize=64)
@outside_transforms
def waves(
    width: int, height: int, flips: tuple[tuple[bool, bool], ...], items: int, device: torch.device
) -> list[Wave]:
    """All anti-diagonals in order.

    Args:
        width: Number of blocks along the first axis.
        height: Number of blocks along the second axis.
        flips: Whether each orientation runs against the first and the second axis.
        items: How many grids there are.
        device: Where the rows are needed.
    """
    orientations, blocks = len(flips), width * height
    grid = torch.full((orientations, width + 1, height + 1), -1, device="cpu")
    for o, flip in enumerate(flips):
        axes = [axis for axis, against in enumerate(flip) if against]
        grid[o, :width, :height] = torch.arange(blocks, device="cpu").view(width, height).flip(axes) * orientations + o
    outside = items * blocks * orientations
    item = torch.arange(items, device="cpu").view(-1, 1, 1) * (blocks * orientations)

    def rows(x: Tensor, y: Tensor) -> Tensor:
        place = grid[:, x, y]
        return torch.where(place < 0, outside, place + item).reshape(-1).to(device)

    result = []
    for diagonal in range(width + height - 1):
        x = torch.arange(max(0, diagonal - height + 1), min(width, diagonal + 1), device="cpu")
        y = diagonal - x
        result.append(Wave(rows(x, y), rows(x + 1, y), rows(x, y + 1)))
    return result
