"""The engine of all trainings: a model on a task, by Lightning."""

import math
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn

from plstm_graph.machine import keep_freed_memory
from plstm_graph.nn.ensemble import members_of
from plstm_graph.tasks.batches import RepeatedBatches, kept_batches, widened
from plstm_graph.tasks.task import Row, Shard, Task
from plstm_graph.train.callbacks import (
    Averaging,
    BestEpoch,
    BestEpochs,
    EpochRows,
    Patience,
    ReseedEachEpoch,
    StoppedBy,
)
from plstm_graph.train.checkpoint import KEY
from plstm_graph.train.checkpoint_io import SafeCheckpointIO
from plstm_graph.train.freezing import Freezing, frozen_names, pretrained_body
from plstm_graph.train.long_epochs import LongEpochs
from plstm_graph.train.optimizer import make_adamw, warmup_cosine
from plstm_graph.train.trainer_options import make_trainer
from plstm_graph.train.training import Training


class TrainingModule(pl.LightningModule):
    """A model in training on a task.

    The gradient is that of the mean loss over all known targets of a batch, under several processes of those of all
    processes. Losses that are not finite raise an error before the weights are updated.

    Args:
        task (Task): What is learnt.
        model (torch.nn.Module): Made by the task.
        training (Training): How.
        recipe (dict): Plain values that stand in checkpoints beside the weights.
        rates (dict[str, float], optional): Learning rates of weights that have another one, by their names.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        training: Training,
        recipe: Mapping[str, Any],
        rates: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self._rates = rates
        self.task, self.model, self.training_options, self.recipe = task, model, training, dict(recipe)
        self.needs = task.needs(model)
        # Batches differ in size: without dynamic shapes each would be compiled anew.
        self._step_model: Any = [torch.compile(model, dynamic=True) if training.compile else model]  # no submodule
        self._evaluated: list[Outputs] = []
        self._loss_sum, self._loss_count = 0.0, 0.0
        self._is_split = False
        self._first_epoch = 0

    @property
    def members(self) -> Sequence[nn.Module]:
        """The members of an ensemble, which are judged one by one; else the model alone."""
        return members_of(self.model)

    @property
    def shard(self) -> Shard:
        """Which part of each batch this process takes."""
        return Shard(self.trainer.global_rank, self.trainer.world_size)

    def train_dataloader(self) -> Any:
        """Batches of the training part."""
        options, processes = self.training_options, self.trainer.world_size
        if options.batch_size % processes or len(self.task.parts["train"]) < processes:
            raise ValueError(
                f"batches are split over {processes} processes: batch_size must be a multiple of it, and training "
                f"needs as many samples, got batch_size={options.batch_size} and "
                f"{len(self.task.parts['train'])} samples"
            )
        loader = self.task.train_loader(
            self.needs, options.batch_size, self.recipe["seed"], self.device, self.shard, options.workers
        )
        # Lightning asks for the first batch before it says of which epoch.
        sampler: Any = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
        sampler.set_epoch(self._first_epoch)
        return loader

    def val_dataloader(self) -> Any:
        """Batches of the validation part; each process has all of it if it is too small to be split."""
        task, options = self.task, self.training_options
        self._is_split = 1 < self.trainer.world_size <= len(task.parts["valid"])
        shard = self.shard if self._is_split else Shard()
        make = partial(task.batches, "valid", self.needs, options.batch_size, self.device, shard, options.workers)
        return kept_batches(make()) if task.keeps_batches else RepeatedBatches(make)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Mean loss of a batch."""
        batch = self.task.changed(batch)
        total, count = self.task.loss(self.task.output(self._step_model[0], batch, self.needs), batch)
        value = float(total.detach())
        step_loss, known = value, count.float()
        if self.trainer.world_size > 1:
            # DDP averages the gradients of the processes; this makes it the mean over all known targets. All processes
            # learn of a loss that is not finite: one that stopped alone would leave the others waiting.
            both = torch.stack([total.detach().float(), known])
            mean = self.trainer.strategy.reduce(both, reduce_op="mean")
            step_loss, known = float(mean[0]), mean[1]
        if not math.isfinite(step_loss):
            raise FloatingPointError(
                f"the loss is {step_loss} in epoch {self.current_epoch + 1}, step {self.global_step + 1}. The weights "
                "were not updated with it and the last checkpoint is intact; a lower lr or clip may help"
            )
        self._loss_sum, self._loss_count = self._loss_sum + value, self._loss_count + float(count)
        # The least count keeps the loss of a batch without a known target at 0.
        return total / known.clamp(min=1e-12)

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Clip by the norm over all parameters, in one call."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training_options.clip, foreach=True)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collect what each member gives."""
        if not self._evaluated:
            self._evaluated = [Outputs(self.task.columns) for _ in self.members]
        for member, outputs in zip(self.members, self._evaluated, strict=True):
            outputs.add(self.task.output(member, batch, self.needs), batch)

    def validation_rows(self) -> list[Row]:
        """Metrics of each member over the validation part, the same in all processes; what was collected is gone."""
        rows = []
        for outputs in self._evaluated:
            output, columns = outputs.gathered(self.trainer.world_size if self._is_split else 1)
            rows.append({f"valid/{name}": value for name, value in self.task.score(output, **columns).items()})
        self._evaluated = []
        return rows

    def take_train_loss(self) -> float:
        """Mean loss over the known targets of the epoch, of all processes; the sums begin anew."""
        sums = torch.tensor([self._loss_sum, self._loss_count], dtype=torch.double)
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums.float().to(self.device), reduce_op="sum").double()
        self._loss_sum = self._loss_count = 0.0
        return float(sums[0] / sums[1].clamp(min=1e-12))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, step by step."""
        options = self.training_options
        fused = self.trainer.precision == "32-true"
        optimizer = make_adamw(self.model, options.lr, options.weight_decay, fused, self._rates)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = warmup_cosine(optimizer, steps, options.warmup_fraction, options.final_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Learn with which epoch a training goes on."""
        self._first_epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilds model and task."""
        checkpoint[KEY] = self.recipe


class Outputs:
    """What a model gave for the batches of a part, and the columns that metrics are given."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._outputs: list[Tensor] = []
        self._columns: dict[str, list[Tensor]] = {name: [] for name in columns}

    def add(self, output: Tensor, batch: Any) -> None:
        """Take in a batch."""
        self._outputs.append(widened(output))
        for name, found in self._columns.items():
            found.append(batch[name])

    def gathered(self, world_size: int = 1) -> tuple[Tensor, dict[str, Tensor]]:
        """All outputs and columns, of all processes."""
        parts: list[Any] = [(self._outputs, self._columns)]
        if world_size > 1:
            mine = (
                [each.to("cpu") for each in self._outputs],
                {name: [each.to("cpu") for each in found] for name, found in self._columns.items()},
            )
            parts = [None] * world_size
            torch.distributed.all_gather_object(parts, mine)
        output = torch.cat([each for outputs, _ in parts for each in outputs])
        return output, {
            name: torch.cat([each for _, columns in parts for each in columns[name]]) for name in self._columns
        }


