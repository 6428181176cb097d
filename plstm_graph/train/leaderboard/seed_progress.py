"""Progress of several seeds: bars on a terminal, a line per finished seed elsewhere."""

import math
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from plstm_graph.console import Console, FieldColumn
from plstm_graph.datasets.benchmark import Benchmark
from plstm_graph.datasets.digits import shown
from plstm_graph.tasks.rows import Row


class SeedProgress:
    """Shows which epoch each seed is in, and its best validation metric.

    Args:
        seeds: Seeds that run.
        epochs: Epochs of each.
        benchmark: For name and direction of its metric.
    """

    def __init__(self, seeds: Sequence[int], epochs: int, benchmark: Benchmark) -> None:
        self._console = Console(stderr=True)
        self._epochs = epochs
        self._key = f"valid/{benchmark.metric}"
        self._better = max if benchmark.mode == "max" else min
        self._best: dict[int, float] = {}
        self._bars = Progress(
            FieldColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            FieldColumn("text"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[int, TaskID] = {
            seed: self._bars.add_task(f"seed {seed}", total=epochs, start=False, text="") for seed in seeds
        }

    def __enter__(self) -> "SeedProgress":
        self._bars.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bars.stop()

    def update(self, seed: int, row: Row) -> None:
        """Show the metrics of an epoch."""
        value, done = row[self._key], int(row["epoch"]) + 1
        if math.isfinite(value):
            self._best[seed] = self._better(self._best.get(seed, value), value)
        text = f"{self._key} {shown(value)}, best {shown(self._best.get(seed))}"
        if self._console.is_terminal:
            self._bars.start_task(self._tasks[seed])
            fields: dict[str, Any] = {"completed": done, "text": text}
            self._bars.update(self._tasks[seed], **fields)
        elif done % max(self._epochs // 5, 1) == 0 or done == self._epochs:
            self._console.say(f"seed {seed}, epoch {done}/{self._epochs}: {text}")
