"""A sign of life from epochs that take minutes, where there is no terminal with a bar."""

import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from plstm_graph.console import Console

_SECONDS = 60.0  # between two lines


class LongEpochs(Callback):
    """Says about every minute how far an epoch is, on stderr; nothing on a terminal, or in epochs that are shorter.

    Args:
        folder: Of the trial, whose model and seed its name says.
    """

    def __init__(self, folder: Path) -> None:
        self._name = "/".join(folder.parts[-2:])
        self._begun = self._said = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._begun = self._said = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how far it is, if it is time for that."""
        now = time.monotonic()
        if now - self._said >= _SECONDS and trainer.is_global_zero and not sys.stderr.isatty():
            self._said = now
            done = f"batch {batch_idx + 1:,} of {trainer.num_training_batches:,}, {now - self._begun:.0f} s"
            Console(stderr=True).say(f"{self._name}, epoch {trainer.current_epoch + 1}: {done}")