@torch.no_grad()
def outputs_of(
    model: nn.Module, batches: Iterator[Any], task: Task, precision: Any = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of a trained model in evaluation mode for some batches, on the scale that it learns, and the columns.

    Args:
        model: The model.
        batches: Of the task.
        task: The task.
        precision: Of the trainer that trained the model.
    """
    needs, outputs = task.needs(model), Outputs(task.columns)
    for batch in batches:
        with _mixed(precision, next(model.parameters()).device):
            outputs.add(task.answer(model, batch, needs), batch)
    return outputs.gathered()


@torch.no_grad()
def outputs_of_members(
    model: nn.Module, batches: Iterator[Any], task: Task, precision: Any = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """As :func:`outputs_of`, what each member of an ensemble gives, ``[M, n, ...]``; of another model ``M`` is 1."""
    needs, members = task.needs(model), members_of(model)
    found = [Outputs(task.columns if number == 0 else ()) for number in range(len(members))]
    for batch in batches:
        with _mixed(precision, next(model.parameters()).device):
            for member, outputs in zip(members, found, strict=True):
                outputs.add(task.answer(member, batch, needs), batch)
    (first, columns), *others = (outputs.gathered() for outputs in found)
    return torch.stack([first, *(output for output, _ in others)]), columns


def _mixed(precision: Any, device: torch.device) -> AbstractContextManager[Any]:
    """Matrix products as a trainer of mixed precision has them."""
    narrow = {"bf16": torch.bfloat16, "16": torch.float16}.get(str(precision).removesuffix("-mixed"))
    return nullcontext() if narrow is None else torch.autocast(device.type, narrow)


class Trained(NamedTuple):
    """What came of a training.

    Attributes:
        best (list[BestEpoch]): The epoch that validation selected, of each member of an ensemble.
        rows (list[dict[str, float]]): Metrics of all epochs.
        is_first (bool): Whether this is the process that writes.
        device (torch.device): Where it trained; the model is on the CPU again.
    """

    best: Sequence[BestEpoch]
    rows: Sequence[Row]
    is_first: bool
    device: torch.device


def train(
    task: Task,
    model: nn.Module,
    training: Training,
    folder: Path,
    recipe: Mapping[str, Any],
    trainer: Mapping[str, Any],
    report: Callable[[Row], None],
    taken: Collection[str] = (),
) -> Trained:
    """Train a model, or go on with a training that was interrupted.

    Args:
        task: What is learnt.
        model: With the weights to begin with.
        training: How.
        folder: Gets ``epochs.jsonl``, and ``last.ckpt`` to go on from.
        recipe: Plain values that checkpoints hold; ``seed`` decides what is random.
        trainer: Options of :class:`lightning.pytorch.Trainer`.
        report: Called with the metrics of each epoch that is trained here.
        taken: Names of the weights that come from a checkpoint of another training.

    Returns:
        What came of it; the model has the weights that were kept.

    Raises:
        ValueError: If the trainer cannot be made with these options, or the checkpoint is of another training.
        FloatingPointError: If a loss is not finite, or the metric that selects in no epoch.
        KeyboardInterrupt: If it was stopped.
    """
    if task.steps_alike:
        keep_freed_memory()
    body, slow = pretrained_body(model, taken), training.encoder_lr
    module = TrainingModule(task, model, training, recipe, None if slow is None else dict.fromkeys(body, slow))
    monitor = {f"valid/{name}": direction for name, direction in task.monitor.items()}
    best = BestEpochs(model, monitor, training.keep == "last")
    rows = EpochRows(folder, report, best)
    last = folder / "last.ckpt"
    stopped = StoppedBy()
    callbacks: list[Callback] = [ReseedEachEpoch(recipe["seed"]), best, rows, stopped]
    if frozen := frozen_names(model, taken, training):
        callbacks.append(Freezing(model, frozen, training.freeze_epochs))
    if trainer.get("enable_progress_bar") is not False:
        callbacks.append(LongEpochs(folder))
    if training.patience is not None:
        callbacks.append(Patience(training.patience, best))
    if training.average:
        # Behind `best`, which reads the averaged weights before they are taken away again.
        callbacks.append(Averaging(training.average))
    callbacks.append(
        ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    )
    engine = make_trainer(trainer, folder, training.epochs, callbacks, SafeCheckpointIO())
    with _same_signals():
        try:
            engine.fit(module, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
        except SystemExit:  # which Lightning makes of Ctrl-C
            if stopped.by is None:
                raise
            raise stopped.by from None
    best.load_best()
    return Trained(best.best, rows.rows, engine.is_global_zero, engine.strategy.root_device)


@contextmanager
def _same_signals() -> Iterator[None]:
    """Give signals the handlers back that they had, which Lightning takes away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
