"""Checkpoints as ``plstm-graph fit`` writes them, of models that nothing was learnt with."""

from pathlib import Path
from typing import Any

import torch

from plstm_graph.nn import PLSTM
from plstm_graph.train.checkpoint import FORMAT, KEY

SIZES = {"out_channels": 1, "hidden_channels": 8, "num_layers": 1, "heads": 1}
#: The model of a checkpoint, as its recipe has it.
MODEL = {"class_path": "plstm_graph.nn.PLSTM", "init_args": SIZES}


def make_recipe(**changes: Any) -> dict[str, Any]:
    """What a checkpoint says beside the weights: one number of molecules is predicted, unless changes say otherwise."""
    recipe = {
        "format": FORMAT,
        "task": {"name": "molecules", "path": "table.csv"},
        "model": MODEL,
        "seed": 0,
        "data": "molecules",
        "given": {"smiles_column": "smiles", "pre_transform": None},
        "target_names": ["y"],
        "reading": {"classes": [[]]},
        "kind": "regression",
        "scale": None,
    } | changes
    if recipe["kind"] == "regression" and recipe["scale"] is None:
        recipe["scale"] = {"kind": "standard", "mean": [0.0], "std": [1.0]}
    return recipe


def write_checkpoint(path: Path, sizes: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a checkpoint with the weights of a pLSTM of these sizes, whatever its recipe says; returns its path."""
    model = PLSTM(**SIZES | (sizes or {}))
    torch.save({"state_dict": model.state_dict(), KEY: make_recipe(**changes)}, path)
    return path
