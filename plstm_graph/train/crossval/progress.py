"""Progress over folds that other processes train."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn

from plstm_graph.console import Console, FieldColumn


class FoldProgress:
    """A bar for each fold that runs, or a line for each that is finished where the output is no terminal.

    Args:
        console: Where to print.
        paths: File of each fold, to which its process writes a line for every epoch.
        epochs: Epochs of a fold.
    """

    def __init__(self, console: Console, paths: dict[int, Path], epochs: int) -> None:
        self.console = console
        self.paths = dict(paths)
        self.epochs = epochs
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            FieldColumn("fold", "fold "),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            FieldColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "FoldProgress":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self) -> None:
        """Show how far the folds are."""
        if not self.console.is_terminal:
            return
        for fold, path in self.paths.items():
            rows = _rows(path)
            if not rows:
                continue
            if fold not in self._bars:
                self._bars[fold] = self._progress.add_task("", total=self.epochs, fold=fold)
            best = max(row["valid/accuracy"] for row in rows)
            text = f"loss {rows[-1]['train/loss']:.3f}  valid {rows[-1]['valid/accuracy']:.3f}  best {best:.3f}"
            self._progress.update(self._bars[fold], completed=len(rows), description=text)

    def finish(self, result: dict[str, Any]) -> None:
        """A fold is done."""
        fold = result["fold"]
        self.paths.pop(fold, None)
        if fold in self._bars:
            self._progress.remove_task(self._bars.pop(fold))
        self.console.say(
            f"fold {fold}: test {result['test_accuracy']:.4f}, validation {result['valid_accuracy']:.4f} in epoch "
            f"{result['best_epoch']}, {result['seconds']:.0f} s"
        )


def _rows(path: Path) -> list[dict[str, float]]:
    """Epochs so far; a line that is not finished yet is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
