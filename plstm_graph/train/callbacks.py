"""What the engine adds to Lightning: epochs that are judged, kept, logged, and repeated exactly after a stop."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor, nn
from torch_geometric import seed_everything

from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.nn.ensemble import members_of
from plstm_graph.tasks.task import Direction, Row, rank


@dataclass
class BestEpoch:
    """The epoch that validation selected.

    Attributes:
        epoch (int): Its number, from 0; of an ensemble, the latest of its members' epochs.
        row (dict[str, float]): Its metrics; of an ensemble, those of the members' mean.
        state_dict (dict[str, Tensor]): Weights after it.
    """

    epoch: int
    row: Row
    state_dict: dict[str, Tensor]


class BestEpochs(Callback):
    """Keeps the weights of the epoch that validation likes best; of an ensemble each member's own.

    Members do not overfit at the same time, so each is judged, and kept, by itself.

    Args:
        model: The model in training.
        monitor: Metrics that select the epoch, see :func:`~plstm_graph.tasks.task.rank`; of equal epochs the first is
            kept.
        last: Keep the last epoch, whatever its metrics.

    Attributes:
        best (list[BestEpoch]): What is kept of each member.
        row (dict[str, float]): Validation metrics of the last epoch, means over the members.
    """

    def __init__(self, model: nn.Module, monitor: dict[str, Direction], last: bool = False) -> None:
        self.monitor, self.last = monitor, last
        self.members: Sequence[nn.Module] = members_of(model)
        self.best: list[BestEpoch] = []
        self.row: Row = {}

    @property
    def epoch(self) -> int | None:
        """The latest epoch from which weights are kept; None before the first."""
        return max(best.epoch for best in self.best) if self.best else None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Keep what is better than before."""
        epoch, rows = trainer.current_epoch, pl_module.validation_rows()
        self.best = [
            BestEpoch(epoch, row, _weights(member))
            if self.last or number >= len(self.best) or self._is_better(row, self.best[number].row)
            else self.best[number]
            for number, (member, row) in enumerate(zip(self.members, rows, strict=True))
        ]
        self.row = {name: fmean(row[name] for row in rows) for name in rows[0]}

    def _is_better(self, row: Row, than: Row) -> bool:
        return rank(row, self.monitor) > rank(than, self.monitor)

    def load_best(self) -> None:
        """Give the model the weights that were kept, each member its own.

        Raises:
            ValueError: If there was no epoch.
            FloatingPointError: If the metric that selects was finite in none of them.
        """
        if not self.best:
            raise ValueError("epochs must be at least 1, got 0")
        name = next(iter(self.monitor))
        lacking = [best for best in self.best if not math.isfinite(best.row[name])]
        if lacking and not self.last:
            raise FloatingPointError(
                f"{name} was {lacking[0].row[name]} in every epoch, so none could be selected: the validation part "
                "does not define it, or the model diverged"
            )
        for member, best in zip(self.members, self.best, strict=True):
            member.load_state_dict(best.state_dict)

    def state_dict(self) -> dict[str, Any]:
        """What was kept so far, as plain values and tensors."""
        return {"kept": [vars(best) for best in self.best]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.best = [BestEpoch(**best) for best in state_dict["kept"]]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers, which training does not reach."""
    return {name: value.clone() for name, value in model.state_dict().items()}


class ReseedEachEpoch(Callback):
    """Seeds all random generators anew at the start of each epoch, by seed, epoch and process.

    Dropout then follows from the epoch alone, and a training that goes on draws what one without a pause draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the epoch. Its own hook is not called in the first epoch after a pause."""
        if batch_idx == 0:
            number = self.seed * 1_000_003 + trainer.current_epoch + 4_294_967_291 * trainer.global_rank
            seed_everything(number % 2**32)


class EpochRows(Callback):
    """The metrics of all epochs, in ``epochs.jsonl`` and in checkpoints.

    Args:
        folder: Where the file lies; it is written anew, whole, after each epoch.
        report: Called with the metrics of each epoch that is trained here.
        best: Has the validation metrics.

    Attributes:
        rows (list[dict[str, float]]): The epochs so far.
    """

    def __init__(self, folder: Path, report: Callable[[Row], None], best: BestEpochs) -> None:
        self.rows: list[Row] = []
        self._path, self._report, self._best = folder / "epochs.jsonl", report, best
        self._started, self._lr = 0.0, 0.0

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind them."""
        self.rows = list(state_dict["rows"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock of the epoch."""
        if batch_idx == 0:
            self._started, self._lr = time.perf_counter(), trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Add a row, write the file and report."""
        row: Row = {"epoch": trainer.current_epoch, "lr": self._lr, "train/loss": pl_module.take_train_loss()}
        self.rows.append(row | self._best.row | {"seconds": time.perf_counter() - self._started})
        for logger in trainer.loggers:
            logger.log_metrics(self.rows[-1], step=trainer.current_epoch)
        if trainer.is_global_zero:
            replace_text(self._path, "".join(json.dumps(each) + "\n" for each in self.rows))
            self._report(self.rows[-1])


class Patience(Callback):
    """Ends a training after some epochs without a better one, and does not begin it again after a pause."""

    def __init__(self, epochs: int, best: BestEpochs) -> None:
        self.epochs, self._best = epochs, best

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if patience ran out before the pause."""
        self._check(trainer, trainer.current_epoch - 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if this was the last epoch to wait for."""
        self._check(trainer, trainer.current_epoch)

    def _check(self, trainer: pl.Trainer, epoch: int) -> None:
        kept = self._best.epoch
        if kept is not None and epoch - kept >= self.epochs:
            trainer.should_stop = True


class Averaging(WeightAveraging):
    """An exponential average of weights, which is evaluated and kept in place of the last ones.

    Early in training it looks back no further than the steps that there were, so that it never lags behind by more than
    a part of them. Buffers, such as running statistics, are averaged with the weights.

    Args:
        epochs: Over about how many epochs.
    """

    def __init__(self, epochs: float) -> None:
        super().__init__(multi_avg_fn=self._move)
        self.epochs, self._steps = epochs, 1.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin the average, in the precision that the weights will have."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            trainer.precision_plugin.convert_module(self._average_model)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the steps of an epoch."""
        self._steps = max(self.epochs * trainer.estimated_stepping_batches / (trainer.max_epochs or 1), 1.0)

    @torch.no_grad()
    def _move(self, averages: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Tensor | int) -> None:
        share = max(1 / self._steps, 9 / (10 + int(num_averaged)))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, share)
            else:
                average.copy_(value)


class StoppedBy(Callback):
    """Remembers what stopped a training, which Lightning makes an exit of.

    Attributes:
        by (KeyboardInterrupt, optional): Ctrl-C or SIGTERM.
    """

    by: KeyboardInterrupt | None = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remember it."""
        self.by = exception if isinstance(exception, KeyboardInterrupt) else None
