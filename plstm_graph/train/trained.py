"""Models of a finished study."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch_geometric.data import Data

from plstm_graph.tasks.batches import batches_in_order
from plstm_graph.tasks.task import Row, Shard, Task
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.trial import trained_model

_SCALE = "task.target_scale"


class TrainedModel(NamedTuple):
    """A trained model, and the task with targets on the scale that it learned."""

    name: str
    seed: int
    model: nn.Module
    task: Task

    def score(self, graphs: Sequence[Data], batch_size: int = 1) -> Row:
        """Metrics over graphs, prepared as those of the task."""
        batches = batches_in_order(graphs, batch_size, torch.device("cpu"), Shard(), self.task.needs(self.model))
        output, columns = outputs_of(self.model, batches, self.task)
        return self.task.score(output, **columns)


def trained_models(folder: str | Path, task: Task) -> Iterator[TrainedModel]:
    """The models that a study reports, one for each seed, ready to be evaluated on the CPU.

    Args:
        folder: Of the study, with ``report.json``.
        task: The task of that study.

    Raises:
        OSError: If there is no such study.
        ValueError: If weights do not fit.
    """
    folder = Path(folder)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    study = Study(report["config"], list(report["models"]), [0], folder)
    for name, model in report["models"].items():
        scale = model["choice"].get(_SCALE)
        scaled = task if scale is None else task.scaled(scale)
        for row in model["seeds"]:
            trial = study.trial(name, row["choice"], Repeat(row["seed"], row.get("fold")))
            yield TrainedModel(name, row["seed"], trained_model(trial, scaled, torch.device("cpu")), scaled)
