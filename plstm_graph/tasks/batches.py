"""Loaders of graphs: batches that are drawn anew in each epoch, and batches that are made once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch, Data

from plstm_graph.tasks.forward import Arguments, attach_line_graph
from plstm_graph.tasks.sampler import EpochBatchSampler
from plstm_graph.tasks.task import Shard

Collate = Callable[[list[Data]], Batch]


def fresh_batches(
    graphs: Sequence[Data], batch_size: int, seed: int, shard: Shard, arguments: Arguments, workers: int = 0
) -> DataLoader:
    """Graphs in new batches in each epoch.

    Args:
        graphs: The training part.
        batch_size: Graphs per step, over all processes.
        seed: Of the order.
        shard: Which graphs of a batch this process takes.
        arguments: What the model asks of a batch.
        workers: Processes that load batches; 0 is fastest for graphs in memory on a CPU.
    """
    sampler = _cut(len(graphs), batch_size, shard, shuffle=True, seed=seed)
    return DataLoader(
        cast(Any, graphs),
        batch_sampler=sampler,
        collate_fn=collate_for(arguments),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def fixed_batches(
    graphs: Sequence[Data], batch_size: int, seed: int, device: torch.device, shard: Shard, arguments: Arguments
) -> DataLoader:
    """Graphs of about the same size in batches that are made once; epochs differ in the order of the batches.

    Whatever a model works out of the structure, it works out once, and nothing waits for the deepest of many graphs.

    Args:
        graphs: The training part.
        batch_size: Graphs per step, over all processes.
        seed: Of the batches and their order.
        device: Where they lie.
        shard: Which graphs of a batch this process takes.
        arguments: What the model asks of a batch.
    """
    order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = sorted((graphs[row] for row in order), key=lambda graph: graph.num_nodes)
    collate = collate_for(arguments)
    batches = [
        collate([shuffled[row] for row in rows]).to(device) for rows in _cut(len(graphs), batch_size, shard, False)
    ]
    return DataLoader(cast(Any, batches), batch_size=None, sampler=OrderOfEpochs(len(batches), seed), collate_fn=_same)


def batches_in_order(
    graphs: Sequence[Data],
    batch_size: int,
    device: torch.device,
    shard: Shard,
    arguments: Arguments,
    most_nodes: int | None = None,
) -> Iterator[Batch]:
    """Graphs in their order, to evaluate.

    Args:
        graphs: Any part.
        batch_size: Graphs per batch.
        device: Where the batches lie.
        shard: Which graphs this process takes.
        arguments: What the model asks of a batch.
        most_nodes: Nodes of a batch of more than one graph: graphs of tests may be far larger than those of training.
    """
    collate, mine = collate_for(arguments), range(shard.rank, len(graphs), shard.world_size)
    part: list[Data] = []
    nodes = 0
    for row in mine:
        graph = graphs[row]
        size = graph.num_nodes or 0
        if part and (len(part) == batch_size or (most_nodes is not None and nodes + size > most_nodes)):
            yield collate(part).to(device)
            part, nodes = [], 0
        part.append(graph)
        nodes += size
    if part:
        yield collate(part).to(device)


def kept_batches(batches: Iterable[Any]) -> DataLoader:
    """A loader of batches that are made once and come in their order."""
    return DataLoader(cast(Any, list(batches)), batch_size=None, collate_fn=_same)


class RepeatedBatches:
    """Batches that are made anew each time they are asked for.

    Args:
        make: Makes them.
    """

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


def collate_for(arguments: Arguments) -> Collate:
    """Makes a batch of graphs, with its line graph if the model asks for one."""

    def collate(graphs: list[Data]) -> Batch:
        return attach_line_graph(cast(Batch, Batch.from_data_list(graphs)), arguments)

    return collate


class OrderOfEpochs(Sampler[int]):
    """A permutation of rows that depends on seed and epoch alone.

    Args:
        num_rows: Number of rows.
        seed: Seed of the permutations.
    """

    def __init__(self, num_rows: int, seed: int) -> None:
        self._batches = EpochBatchSampler(num_rows, 1, shuffle=True, seed=seed)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose permutation comes next."""
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[int]:
        return (row for (row,) in self._batches)


def _cut(num_rows: int, batch_size: int, shard: Shard, shuffle: bool, seed: int = 0) -> EpochBatchSampler:
    """This process's share of batches of so many samples over all processes."""
    size = max(batch_size // shard.world_size, 1)
    return EpochBatchSampler(num_rows, size, shuffle, seed, shard.rank, shard.world_size)


def _same(batch: Any) -> Any:
    return batch
