"""The best model of a study as a file for other commands."""

import shutil
from functools import partial
from pathlib import Path

import torch

from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.metrics import Task as Kind
from plstm_graph.tasks.task import Task
from plstm_graph.train.checkpoint import KEY
from plstm_graph.train.inference import make_recipe
from plstm_graph.train.module import GraphModule
from plstm_graph.train.trial import Trial, trained_model

_KINDS: dict[str, Kind] = {
    "binary": "classification",
    "mse": "regression",
    "l1": "regression",
    "sequence": "sequence",
}


def export(trial: Trial, task: Task, path: Path) -> None:
    """Write the model of a trial: one of molecules as ``plstm-graph predict`` takes it, others as the trial has it.

    Args:
        trial: A finished one.
        task: Its task.
        path: Where.

    Raises:
        OSError: If it cannot be written.
    """
    if not isinstance(task, GraphTask) or task.molecules is None or (task.target and task.target.is_logarithm):
        replace_file(path, partial(shutil.copyfile, trial.folder / "best.ckpt"))
        return
    model, kind = trained_model(trial, task, torch.device("cpu")), _KINDS[task.objective]
    module = GraphModule(model, kind)
    if task.target is not None:
        module.scale = task.target.scale
    sized = {"model": task.sized_spec(trial.spec, trial.training.members), "task": kind}
    recipe = make_recipe(sized, task.molecules(task.needs(model)), list(task.column_names["y"]))
    checkpoint = {KEY: recipe, "state_dict": module.state_dict()}
    replace_file(path, lambda unfinished: torch.save(checkpoint, unfinished))
