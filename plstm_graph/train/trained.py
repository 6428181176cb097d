"""Models of a finished study."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch_geometric.data import Data

from plstm_graph.tasks.batches import batches_in_order
from plstm_graph.tasks.task import Row, Shard, Task
from plstm_graph.train.choices import check_choices
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.run_folder import check_name
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.trial import Trial, trained_model

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


def reported_trials(folder: Path) -> list[Trial]:
    """The trials that the report of a study is of.

    Raises:
        OSError: If there is no report.
        ValueError: If it is no report of a study.
    """
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        config = {name: dict(report["config"][name]) for name in ("task", "models", "training")}
        config["choose"] = check_choices(report["config"]["choose"])
        found = [(name, row) for name, model in report["models"].items() for row in model["seeds"]]
        study = Study(config, list(config["models"]), [0], folder)
        for name in config["models"]:
            check_name(name)
        for _, row in found:
            numbers = [row["seed"], *([] if row.get("fold") is None else [row["fold"]])]
            if not all(type(number) is int for number in numbers) or row["choice"] not in list(study.choices):
                raise ValueError(f"there is no training such as {row}"[:200])
        trials = [study.trial(name, row["choice"], Repeat(row["seed"], row.get("fold"))) for name, row in found]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no report of a study: {type(error).__name__} {error}") from error
    if not trials:
        raise ValueError(f"{path} is no report of a study: it has no trainings")
    return trials


def trained_models(folder: str | Path, task: Task) -> Iterator[TrainedModel]:
    """The models that a study reports, one for each seed, ready to be evaluated on the CPU.

    Args:
        folder: Of the study, with ``report.json``.
        task: The task of that study.

    Raises:
        OSError: If there is no such study.
        ValueError: If weights do not fit.
    """
    for trial in reported_trials(Path(folder)):
        scale = trial.choice.get(_SCALE)
        scaled = task if scale is None else task.scaled(scale)
        yield TrainedModel(trial.model, trial.seed, trained_model(trial, scaled, torch.device("cpu")), scaled)
