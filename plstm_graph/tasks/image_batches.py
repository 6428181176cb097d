"""Loaders of images, whose order depends on seed and epoch alone."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from plstm_graph.tasks.task import Samples, Shard

#: ``"x"``: images ``[B, C, height, width]``, uint8 or float in [0, 1]; ``"y"``: labels ``[B]`` or targets ``[B, T]``.
ImageBatch = dict[str, Tensor]


class EpochBatches(Sampler[list[int]]):
    """Rows of the batches of an epoch: the next ``per_epoch`` of an endless series of permutations.

    Args:
        num_rows: Number of rows.
        per_epoch: Rows of each epoch.
        batch_size: Rows per step, over all processes.
        seed: Of the permutations.
        shard: Which rows of a batch this process takes.
    """

    def __init__(self, num_rows: int, per_epoch: int, batch_size: int, seed: int, shard: Shard) -> None:
        self.num_rows, self.per_epoch, self.batch_size, self.seed = num_rows, per_epoch, batch_size, seed
        self.shard = shard
        self.epoch = 0

    @property
    def sampler(self) -> "EpochBatches":
        """This object: Lightning calls ``set_epoch`` on the ``sampler`` of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose rows come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(cut(range(self.per_epoch), self.batch_size, self.shard))

    def __iter__(self) -> Iterator[list[int]]:
        rows = epoch_rows(self.num_rows, self.per_epoch, self.epoch, self.seed)
        return iter(cut(rows, self.batch_size, self.shard))


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


def cut(rows: Sequence[int], batch_size: int, shard: Shard) -> list[list[int]]:
    """Batches of rows, of each of them what a process takes.

    Args:
        rows: In their order.
        batch_size: Rows per batch, over all processes; a single one at the end, which batch norm cannot take, joins
            those before, and so do fewer than two for each process.
        shard: The process.
    """
    batches = [list(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < 2 * shard.world_size:
        batches[-2:] = [batches[-2] + batches[-1]]
    return [batch[shard.rank :: shard.world_size] for batch in batches]


def image_loader(
    images: Samples, batches: EpochBatches | list[list[int]], workers: int, device: torch.device
) -> DataLoader:
    """A loader of batches.

    Args:
        images: Images and labels.
        batches: Rows of each batch.
        workers: Processes that load images; 0 for none.
        device: Where batches will go.
    """
    return DataLoader(
        cast(Any, images),
        batch_sampler=batches,
        collate_fn=_collate,
        num_workers=workers,
        persistent_workers=workers > 0 and isinstance(batches, EpochBatches),
        pin_memory=device.type == "cuda",
        # A generator of its own, so that loading does not draw from that of the model.
        generator=torch.Generator().manual_seed(0),
    )


def image_batches(
    images: Samples,
    batch_size: int,
    device: torch.device,
    shard: Shard | None = None,
    workers: int = 0,
) -> Iterator[ImageBatch]:
    """Batches of images in their order, on a device.

    Args:
        images: The data set.
        batch_size: Images per batch.
        device: Where they go.
        shard: Which images this process takes. (default: all)
        workers: Processes that load images; 0 for none.
    """
    shard = Shard() if shard is None else shard
    rows = range(shard.rank, len(images), shard.world_size)
    for batch in image_loader(images, cut(rows, batch_size, Shard()), workers, device):
        yield {name: values.to(device, non_blocking=device.type == "cuda") for name, values in batch.items()}


def as_float(images: Tensor) -> Tensor:
    """Images as floats in [0, 1]."""
    return images if images.is_floating_point() else images.float() / 255


def _collate(samples: Sequence[tuple[Tensor, int]]) -> ImageBatch:
    images, labels = zip(*samples, strict=True)
    return {"x": torch.stack(images), "y": torch.tensor(labels)}
