"""Callbacks that make a run resumable and keep its history."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping

from plstm_graph.datasets.digits import exact
from plstm_graph.datasets.storage.files import replace_text


class ReseedEachEpoch(pl.Callback):
    """Seeds all random generators anew at the start of each epoch, by seed, epoch and process.

    Dropout then follows from the epoch alone, and a resumed run draws what an uninterrupted one draws.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the epoch. Its own hook is not called in the first epoch of a resumed run."""
        if batch_idx > 0:
            return
        number = (self.seed * 1_000_003 + trainer.current_epoch) * 4099 + trainer.global_rank
        pl.seed_everything(number % 2**32, verbose=False)


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that stays stopped: a run that is resumed after it ended early trains no further epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if patience ran out before the run was interrupted."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class History(pl.Callback):
    """Keeps the metrics of every epoch, in ``metrics.csv`` and in the checkpoint.

    A resumed run rewrites the file from its checkpoint, so every epoch stands in it once.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock of the epoch."""
        if batch_idx == 0:
            self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row and write the file."""
        row = {"epoch": float(trainer.current_epoch), "lr": trainer.optimizers[0].param_groups[0]["lr"]}
        row |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        row["seconds"] = time.perf_counter() - self._started
        self.rows.append(row)
        if trainer.is_global_zero:
            names = list(dict.fromkeys(name for row in self.rows for name in row))
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: exact(value) for name, value in row.items()} for row in self.rows)
            replace_text(self.path, text.getvalue())
