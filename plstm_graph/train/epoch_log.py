"""``epochs.jsonl``: the metrics of a training, a line for each epoch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.tasks.rows import Row


class EpochLog:
    """Writes the epochs of a training as they come, and passes them on; for ``on_epoch`` of the training loop.

    A resumed training reports all its epochs again from the first, so the file is written anew, whole, each time.

    Args:
        folder: Of the training; gets ``epochs.jsonl``.
        report: Called with the metrics of each epoch.
        **about: Values that each line has too.

    Attributes:
        rows (list[dict[str, float]]): The epochs so far.
    """

    def __init__(self, folder: Path, report: Callable[[Row], None], **about: Any) -> None:
        self.rows: list[Row] = []
        self._path, self._report, self._about = folder / "epochs.jsonl", report, about

    def __call__(self, row: Row) -> None:
        """Take in an epoch."""
        self.rows.append(row)
        replace_text(self._path, "".join(json.dumps(self._about | each) + "\n" for each in self.rows))
        self._report(row)

    @property
    def seconds(self) -> float:
        """Of all epochs together."""
        return sum(row["seconds"] for row in self.rows)
