"""Batches of graphs: what models ask of them, and loaders that draw them anew in each epoch or make them once."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch, Data

from plstm_graph.graph import LineGraph
from plstm_graph.nn import Ensemble, GatedCell, MatrixTransitionGate, PLSTMConv, SequenceHead
from plstm_graph.tasks.task import Shard

_ARGUMENTS = ("x", "edge_index", "edge_attr", "batch", "line_graph", "batch_size")


@dataclass(frozen=True)
class Arguments:
    """What a model asks of a batch.

    Attributes:
        names: Those of ``x, edge_index, edge_attr, batch, line_graph, batch_size`` that its ``forward`` names.
        multitree: Whether it has D-mode layers, which run on the line graph cut to a multitree.
        nodes: Whether it has layers that update nodes level by level.
        rows: Most rows of the matrices between edges, if it has layers with such.
    """

    names: tuple[str, ...]
    multitree: bool
    nodes: bool = False
    rows: int = 1


def model_arguments(model: nn.Module) -> Arguments:
    """What the model asks of a batch."""
    parameters = inspect.signature(_inner(model).forward).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return Arguments(
        names=tuple(name for name in _ARGUMENTS if takes_all or name in parameters),
        multitree=any(isinstance(module, PLSTMConv) and module.mode == "D" for module in model.modules()),
        nodes=any(isinstance(module, GatedCell) for module in model.modules()),
        rows=max((module.size for module in model.modules() if isinstance(module, MatrixTransitionGate)), default=1),
    )


def _inner(model: nn.Module) -> nn.Module:
    """The model that names its arguments, inside those that pass on whatever they get."""
    while isinstance(model, Ensemble | SequenceHead):
        model = model.members[0] if isinstance(model, Ensemble) else model.model
    return model


def attach_line_graph(batch: Batch, arguments: Arguments) -> Batch:
    """Build the batch's line graph where it lies, once for all layers, if the model asks for it.

    Args:
        batch: Graphs with what :class:`~plstm_graph.transforms.ToDAG` attached.
        arguments: Of the model, see :func:`model_arguments`.

    Returns:
        ``batch`` with ``batch.line_graph``.
    """
    if "line_graph" in arguments.names:
        batch.line_graph = LineGraph.from_data(batch).prepare(
            multitree=arguments.multitree, nodes=arguments.nodes, rows=arguments.rows
        )
    return batch


def call_model(model: nn.Module, batch: Batch, arguments: Arguments) -> Tensor:
    """The model's output for a batch, ``[B, T]``, in float32 at least: losses and metrics are not rounded to less.

    Args:
        model: A graph-level model.
        batch: Prepared by :func:`attach_line_graph`.
        arguments: Of the model, see :func:`model_arguments`.
    """
    values = {
        "x": batch.x,
        "edge_index": batch.edge_index,
        "edge_attr": batch.edge_attr,
        "batch": batch.batch,
        "line_graph": getattr(batch, "line_graph", None),
        "batch_size": batch.num_graphs,
    }
    return widened(model(**{name: values[name] for name in arguments.names}))


def widened(output: Tensor) -> Tensor:
    """An output in float32 if it is of half precision."""
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


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
