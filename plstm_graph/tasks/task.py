"""What every task has: parts, a model that fits, batches, a loss, metrics. The engine asks for nothing else."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

if TYPE_CHECKING:  # pictures are drawn by few commands
    from matplotlib.figure import Figure

    from plstm_graph.tasks.labelled import LabelledGraphs
    from plstm_graph.tasks.metrics import Kind
    from plstm_graph.tasks.scores import Scores

Row = dict[str, float]
Direction = Literal["min", "max"]


def rank(row: Row, monitor: Mapping[str, Direction]) -> tuple[float, ...]:
    """What makes one epoch, or one training, better than another: the larger rank.

    Args:
        row: Metrics.
        monitor: Names of those that count, and whether more or less of each is better; a later one breaks ties of the
            earlier ones. What is not finite, or not there, is below everything.
    """
    values = [row.get(name, math.nan) * (1 if direction == "max" else -1) for name, direction in monitor.items()]
    return tuple(value if math.isfinite(value) else -math.inf for value in values)


class Samples(Protocol):
    """Samples of a part, by their numbers."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, number: int, /) -> Any:
        """One of them."""


class Task(ABC):
    """What is to be learnt.

    Attributes:
        name (str): Its name.
        parts (Mapping[str, Samples]): Samples of ``"train"``, of ``"valid"``, which selects, of further parts to
            validate, whose names begin with ``"valid_"`` and which trained models see once, and of each test, whose
            names begin with ``"test"``.
        monitor (dict[str, str]): Metrics that select epochs and choices, ``"min"`` or ``"max"``; a later one breaks
            ties of the earlier ones.
        num_folds (int): How many folds it can be split into, which its option ``fold`` chooses from; 0 for none.
        published (Mapping[str, dict]): What others report, by the names of models, for the table.
        columns (tuple[str, ...]): Attributes of batches that metrics are given.
        package (str): Package and version that data and metric come from; of benchmarks alone.
        notes (Sequence[str]): What a user should know of the data.
        labelled (LabelledGraphs, optional): Graphs with names, of which predictions are written and beside which
            baselines stand.
    """

    name: str
    parts: Mapping[str, Samples]
    monitor: dict[str, Direction]
    columns: tuple[str, ...]
    num_folds: int = 0
    published: Mapping[str, Row] = MappingProxyType({})
    package: str = ""
    notes: Sequence[str] = ()
    labelled: "LabelledGraphs | None" = None

    #: Whether batches of the validation part are made once and kept for all epochs.
    keeps_batches: bool = True
    #: Whether all steps need tensors of the same sizes.
    steps_alike: bool = False

    @property
    def kind(self) -> "Kind":
        """Of the targets."""
        return "multiclass"

    @property
    def scores(self) -> "Scores | None":
        """What is measured of targets that have names."""
        return None

    @property
    def looks_again(self) -> bool:
        """Whether :meth:`answer` differs from :meth:`output`."""
        return False

    @property
    def validations(self) -> list[str]:
        """Names of further parts to validate."""
        return [name for name in self.parts if name.startswith("valid_")]

    @property
    def tests(self) -> list[str]:
        """Names of the tests."""
        return [name for name in self.parts if name.startswith("test")]

    @abstractmethod
    def make_model(self, spec: Mapping[str, Any], members: int = 1) -> nn.Module:
        """A new model that fits the task.

        Args:
            spec: ``class_path`` and perhaps ``init_args``, as a configuration has them.
            members: Number of networks of an :class:`~plstm_graph.nn.Ensemble`; 1 for none.

        Raises:
            ValueError: If there is no such class, or its arguments do not fit.
        """

    def needs(self, model: nn.Module) -> Any:
        """What batches have to bring along for a model; handed to the methods below."""
        return None

    def check(self, model: nn.Module) -> None:
        """Try a model on a few samples, before anything is trained.

        Raises:
            ValueError: If it cannot take the samples of some part, or what it gives does not fit the targets.
        """
        return None

    @abstractmethod
    def train_loader(
        self, needs: Any, batch_size: int, seed: int, device: torch.device, shard: "Shard", workers: int = 0
    ) -> DataLoader:
        """Batches of the training part, in an order that depends on seed and epoch alone.

        Args:
            needs: By :meth:`needs`.
            batch_size: Samples per step, over all processes.
            seed: Of the order.
            device: Where batches that are made once lie.
            shard: Which part of each batch this process takes.
            workers: Processes that load batches; 0 is fastest for samples in memory on a CPU.

        Returns:
            A loader whose sampler has ``set_epoch``.
        """

    @abstractmethod
    def batches(
        self, part: str, needs: Any, batch_size: int, device: torch.device, shard: "Shard", workers: int = 0
    ) -> Iterator[Any]:
        """Batches of a part, in order; arguments as of :meth:`train_loader`."""

    def changed(self, batch: Any) -> Any:
        """A batch as training sees it, where chance changes it."""
        return batch

    @abstractmethod
    def output(self, model: nn.Module, batch: Any, needs: Any) -> Tensor:
        """What a model gives for a batch: ``[B, ...]``, or ``[M, B, ...]`` of an ensemble in training."""

    def answer(self, model: nn.Module, batch: Any, needs: Any) -> Tensor:
        """What a trained model gives for a batch, where that differs from what it gives in training."""
        return self.output(model, batch, needs)

    @abstractmethod
    def loss(self, output: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
        """Sum of the losses of all known targets of a batch, and their number."""

    @abstractmethod
    def score(self, output: Tensor, **columns: Tensor) -> Row:
        """Metrics of the outputs for a whole part, and of its :attr:`columns`."""

    def scaled(self, kind: Any) -> "Task":
        """The same task, with targets learnt on another scale.

        Raises:
            ValueError: If its targets are classes, or do not allow this scale.
        """
        raise ValueError(f"target_scale {kind!r} is a scale of numbers, and the targets of {self.name} are classes")

    def recipe(self, model: nn.Module, spec: Mapping[str, Any], members: int) -> dict[str, Any]:
        """What predicting with a model of this task takes; empty where there is no way to.

        Args:
            model: By :meth:`make_model`, of the two arguments that follow.
            spec: Its class and arguments.
            members: Number of networks.

        Returns:
            Plain values: ``"kind"`` of the targets, ``"model"``, class and all arguments, and more.
        """
        return {}

    def check_comparable(self, other: "Task", options: str) -> None:
        """Refuse options that change what validates or is tested: of other samples, metrics say nothing of each other.

        Raises:
            ValueError: If parts differ.
        """
        parts = [name for name in self.parts if name != "train"]
        changed = [name for name in parts if name not in other.parts or self.digest(name) != other.digest(name)]
        changed += [name for name in other.parts if name not in self.parts]
        if changed:
            raise ValueError(
                f"{options} changes the samples of {', '.join(changed)}, so that there is nothing to compare; such "
                "options are for runs with names of their own"
            )

    def digest(self, part: str) -> str:
        """What changes whenever the samples of a part do, as far as that shows at first sight."""
        return str(len(self.parts[part]))

    def restored(self, output: Tensor) -> Tensor:
        """Outputs in the unit of the targets."""
        return output

    def part_scores(self, part: str, output: Tensor) -> Row:
        """Further metrics of a test that need its samples one by one."""
        return {}

    def pictures(self, outputs: dict[str, Tensor]) -> "dict[str, Figure]":
        """Pictures of the tests, by the names of their files; of restored outputs by the name of each test."""
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Task":
        """The task itself: nobody changes one, and copies of models that know it need no data of their own."""
        return self


class Shard:
    """Which part of each batch a process takes."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size
