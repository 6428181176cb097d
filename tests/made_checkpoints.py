"""Checkpoints as ``plstm-graph fit`` writes them, of models that nothing was learnt with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from plstm_graph.nn import PLSTM, Ensemble
from plstm_graph.tasks.task import Task
from plstm_graph.train.checkpoint import FORMAT, KEY

SIZES = {"in_channels": "atom", "out_channels": 1, "hidden_channels": 8, "num_layers": 1, "heads": 1}
#: The model of a checkpoint, as its recipe has it.
MODEL = {"class_path": "plstm_graph.nn.PLSTM", "init_args": SIZES}


def make_recipe(**changes: Any) -> dict[str, Any]:
    """What a checkpoint says beside the weights: one number of molecules is predicted, unless changes say otherwise."""
    is_number = changes.get("kind", "regression") == "regression"
    return {
        "format": FORMAT,
        "task": {"name": "molecules", "path": "table.csv"},
        "model": MODEL,
        "seed": 0,
        "data": "molecules",
        "given": {"smiles_column": "smiles", "pre_transform": None},
        "target_names": ["y"],
        "reading": {"classes": [[]]},
        "kind": "regression",
        "scale": {"kind": "standard", "mean": [0.0], "std": [1.0]} if is_number else None,
    } | changes


def write_checkpoint(path: Path, sizes: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a checkpoint with the weights of a pLSTM of these sizes, whatever its recipe says; returns its path."""
    model = PLSTM(**SIZES | (sizes or {}))
    torch.save(checkpoint_of(model, make_recipe(**changes)), path)
    return path


def checkpoint_of(model: torch.nn.Module, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint of a model."""
    return {"state_dict": model.state_dict(), KEY: dict(recipe)}


def task_checkpoint(
    task: Task, section: Mapping[str, Any], spec: Mapping[str, Any], model: torch.nn.Module | None = None
) -> dict[str, Any]:
    """A checkpoint of a model of a task.

    Args:
        task: The task.
        section: Its name and options.
        spec: Class and arguments of the model.
        model: The model. (default: a new one)
    """
    model = task.make_model(spec) if model is None else model
    plain = {"format": FORMAT, "task": dict(section), "model": dict(spec), "seed": 0}
    members = len(model.members) if isinstance(model, Ensemble) else 1
    return checkpoint_of(model, plain | task.recipe(model, spec, members))
