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

_ARGUMENTS = ("x", "edge_index", "edge_attr", "batch", "line_graph", "batch_size", "descriptors", "component")


@dataclass(frozen=True)
class Arguments:
    """What a model asks of a batch.

    Attributes:
        names: Those of ``x, edge_index, edge_attr, batch, line_graph, batch_size, descriptors, component`` that its
            ``forward`` names.
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
        "descriptors": getattr(batch, "descriptors", None),
        "component": getattr(batch, "component", None),
    }
    return widened(model(**{name: values[name] for name in arguments.names}))


def widened(output: Tensor) -> Tensor:
    """An output in float32 if it is of half precision."""
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


class EpochBatches(Sampler[list[int]]):
    """Rows of the batches of an epoch, of each batch what this process takes.

    The order follows from ``seed`` and the epoch, not from how many random numbers were drawn before, so a resumed run
    sees the order an uninterrupted one sees. Each row of an epoch is drawn once, by one process, and all processes take
    the same number of steps (:class:`~torch.utils.data.DistributedSampler` draws some rows twice instead).

    Args:
        num_rows: Number of rows.
        batch_size: Rows per step, over all processes.
        seed: Of the permutations; None for rows in their order.
        shard: Which rows of a batch this process takes. (default: all)
        per_epoch: Rows of an epoch. (default: all)

    Raises:
        ValueError: If an epoch has fewer rows than there are processes.
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        seed: int | None = None,
        shard: Shard | None = None,
        per_epoch: int | None = None,
    ) -> None:
        self.shard = Shard() if shard is None else shard
        self.num_rows, self.batch_size, self.seed = num_rows, batch_size, seed
        self.per_epoch = num_rows if per_epoch is None else per_epoch
        if self.per_epoch < self.shard.world_size:
            raise ValueError(f"{self.per_epoch} samples cannot be split over {self.shard.world_size} processes")
        self.epoch = 0

    @property
    def sampler(self) -> "EpochBatches":
        """This object: Lightning calls ``set_epoch`` on the ``sampler`` of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose rows come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        size = max(self.batch_size, self.shard.world_size)
        whole, rest = divmod(self.per_epoch, size)
        return max(whole + (rest >= min(2 * self.shard.world_size, size)), 1)  # as cut() has them

    def __iter__(self) -> Iterator[list[int]]:
        rows: Sequence[int] = range(self.per_epoch)
        if self.seed is not None:
            rows = epoch_rows(self.num_rows, self.per_epoch, self.epoch, self.seed)
        return iter(cut(rows, self.batch_size, self.shard))


class BalancedBatches(EpochBatches):
    """As :class:`EpochBatches`, with rows of all classes equally often.

    An epoch has as many rows as there are. Those of a rare class come again and again in it, and those of a frequent
    one once in several epochs: of each class the next ones of an endless series of permutations.

    Args:
        classes: Number of the class of each row, ``[n]``; rows with NaN are never drawn.
        batch_size: Rows per step, over all processes.
        seed: Of the order.
        shard: Which rows of a batch this process takes. (default: all)

    Raises:
        ValueError: If there are fewer rows than processes.
    """

    def __init__(self, classes: Tensor, batch_size: int, seed: int, shard: Shard | None = None) -> None:
        known = classes.isfinite()
        super().__init__(int(known.sum()), batch_size, seed, shard)
        self._rows = [(classes == code).nonzero().view(-1).tolist() for code in classes[known].unique().tolist()]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(
            cut(balanced_rows(self._rows, self.per_epoch, self.epoch, self.seed or 0), self.batch_size, self.shard)
        )


def balanced_rows(rows: Sequence[Sequence[int]], per_epoch: int, epoch: int, seed: int) -> list[int]:
    """Rows of an epoch, from 0, of each class as many (one more of some, if they do not divide).

    Args:
        rows: Of each class.
        per_epoch: Number of rows of an epoch.
        epoch: Its number.
        seed: Of the order.
    """
    drawn: list[int] = []
    for code, of_class in enumerate(rows):
        share = per_epoch // len(rows) + (code < per_epoch % len(rows))
        # Series of classes and of epochs by unrelated seeds.
        drawn += [of_class[row] for row in epoch_rows(len(of_class), share, epoch, seed * 1009 + code + 1)]
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return [drawn[place] for place in torch.randperm(len(drawn), generator=generator).tolist()]


def epoch_rows(num_rows: int, per_epoch: int, epoch: int, seed: int) -> list[int]:
    """Rows of an epoch, from 0: the next ``per_epoch`` of an endless series of permutations by a seed."""
    rows: list[int] = []
    position = epoch * per_epoch
    while len(rows) < per_epoch:
        number, offset = divmod(position, num_rows)
        # Distinct seeds for distinct (seed, number); nearby seeds give unrelated permutations.
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        taken = torch.randperm(num_rows, generator=generator)[offset : offset + per_epoch - len(rows)].tolist()
        rows += taken
        position += len(taken)
    return rows


def cut(rows: Sequence[int], batch_size: int, shard: Shard) -> list[list[int]]:
    """Batches of rows, of each of them what a process takes.

    Args:
        rows: In their order.
        batch_size: Rows per batch, over all processes. A last batch that would leave a process without a row, or with a
            single one, of which batch norm can make nothing, joins the one before it.
        shard: The process.
    """
    size = max(batch_size, shard.world_size)
    batches = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
    if len(batches) > 1 and len(batches[-1]) < min(2 * shard.world_size, size):
        batches[-2:] = [batches[-2] + batches[-1]]
    return [batch[shard.rank :: shard.world_size] for batch in batches]


Collate = Callable[[list[Data]], Batch]


def fresh_batches(
    graphs: Sequence[Data],
    batch_size: int,
    seed: int,
    shard: Shard,
    arguments: Arguments,
    workers: int = 0,
    classes: Tensor | None = None,
) -> DataLoader:
    """Graphs in new batches in each epoch.

    Args:
        graphs: The training part.
        batch_size: Graphs per step, over all processes.
        seed: Of the order.
        shard: Which graphs of a batch this process takes.
        arguments: What the model asks of a batch.
        workers: Processes that load batches; 0 is fastest for graphs in memory on a CPU.
        classes: Of each graph, ``[n]``, where all classes are to come equally often.
    """
    ordinary = EpochBatches(len(graphs), batch_size, seed, shard)
    return DataLoader(
        cast(Any, graphs),
        batch_sampler=ordinary if classes is None else BalancedBatches(classes, batch_size, seed, shard),
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
    collate, rows_of_batches = collate_for(arguments), EpochBatches(len(graphs), batch_size, None, shard)
    batches = [collate([shuffled[row] for row in rows]).to(device) for rows in rows_of_batches]
    return DataLoader(cast(Any, batches), batch_sampler=EpochBatches(len(batches), 1, seed), collate_fn=_only)


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
    """Batches that are made anew each time they are asked for."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


def collate_for(arguments: Arguments) -> Collate:
    """Makes a batch of graphs, with its line graph if the model asks for one."""

    def collate(graphs: list[Data]) -> Batch:
        return attach_line_graph(cast(Batch, Batch.from_data_list(graphs)), arguments)

    return collate


def _only(batches: list[Any]) -> Any:
    (batch,) = batches
    return batch


def _same(batch: Any) -> Any:
    return batch
