"""What a folder of DAGs holds, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from plstm_graph.datasets.dag_folder.folder import Folder
from plstm_graph.datasets.dag_folder.targets import PARTS, split_table
from plstm_graph.datasets.dag_folder.unseen import Unseen
from plstm_graph.datasets.moments import Moments
from plstm_graph.graph.longest_path import longest_path


@dataclass
class Description:
    """Plain values that say what a folder holds.

    Attributes:
        counts (dict[str, int]): Graphs, nodes, edges; isolated nodes and duplicate edges.
        per_graph (dict[str, list[float]]): Least, median and largest number of nodes, edges and levels of a graph.
        longest_path (dict): ``length`` in edges, ``graph``, and ``nodes``, the path itself.
        degrees (dict[str, list[int]]): Number of nodes with each of the :attr:`degree_bins`, in and out.
        degree_bins (list[str]): Names of the bins.
        missing (dict[str, int]): Cells without a value by ``table.column``, where there are any.
        features (list[str]): What enters a model, in words.
        left_out (dict[str, str]): Columns that do not, and why.
        mixed (dict[str, str]): Columns that are taken for categories, though most values are numbers.
        unseen (dict[str, dict]): Features with words that the training part does not have: ``rows`` of each part that
            have one, the most frequent ``words``, and how many ``others`` there are.
        duplicate (str): Where the first duplicate edge stands.
        targets (dict[str, dict]): For each target, ``parts`` with its distribution.
        split (dict[str, int]): Rows of each part, and of what.
    """

    counts: dict[str, int]
    per_graph: dict[str, list[float]]
    longest_path: dict[str, Any]
    degrees: dict[str, list[int]]
    degree_bins: list[str]
    missing: dict[str, int]
    features: list[str]
    left_out: dict[str, str]
    mixed: dict[str, str]
    unseen: dict[str, Unseen]
    duplicate: str
    targets: dict[str, dict[str, Any]]
    split: dict[str, int]


def describe_folder(folder: Folder) -> Description:
    """Describe a folder without problems.

    Args:
        folder: As :func:`~.folder.read_folder` read it.
    """
    dags = folder.dags
    num_nodes, (start, end) = len(dags.node_ids), dags.edge_index
    out_degree, in_degree = (np.bincount(index, minlength=num_nodes) for index in (start, end))
    keys = pd.Series(start.astype(np.int64) * max(num_nodes, 1) + end)
    again = np.flatnonzero(keys.duplicated().to_numpy())
    depth = np.zeros(dags.num_graphs, dtype=np.int64)
    np.maximum.at(depth, dags.node_graph, dags.level + 1)
    sizes = {
        "nodes": np.bincount(dags.node_graph, minlength=dags.num_graphs),
        "edges": np.bincount(dags.edge_graph, minlength=dags.num_graphs),
        "levels": depth,
    }
    edges = torch.from_numpy(np.ascontiguousarray(dags.edge_index))
    path = longest_path(edges, num_nodes, torch.from_numpy(dags.level)).tolist()
    bins, names = _degree_bins(max(int(out_degree.max(initial=0)), int(in_degree.max(initial=0))))
    duplicate = ""
    if len(again):
        first = int(again[np.argmin(dags.rows["edges"][again])])
        ids = dags.node_ids[dags.edge_index[:, first]]
        message = f"edge {ids[0]} -> {ids[1]} stands there before"
        row, graph = int(dags.rows["edges"][first]), str(dags.graph_ids[dags.edge_graph[first]])
        duplicate = str(dags.frames["edges"].problem(row, message, graph))
    return Description(
        counts={
            "graphs": dags.num_graphs,
            "nodes": num_nodes,
            "edges": dags.edge_index.shape[1],
            "isolated nodes": int(((out_degree + in_degree) == 0).sum()),
            "duplicate edges": len(again),
        },
        per_graph={name: [float(each) for each in np.quantile(size, [0, 0.5, 1])] for name, size in sizes.items()},
        longest_path={
            "length": len(path) - 1,
            "graph": str(dags.graph_ids[dags.node_graph[path[0]]]),
            "nodes": [str(dags.node_ids[node]) for node in path],
        },
        degrees={
            name: np.histogram(degree, bins)[0].tolist() for name, degree in (("in", in_degree), ("out", out_degree))
        },
        degree_bins=names,
        missing=_missing(folder),
        features=[_feature(column) for column in folder.columns],
        left_out=folder.left_out,
        mixed=folder.mixed,
        unseen=folder.unseen,
        duplicate=duplicate,
        targets=_targets(folder),
        split={f"{word} {split_table(dags)}": int((folder.part == part).sum()) for part, word in enumerate(PARTS)},
    )


def _degree_bins(largest: int) -> tuple[list[float], list[str]]:
    """0, 1, 2, 3-4, 5-8, ...: their bounds and names."""
    bounds, names, low = [-0.5, 0.5], ["0"], 1
    while low <= largest or low == 1:
        high = low if low == 1 else 2 * (low - 1)
        bounds.append(high + 0.5)
        names.append(str(low) if low == high else f"{low}-{high}")
        low = high + 1
    return bounds, names


def _missing(folder: Folder) -> dict[str, int]:
    found = {}
    for name, frame in folder.dags.frames.items():
        for column, cells in frame.values.items():
            absent = int(cells.isna().sum())
            if absent:
                found[f"{name}.{column}"] = absent
    return found


def _feature(column: Any) -> str:
    missing = ", with missing ones" if column.missing else ""
    if column.kind == "raw":
        text = f"number in its own unit, mean {column.mean:.6g}, std {column.std:.6g}{missing}"
    elif column.kind == "number" and column.std == 0:
        text = f"number, {column.mean:g} in all of the training part, so it says nothing"
    elif column.kind == "number":
        text = f"number, mean {column.mean:.6g}, std {column.std:.6g}{missing}"
    else:
        shown = ", ".join(column.words[:6]) + (", ..." if len(column.words) > 6 else "")
        text = f"{len(column.words)} categor{'y' if len(column.words) == 1 else 'ies'}: {shown}"
    return f"{column.table}.{column.name}: {text}"


def _targets(folder: Folder) -> dict[str, dict[str, Any]]:
    dags, targets = folder.dags, folder.targets
    part = folder.part
    if split_table(dags) == "graphs":
        part = part[dags.graph_of(dags.spec.target_table)]
    found = {}
    for number, name in enumerate(dags.spec.targets):
        values = targets.values[:, number]
        found[name] = {
            word: _distribution(values[part == each], targets.classes[number]) for each, word in enumerate(PARTS)
        }
    return found


def _distribution(values: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    known = values[~np.isnan(values)]
    if not classes:
        if not len(known):
            return {"known": 0}
        moments = Moments()
        moments.update(known)
        return {
            "known": len(known),
            "mean": moments.mean,
            "std": moments.std,
            "min": float(known.min()),
            "max": float(known.max()),
        }
    counts = np.bincount(known.astype(np.int64), minlength=len(classes))
    counted: dict[str, float] = {name: int(count) for name, count in zip(classes, counts, strict=True)}
    return {"known": len(known)} | counted
