"""Models of a finished run of ``plstm-graph dags``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from plstm_graph.train.checkpoint import load_weights
from plstm_graph.train.dag_tasks.run import make_model
from plstm_graph.train.dag_tasks.task import DAGTask


class TrainedModel(NamedTuple):
    """A trained model, and the task with targets on the scale that it learned."""

    name: str
    seed: int
    model: nn.Module
    task: DAGTask


def trained_models(run: str | Path, task: DAGTask) -> Iterator[TrainedModel]:
    """The models that a run reports, one for each seed, ready to be evaluated on the CPU.

    Args:
        run: Folder of the run, with ``report.json``.
        task: The task of that run.

    Raises:
        OSError: If there is no such run.
        ValueError: If weights do not fit.
    """
    run = Path(run)
    report: dict[str, Any] = json.loads((run / "report.json").read_text(encoding="utf-8"))
    for name, rows in report["models"].items():
        for row in rows["seeds"]:
            # As the command lays them down: trainings on the task's own scale have no folder of it.
            own = task.target is None or row.get("target") in (None, task.target.kind)
            place = (
                run / name / ("" if own else f"target_{row['target']}") / f"lr_{row['lr']:g}" / f"seed_{row['seed']}"
            )
            scaled = task if own else task.scaled(row["target"])
            model = make_model(report["config"]["models"][name], scaled)
            load_weights(model, place / "best.pt", torch.device("cpu"), f"remove the folder {place} to train it anew")
            yield TrainedModel(name, row["seed"], model.eval(), scaled)
