"""Batches whose order depends on seed and epoch alone, split evenly over processes."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochBatchSampler(Sampler[list[int]]):
    """Cuts each epoch's permutation into batches over all processes and gives each process its share of every batch.

    The permutation follows from ``seed`` and the epoch, not from how many random numbers were drawn before, so a
    resumed run sees the order an uninterrupted one sees. Each row is drawn exactly once per epoch by exactly one
    process, and all processes take the same number of steps (:class:`~torch.utils.data.DistributedSampler` draws
    some rows twice instead). A last batch that would leave a process without a row, or with a single one, of which
    batch norm can make nothing, joins the one before it.

    Args:
        num_rows: Number of rows of the dataset.
        batch_size: Rows per batch and process.
        shuffle: Permute the rows anew each epoch; otherwise they come in order.
        seed: Seed of the permutations.
        rank: Number of this process.
        world_size: Number of processes.
        epoch: Epoch to start with.

    Raises:
        ValueError: If there are fewer rows than processes.
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
    ) -> None:
        if num_rows < world_size:
            raise ValueError(f"{num_rows} graphs cannot be split over {world_size} processes")
        self.num_rows = num_rows
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = epoch
        self._step = batch_size * world_size
        self._num_batches = max(num_rows // self._step, 1)
        if num_rows - self._num_batches * self._step >= min(2, batch_size) * world_size:
            self._num_batches += 1

    @property
    def sampler(self) -> "EpochBatchSampler":
        """This object: Lightning calls ``set_epoch`` on the ``sampler`` of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose permutation comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        if self.shuffle:
            # Distinct seeds for distinct (seed, epoch); nearby seeds give unrelated permutations.
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            rows = torch.randperm(self.num_rows, generator=generator).tolist()
        else:
            rows = list(range(self.num_rows))
        for batch in range(self._num_batches):
            stop = None if batch == self._num_batches - 1 else (batch + 1) * self._step
            yield rows[batch * self._step : stop][self.rank :: self.world_size]
