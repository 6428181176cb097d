"""``plstm-graph test``: metrics of a trained model on a part of its data or on another table."""

from pathlib import Path

import torch

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_json
from plstm_graph.predict.predictor import Predictor, load_predictor, load_transform
from plstm_graph.report.metrics import plain_json, print_metrics
from plstm_graph.report.predictions import check_columns
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.metrics import evaluate
from plstm_graph.tasks.molecules import MoleculeTable
from plstm_graph.tasks.registry import task_of
from plstm_graph.train.device import pick_device
from plstm_graph.transforms import ToDAG


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
    predictor = load_predictor(ckpt_path).to(pick_device(device))
    labelled = _own_data(predictor, ckpt_path) if data is None else _other_table(predictor, ckpt_path, data)
    split = split if data is None else "all"
    graphs = labelled.dataset if split == "all" else labelled.subset(split)
    predicted = predictor.predict(graphs)
    check_columns(predicted, predictor.kind, predictor.target_names, predictor.classes)
    metrics = evaluate(predicted, torch.cat([graph.y for graph in graphs]), predictor.kind)
    title = f"{labelled.title}: {len(graphs)} {labelled.unit} ({split})"
    print_metrics(Console(), {type(predictor.model).__name__: metrics}, predictor.kind, title)
    for note in labelled.notes:
        Console(stderr=True).say(note)
    if output is not None:
        result = {"data": labelled.title, "split": split, labelled.unit: len(graphs), **metrics}
        replace_json(output, plain_json(result))


def _other_table(predictor: Predictor, ckpt_path: str, path: str) -> LabelledGraphs:
    """A table with the targets that the model was trained on."""
    recipe = predictor.recipe
    if recipe["data"] != "molecules":
        raise ValueError(f"--data takes a table of molecules, but {ckpt_path} was trained on a {recipe['data']!r:.200}")
    transform = load_transform(recipe, ToDAG())
    columns = recipe["given"].get("smiles_column", "smiles"), predictor.target_names
    table = MoleculeTable(path, *columns, pre_transform=transform, allow_missing=True)
    table.use_kind(predictor.kind, predictor.classes)
    return table


def _own_data(predictor: Predictor, ckpt_path: str) -> LabelledGraphs:
    """The data of the training."""
    options = predictor.recipe["task"]
    path = options.get("path")
    if path is not None and not Path(str(path)).exists():
        raise ValueError(f"{path}, which {ckpt_path} was trained on, is not there; give a table with --data")
    task = task_of(options)
    if not isinstance(task, GraphTask) or task.labelled is None:
        raise ValueError(
            f"{ckpt_path} is of the task {options.get('name')}, whose scores stand in the report of its run; "
            "give another table with --data"
        )
    digest = predictor.recipe.get("digest")
    if digest is not None and digest != task.labelled.digest:
        raise ValueError(
            f"the data of {task.labelled.title} have changed since {ckpt_path} was trained, so their parts may not be "
            f"those of the training ({task.labelled.digest}, was {digest!r:.200}); give a table that is tested as a "
            "whole with --data"
        )
    return task.labelled
