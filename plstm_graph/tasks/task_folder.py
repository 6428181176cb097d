"""Tasks on DAGs as folders of DAGs, for the commands that read those: ``check``, ``fit``, ``predict``, ``explain``."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.dag_folder.from_pyg import write_dag_folder
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.nn.encoders import FeatureSpec
from plstm_graph.tasks.graph_task import GraphTask

#: Configuration that trains on a folder as the task does.
FIT = "fit.yaml"


def write_task(task: GraphTask, folder: str | Path, parts: Sequence[str] | None = None) -> list[str]:
    """Write the graphs of a task as a folder of DAGs.

    Features and targets alone are written: what only the metrics of the task need has no place there. Numbers are of
    the kind ``raw``, so that a model gets what it gets from the task. Targets that are learnt as logarithms are written
    as ``log(1 + y)``, so that errors are those of logarithms.

    Args:
        task: The task.
        folder: A folder that does not exist yet, or is empty.
        parts: Which parts; tests become the split ``test``. (default: ``train``, ``valid`` and the first test)

    Returns:
        The parts that were written.

    Raises:
        FileExistsError: If the folder has something in it.
        ValueError: If the task has no such part.
    """
    if parts is None:
        parts = ["train", "valid", *[name for name in task.parts if name.startswith("test")][:1]]
    unknown = [name for name in parts if name not in task.parts]
    if unknown or not parts:
        raise ValueError(f"there is no part {', '.join(unknown) or 'at all'} in {task.name}: {', '.join(task.parts)}")
    graphs, split = [], {"train": [], "valid": [], "test": []}  # type: ignore[var-annotated]
    for part in parts:
        for number, graph in enumerate(task.parts[part]):
            split[part if part in split else "test"].append(len(graphs))
            graphs.append(_plain(task, graph, f"{part}_{number}"))
    names = task.column_names
    write_dag_folder(
        graphs,
        folder,
        task="classification" if task.objective == "cross_entropy" else "regression",
        level=task.target_level,
        target_names=[_target_name(task)],
        node_features=_number_names(names.get("x"), task.in_channels),
        edge_features=_number_names(names.get("edge_attr"), task.edge_dim),
        split={part: numbers for part, numbers in split.items() if numbers},
        raw=True,
    )
    return list(parts)


def write_fit(task: GraphTask, folder: str | Path, models: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    """Write ``fit.yaml`` into a folder of :func:`write_task`: a configuration that trains on it as the task does.

    Args:
        task: The task.
        folder: The folder.
        models: Models of the task, as a configuration names them.
        training: How it trains them.

    Returns:
        Lines that say how to use it, and what targets became.
    """
    scale = "raw" if task.target is None or task.target.kind == "log1p" else task.target.kind
    scale = "standard" if scale == "log" else scale
    content: dict[str, Any] = {
        "name": Path(folder).name,
        "task": {"name": "dag_folder", "path": str(folder)},
        "models": dict(models),
        "training": dict(training),
    }
    if task.objective != "cross_entropy":
        content["task"]["target_scale"] = scale
    path = Path(folder) / FIT
    replace_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    lines = [f"plstm-graph fit --config {shlex.quote(str(path))} trains {', '.join(models)} on it as the task does"]
    if _is_log(task):
        lines.append(f"the target {_target_name(task)} is log(1 + y), on which the task measures errors")
    return lines


def _target_name(task: GraphTask) -> str:
    (name,) = task.column_names.get("y", ("y",))
    return f"log_{name}" if _is_log(task) else name


def _is_log(task: GraphTask) -> bool:
    return task.target is not None and task.target.is_logarithm


def _plain(task: GraphTask, graph: Data, name: str) -> Data:
    """What the folder gets of a graph."""
    y = graph.y.double().log1p() if _is_log(task) else graph.y
    plain = Data(edge_index=graph.edge_index, y=y, num_nodes=graph.num_nodes, graph_id=name)
    for key, spec in (("x", task.in_channels), ("edge_attr", task.edge_dim)):
        if spec is not None:
            numbers, categories = _split(graph[key], spec, task.column_names.get(key), key)
            if numbers is not None:
                plain[key] = numbers
            for column, values in categories.items():
                plain[column] = values
    return plain


def _split(
    matrix: Tensor, spec: FeatureSpec, names: Sequence[str] | None, key: str
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Columns of one kind as they are; of both kinds, those of numbers, and those of categories by their names."""
    if not isinstance(spec, list) or 0 not in spec:
        return matrix, {}
    is_number = torch.tensor([size == 0 for size in spec])
    names = names or [f"{key}_{number}" for number in range(len(spec))]
    categories = {name: matrix[:, number].long() for number, name in enumerate(names) if not is_number[number]}
    return matrix[:, is_number], categories


def _number_names(names: Sequence[str] | None, spec: FeatureSpec | None) -> list[str] | None:
    """Names of the columns that stay together."""
    if names is None or not isinstance(spec, list) or 0 not in spec:
        return None if names is None else list(names)
    return [name for name, size in zip(names, spec, strict=True) if size == 0]
