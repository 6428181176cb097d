"""``plstm-graph test``: metrics of a trained model on a split or on another table."""

from pathlib import Path
from typing import Any

import torch

from plstm_graph.config.parser import make
from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_json
from plstm_graph.tasks.metrics import evaluate
from plstm_graph.train.fit.report import plain_json, print_metrics
from plstm_graph.train.graph_data import GraphDataModule
from plstm_graph.train.inference import MOLECULES, load_module, pick_device, predict
from plstm_graph.train.predict.table import check_columns


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
    data_class = recipe.get("data_class", MOLECULES)
    if data is not None:
        if data_class != MOLECULES:
            raise ValueError(f"--data takes a table of molecules, but {ckpt_path} was trained by {data_class}")
        arguments |= {"path": data, "target_columns": recipe["target_names"]}
        split = "all"
    elif data_class == MOLECULES and (path := arguments.get("path")) is not None and not Path(str(path)).is_file():
        raise ValueError(
            f"{path}, which {ckpt_path} was trained on, is no table here; give one with --data "
            "(scores on a benchmark's own test split stand in the report of its run)"
        )
    datamodule = make(
        lambda parser: parser.add_subclass_arguments(GraphDataModule, "made"),
        {"class_path": data_class, "init_args": arguments},
    )
    datamodule.use_task(module.task, recipe.get("reading", {}).get("classes"))
    graphs = datamodule.dataset if split == "all" else datamodule.subset(split)
    predicted = predict(module, graphs)
    classes = recipe.get("reading", {}).get("classes", [])
    check_columns(predicted, module.task, recipe["target_names"], classes)
    metrics = evaluate(predicted, torch.cat([graph.y for graph in graphs]), module.task)
    title = f"{datamodule.title}: {len(graphs)} {datamodule.unit} ({split})"
    print_metrics(Console(), {type(module.model).__name__: metrics}, module.task, title)
    for note in datamodule.notes:
        Console(stderr=True).say(note)
    if output is not None:
        result = {"data": datamodule.title, "split": split, datamodule.unit: len(graphs), **metrics}
        replace_json(output, plain_json(result))
