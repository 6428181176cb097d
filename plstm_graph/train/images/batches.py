"""Batches of images for the training loop, whose order depends on seed and epoch alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from plstm_graph.datasets.images.task import Images


@dataclass
class ImageBatch:
    """What the training loop reads of a batch.

    Attributes:
        x (Tensor): Images, float ``[B, C, height, width]`` in [0, 1].
        y (Tensor): Labels ``[B]``, or targets ``[B, T]``.
    """

    x: Tensor
    y: Tensor
    edge_index: None = None
    edge_attr: None = None
    batch: None = None

    @property
    def num_graphs(self) -> int:
        """Number of images ``B``."""
        return len(self.x)


def epoch_rows(num_rows: int, per_epoch: int, epoch: int, seed: int) -> list[int]:
    """Rows of an epoch: the next ``per_epoch`` of an endless series of permutations.

    Args:
        num_rows: Number of rows.
        per_epoch: Rows of each epoch.
        epoch: Its number, from 0.
        seed: Of the permutations.
    """
    rows: list[int] = []
    position = epoch * per_epoch
    while len(rows) < per_epoch:
        number, offset = divmod(position, num_rows)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        taken = torch.randperm(num_rows, generator=generator)[offset : offset + per_epoch - len(rows)].tolist()
        rows += taken
        position += len(taken)
    return rows


def image_batches(
    images: Images, rows: Sequence[int], batch_size: int, workers: int, device: torch.device
) -> Iterator[ImageBatch]:
    """Batches of images on a device.

    Args:
        images: The data set.
        rows: Which of them, in this order.
        batch_size: Images per batch; a single one at the end, which batch norm cannot take, joins those before.
        workers: Processes that load images; 0 for none.
        device: Where they go.
    """
    batches = [list(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [batches[-2] + batches[-1]]
    pinned = device.type == "cuda"
    # A generator of its own, so that loading does not draw from that of the model.
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(images, batch_sampler=batches, num_workers=workers, pin_memory=pinned, generator=generator)
    for x, y in loader:
        x = x.to(device, non_blocking=pinned)
        yield ImageBatch(x if x.is_floating_point() else x.float() / 255, y.to(device, non_blocking=pinned))
