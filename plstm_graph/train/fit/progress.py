"""One progress bar over a whole training, or a few lines where the output is no terminal."""

import math
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from plstm_graph.console import Console, FieldColumn
from plstm_graph.datasets.digits import shown


class TrainingProgress(ProgressBar):
    """Shows epoch, losses and the best validation metric so far.

    Args:
        lines: How many lines to write over the whole training if the output is no terminal.
    """

    def __init__(self, lines: int = 10) -> None:
        super().__init__()
        self.lines = lines
        self.console = Console(stderr=True)
        self._progress: Progress | None = None
        self._best: tuple[float, int] | None = None
        #: What stopped the training early, if the user did.
        self.stopped_by: KeyboardInterrupt | None = None

    def state_dict(self) -> dict[str, Any]:
        """The best value and its epoch, so that a resumed run shows them."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._best = state_dict["best"]

    def disable(self) -> None:
        """Show nothing; Lightning calls it on all processes but the first."""
        self.console.quiet = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if not self.console.is_terminal or self.console.quiet:
            return
        self._progress = Progress(
            "epoch",
            MofNCompleteColumn(),
            BarColumn(bar_width=10),
            TimeRemainingColumn(),
            FieldColumn(),
            console=self.console,
        )
        self._task = self._progress.add_task("", total=trainer.max_epochs, completed=trainer.current_epoch)
        self._progress.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar on."""
        if self._progress is not None:
            done = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
            self._progress.update(self._task, completed=int(done))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the metrics of the epoch."""
        monitor: Any = pl_module.monitor
        name, mode = monitor
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        value = metrics.get(name, float("nan"))
        epoch = trainer.current_epoch + 1
        if not math.isfinite(value):
            self.console.print(
                f"epoch {epoch}: {name} is {value}, so this epoch is not kept", highlight=False, soft_wrap=True
            )
        elif self._best is None or (value < self._best[0] if mode == "min" else value > self._best[0]):
            self._best = value, epoch
        text = f"loss {shown(metrics.get('train/loss'), 3)}  {name.replace('/', ' ')} {shown(value, 3)}"
        if self._best is not None:
            text += f"  best {shown(self._best[0], 3)} ({self._best[1]})"  # short, so that all fits into 80 columns
        epochs, done = trainer.max_epochs or 1, trainer.current_epoch + 1
        if self._progress is not None:
            self._progress.update(self._task, description=text, completed=done)
        elif done * self.lines // epochs > (done - 1) * self.lines // epochs:
            self.console.say(f"epoch {done}/{epochs}  {text}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar."""
        self._close()
        self.stopped_by = exception if isinstance(exception, KeyboardInterrupt) else None

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
