"""Progress of a study: a bar for each trial on a terminal, a line for each epoch elsewhere."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from plstm_graph.console import Console, FieldColumn
from plstm_graph.datasets.digits import shown
from plstm_graph.tasks.scores import OF
from plstm_graph.tasks.task import Row
from plstm_graph.train.trial import Trial

_MOST_TARGETS = 4  # of which metrics of an epoch are shown; epochs.jsonl has them all
_SECONDS = 0.5  # between two looks at what other processes wrote


class StudyProgress:
    """Shows which epoch each trial is in, and its metrics.

    Args:
        console: Where.
        epochs: Epochs of each trial.
        silent: Show nothing.
        transient: Whether bars go when all is done.
    """

    def __init__(self, console: Console, epochs: int, silent: bool = False, transient: bool = False) -> None:
        self._console, self._epochs, self._silent = console, epochs, silent
        self._bars = Progress(
            FieldColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            FieldColumn("text"),
            console=console,
            transient=transient,
            disable=silent or not console.is_watched,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "StudyProgress":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def update(self, trial: Trial, row: Row) -> None:
        """Show the metrics of an epoch."""
        if self._silent:
            return
        hidden = ["epoch", "lr", "seconds"]
        of_targets = [name for name in row if OF in name]
        hidden += of_targets if len(of_targets) > _MOST_TARGETS else []
        parts = [f"{name} {shown(value)}" for name, value in row.items() if name not in hidden]
        done, text = int(row["epoch"]) + 1, ", ".join(parts)
        if not self._console.is_watched:
            self._console.say(f"{trial.title}, epoch {done}/{self._epochs}: {text}, {row['seconds']:.1f} s")
            return
        if trial.title not in self._tasks:
            self._tasks[trial.title] = self._bars.add_task(trial.title, total=self._epochs, text="")
        fields = {"completed": done, "text": text}
        self._bars.update(self._tasks[trial.title], **fields)  # type: ignore[arg-type]

    @contextmanager
    def watching(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Show what other processes write down of trials."""
        seen = {trial.title: _rows(trial) for trial in trials}
        ended = threading.Event()

        def watch() -> None:
            while True:
                last = ended.wait(_SECONDS)
                for trial in trials:
                    rows = _rows(trial)
                    for row in rows[len(seen[trial.title]) :]:
                        self.update(trial, row)
                    seen[trial.title] = rows
                if last:
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _rows(trial: Trial) -> list[Row]:
    path = trial.folder / "epochs.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
