"""``plstm-graph predict``, by what the model was trained on, and ``plstm-graph test``."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from plstm_graph.console import Console
from plstm_graph.datasets.dag_folder.encoding import Encoding, row_names
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.unlabelled import Unlabelled, read_unlabelled
from plstm_graph.datasets.molecules.smiles_column import read_molecule_table
from plstm_graph.datasets.storage.files import replace_json
from plstm_graph.machine import pick_device
from plstm_graph.predict.inputs import MoleculeInputs
from plstm_graph.predict.molecules import likely_column, predict_smiles
from plstm_graph.predict.predictor import Predictor, load_predictor, load_transform
from plstm_graph.report.predictions import check_columns, prediction_columns, sureness_columns, write_csv
from plstm_graph.tasks.conformal import COVERAGE, check_coverage
from plstm_graph.tasks.labelled import LabelledGraphs, exact
from plstm_graph.tasks.molecules import MoleculeTable
from plstm_graph.tasks.registry import task_of
from plstm_graph.tasks.scores import scores_of
from plstm_graph.tasks.spread import assess
from plstm_graph.tasks.sureness import sureness
from plstm_graph.train.checkpoint import CheckpointError
from plstm_graph.transforms import ToDAG


def predict_inputs(
    ckpt_path: str,
    inputs: Sequence[str],
    smiles_column: str | None,
    allow_unknown: bool,
    output: str | None,
    device: str,
    coverage: float = COVERAGE,
) -> int:
    """Write predictions as CSV, see :func:`predict_smiles` and :func:`predict_dags`.

    Args:
        ckpt_path: A checkpoint that ``plstm-graph fit`` wrote.
        inputs: SMILES, and CSV files with a column of SMILES; or one folder of DAGs.
        smiles_column: Name of that column. (default: as in training)
        allow_unknown: Of DAGs, whether categories that the model was not trained on are taken for missing ones.
        output: The CSV file to write. (default: stdout)
        device: ``"auto"`` or a device of torch.
        coverage: Part of the measured values that intervals are to hold.

    Returns:
        Number of rows with a prediction.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        ValueError: If input or checkpoint cannot be used.
    """
    check_coverage(coverage)
    predictor = load_predictor(ckpt_path).to(pick_device(device))
    data = predictor.recipe["data"]
    if data == "molecules":
        return predict_smiles(predictor, inputs, smiles_column, output, coverage)
    if data == "dag_folder":
        if len(inputs) != 1 or smiles_column is not None:
            raise ValueError(f"{ckpt_path} was trained on a folder of DAGs: it takes one such folder and no SMILES")
        return predict_dags(predictor, inputs[0], output, allow_unknown, coverage)
    raise ValueError(f"{ckpt_path} was trained on {data!r:.200}, for which there is no `predict`")


def predict_dags(
    predictor: Predictor, folder: str, output: str | None, allow_unknown: bool, coverage: float = COVERAGE
) -> int:
    """Write a prediction for every target of a folder, in order, as CSV.

    Columns are ``graph``, with ``node``, or ``source`` and ``target``, where nodes or edges are predicted;
    ``measured_<target>`` for targets that the folder has; and those of
    :func:`~plstm_graph.report.predictions.prediction_columns` and
    :func:`~plstm_graph.report.predictions.sureness_columns`; and ``warning`` where a graph is smaller or larger than
    those of the training.

    Args:
        predictor: Trained by ``plstm-graph fit`` on a folder of DAGs.
        folder: Of the same kind; targets and split are not needed.
        output: The CSV file to write. (default: stdout)
        allow_unknown: Whether categories that the model was not trained on are taken for missing ones.
        coverage: Part of the measured values that intervals are to hold.

    Returns:
        Number of rows with a prediction.

    Raises:
        FileNotFoundError: If there is no such folder.
        DAGFolderError: If anything is wrong with it; it lists everything that was found.
        ValueError: If a prediction is not finite.
    """
    content, encoding, transform = read_for(predictor, folder, allow_unknown)
    columns = row_names(content.graphs, encoding.level)
    columns |= {f"measured_{name}": cells for name, cells in content.measured.items()}
    graphs = [transform(graph) for graph in content.graphs]
    assessed = predictor.assess(graphs, coverage)
    columns |= prediction_columns(assessed.values, predictor.kind, encoding.target_names, encoding.classes)
    columns |= sureness_columns(assessed, encoding.target_names)
    if predictor.domain is not None:
        warnings = {graph.graph_id: predictor.domain.outside(graph) for graph in graphs}
        columns["warning"] = [warnings[name] for name in columns["graph"]]
    write_csv(list(columns), zip(*columns.values(), strict=True), output)
    predictor.report_lacking(coverage)
    return len(assessed.values)


def read_for(
    predictor: Predictor, folder: str, allow_unknown: bool
) -> tuple[Unlabelled, Encoding, Callable[[Data], Data]]:
    """Read a folder as that of a model's training was read.

    Args:
        predictor: The model.
        folder: The folder.
        allow_unknown: Whether categories that the model was not trained on are taken for missing ones.

    Returns:
        The folder as it is, what its columns mean, and the transform that makes its graphs what the model takes.
    """
    reading = predictor.recipe["reading"]
    try:
        encoding, spec = Encoding.of_plain(reading["encoding"]), Spec.of_plain(reading["spec"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint does not say how its folders are read ({error!r:.200})") from error
    content = read_unlabelled(folder, spec, encoding, allow_unknown)
    for text in content.unseen:
        Console(stderr=True).say(text)
    return content, encoding, load_transform(predictor.recipe, ToDAG("keep"))


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
    outputs = predictor.outputs_of_members(graphs)
    # Without temperatures, as in the report of a run.
    predicted = assess(outputs, predictor.kind, predictor.scale, gaussian=predictor.is_gaussian).values
    check_columns(predicted, predictor.kind, predictor.target_names, predictor.classes)
    targets = torch.cat([exact(graph.y, graph.get("censor")) for graph in graphs])
    metrics = scores_of(predictor.recipe).of_predictions(predicted, targets)
    if predictor.calibration is not None:
        known = predictor.kind, predictor.scale, predictor.calibration, predictor.target_names, predictor.is_gaussian
        metrics |= sureness(outputs, targets, *known)
    title = f"{labelled.title}: {len(graphs)} {labelled.unit} ({split})"
    from plstm_graph.report.labelled import print_metrics  # and with it matplotlib, for which `predict` need not wait

    print_metrics(Console(), type(predictor.model).__name__, metrics, title)
    for note in labelled.notes:
        Console(stderr=True).say(note)
    if output is not None:
        result = {"data": labelled.title, "split": split, labelled.unit: len(graphs), **metrics}
        replace_json(output, result)


def _other_table(predictor: Predictor, ckpt_path: str, path: str) -> LabelledGraphs:
    """A table with the targets that the model was trained on."""
    recipe = predictor.recipe
    if recipe["data"] != "molecules":
        raise ValueError(f"--data takes a table of molecules, but {ckpt_path} was trained on a {recipe['data']!r:.200}")
    transform = load_transform(recipe, ToDAG())
    _, _, smiles_column = read_molecule_table(path, likely=likely_column(predictor))
    options: dict[str, Any] = {"allow_missing": True, "censored": recipe["given"].get("censored") is True}
    taken = MoleculeInputs.of_recipe(recipe)
    options |= {"descriptors": replace(taken.descriptors, allow_missing=True), "scaling": taken.scaling}
    columns = [smiles_column, *taken.smiles[1:]], predictor.target_names
    table = MoleculeTable(path, *columns, pre_transform=transform, **options)
    table.use_kind(predictor.kind, predictor.classes)
    return table


def _own_data(predictor: Predictor, ckpt_path: str) -> LabelledGraphs:
    """The data of the training."""
    options = predictor.recipe["task"]
    path = options.get("path")
    if path is not None and not Path(str(path)).exists():
        raise ValueError(f"{path}, which {ckpt_path} was trained on, is not there; give a table with --data")
    task = task_of(options)
    if task.labelled is None:
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
