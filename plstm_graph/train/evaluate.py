"""``plstm-graph test``: metrics of a trained model on a split or on another table."""

import json
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from rich.console import Console

from plstm_graph.datasets.files import replace_file
from plstm_graph.train.data import MoleculeDataModule
from plstm_graph.train.inference import load_module, pick_device, predict
from plstm_graph.train.metrics import evaluate
from plstm_graph.train.report import plain_json, print_metrics


def test_checkpoint(ckpt_path: str, split: str, data: str | None, output: str | None, device: str) -> None:
    """Print the metrics of a checkpoint.

    Args:
        ckpt_path: A checkpoint that ``plstm-graph fit`` wrote.
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``, of the data that the model was trained on.
        data: Another table with the same columns, all of which is used.
        output: JSON file to write the metrics to.
        device: ``"auto"`` or a device of torch.

    Raises:
        ValueError: If data or checkpoint cannot be used.
    """
    module = load_module(ckpt_path).to(pick_device(device))
    recipe = module.recipe
    arguments: dict[str, Any] = dict(recipe["data"])
    if data is not None:
        arguments |= {"path": data, "target_columns": recipe["target_names"]}
        split = "all"
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MoleculeDataModule, "data")
    datamodule = parser.instantiate(parser.parse_object({"data": arguments})).data
    graphs = datamodule.dataset if split == "all" else datamodule.subset(split)
    metrics = evaluate(predict(module, graphs), torch.cat([graph.y for graph in graphs]), module.task)
    title = f"{datamodule.title}: {len(graphs)} molecules ({split})"
    print_metrics(Console(), {type(module.model).__name__: metrics}, module.task, title)
    for row in datamodule.bad_rows:
        Console(stderr=True).print(f"left out, line {row.line}: {row.reason}", soft_wrap=True, markup=False)
    if output is not None:
        result = {"data": datamodule.title, "split": split, "molecules": len(graphs), **metrics}
        text = json.dumps(plain_json(result), indent=2) + "\n"
        replace_file(output, lambda unfinished: Path(unfinished).write_text(text, encoding="utf-8"))
