"""Writing folders of DAGs: from PyG graphs and from networkx."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.spec import NAME, Level, Task, spec_of
from plstm_graph.datasets.files import new_folder

if TYPE_CHECKING:
    import networkx

_SPLIT = "split"
Rows = dict[str, list[dict[str, Any]]]


def write_dag_folder(
    graphs: Iterable[Data],
    folder: str | Path,
    *,
    task: Task = "regression",
    level: Level = "graph",
    target_names: Sequence[str] | None = None,
    node_features: Sequence[str] | None = None,
    edge_features: Sequence[str] | None = None,
    split: Mapping[str, Sequence[int] | Tensor] | None = None,
) -> None:
    """Write PyG graphs as a folder of DAGs (``edges.csv``, ``nodes.csv``, ``graphs.csv``, ``dag.yaml``).

    Floating-point columns of ``x`` and ``edge_attr`` become numbers, integer ones categories. The folder appears at
    once, when everything is written and has passed the checks of ``plstm-graph check``.

    Args:
        graphs: DAGs with ``edge_index``, ``x`` and ``edge_attr`` if there are any, and ``y``. ``graph_id`` and
            ``node_id`` name them, otherwise their numbers do.
        folder: A folder that does not exist yet, or is empty.
        task: ``"regression"``, ``"classification"`` or ``"multilabel"``.
        level: What ``y`` belongs to: ``"graph"``, ``"node"`` or ``"edge"``.
        target_names: Names of the columns of ``y``. (default: ``y``, or ``y0``, ``y1``, ...)
        node_features: Names of the columns of ``x``. (default: ``x0``, ``x1``, ...)
        edge_features: Names of the columns of ``edge_attr``. (default: ``e0``, ``e1``, ...)
        split: Numbers of the graphs in ``"train"``, ``"valid"`` and ``"test"``. (default: a random split)

    Raises:
        FileExistsError: If the folder has something in it.
        ValueError: If a graph lacks something, or its parts do not fit together; it names the graph.
        DAGFolderError: If the graphs do not pass the checks, for example because of a cycle.
    """
    rows: Rows = {"graphs": [], "nodes": [], "edges": []}
    kinds: dict[str, dict[str, str]] = {"nodes": {}, "edges": {}}
    targets: list[str] = []
    parts = _parts(split)
    for number, data in enumerate(graphs):
        name = str(data.get("graph_id", number))
        if data.edge_index is None or data.num_nodes is None:
            raise ValueError(f"graph {name} has no edge_index")
        y = _matrix(data.get("y"), "y", name)
        count = {"graph": 1, "node": data.num_nodes, "edge": data.num_edges}[level]
        if level == "graph" and y.size(0) != 1 and data.y.dim() == 1:
            y = y.t()
        if y.size(0) != count:
            raise ValueError(f"graph {name} has y {list(data.y.shape)}, expected [{count}, T] for targets of {level}s")
        targets = list(target_names or (["y"] if y.size(1) == 1 else [f"y{column}" for column in range(y.size(1))]))
        labels = _named(y, targets, "y", name)
        if task != "regression":
            labels = [{key: _label(value) for key, value in row.items()} for row in labels]
        ids = [str(word) for word in data.get("node_id", range(data.num_nodes))]
        nodes = _features(data.get("x"), node_features, "x", name, kinds["nodes"]) or [{} for _ in ids]
        edges = _features(data.get("edge_attr"), edge_features, "e", name, kinds["edges"])
        edges = edges or [{} for _ in range(data.num_edges)]
        if len(ids) != len(nodes) or len(edges) != data.num_edges:
            raise ValueError(f"graph {name} has features of another number of nodes or edges than it has")
        own = {"graph": labels if level == "graph" else [{}], "node": labels, "edge": labels}
        rows["graphs"].append({"graph": name, **own["graph"][0], **({_SPLIT: parts.get(number)} if parts else {})})
        for index, node in enumerate(nodes):
            rows["nodes"].append(
                {"graph": name, "node": ids[index], **node, **(labels[index] if level == "node" else {})}
            )
        for index, (start, end) in enumerate(data.edge_index.t().tolist()):
            ends = {"graph": name, "source": ids[start], "target": ids[end]}
            rows["edges"].append({**ends, **edges[index], **(labels[index] if level == "edge" else {})})
    _write(folder, rows, task, level, targets, kinds, _SPLIT if parts else None)


def from_networkx(
    graphs: "Iterable[networkx.DiGraph]",
    folder: str | Path,
    *,
    targets: Sequence[str],
    task: Task = "regression",
    level: Level = "graph",
    split: str | None = None,
) -> None:
    """Write directed networkx graphs as a folder of DAGs; attributes of graphs, nodes and edges become columns.

    A graph is named by its attribute ``graph``, else by its number. Nested attributes become columns ``outer.inner``.

    Args:
        graphs: Directed graphs, also multigraphs.
        folder: A folder that does not exist yet, or is empty.
        targets: Attributes to predict.
        task: ``"regression"``, ``"classification"`` or ``"multilabel"``.
        level: What has these attributes: ``"graph"``, ``"node"`` or ``"edge"``.
        split: Attribute of graphs (or of what has the targets) with train, valid or test. (default: a random split)

    Raises:
        FileExistsError: If the folder has something in it.
        ValueError: If a graph is undirected.
        DAGFolderError: If the graphs do not pass the checks of ``plstm-graph check``.
    """
    rows: Rows = {"graphs": [], "nodes": [], "edges": []}
    for number, graph in enumerate(graphs):
        if not graph.is_directed():
            raise ValueError(f"graph {number} is undirected; a DAG needs a networkx.DiGraph")
        name = str(graph.graph.get("graph", number))
        rows["graphs"].append({"graph": name, **{key: value for key, value in graph.graph.items() if key != "graph"}})
        for node, attributes in graph.nodes(data=True):
            rows["nodes"].append({"graph": name, "node": str(node), **_flat(attributes)})
        for start, end, attributes in graph.edges(data=True):
            rows["edges"].append({"graph": name, "source": str(start), "target": str(end), **_flat(attributes)})
    _write(folder, rows, task, level, list(targets), {}, split)


def _write(
    folder: str | Path,
    rows: Rows,
    task: Task,
    level: Level,
    targets: list[str],
    kinds: Mapping[str, Mapping[str, str]],
    split: str | None,
) -> None:
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already, and not empty")
    content: dict[str, Any] = {"task": task, "level": level, "targets": targets}
    content |= {} if split is None else {"split": split}
    content |= {name: {"features": dict(columns)} for name, columns in kinds.items() if columns}
    spec_of(content)
    keys = {"graphs": ["graph"], "nodes": ["graph", "node"], "edges": ["graph", "source", "target"]}
    with new_folder(folder) as unfinished:
        for name, records in rows.items():
            columns = list(dict.fromkeys([*keys[name], *(key for row in records for key in row)]))
            pd.DataFrame(records, columns=columns).to_csv(unfinished / f"{name}.csv", index=False)
        (unfinished / NAME).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        try:
            check_folder(unfinished)
        except DAGFolderError as error:
            raise DAGFolderError(error.problems, f"{folder}, not written") from error


def _parts(split: Mapping[str, Sequence[int] | Tensor] | None) -> dict[int, str]:
    return {int(number): part for part, numbers in (split or {}).items() for number in numbers}


def _features(
    values: Tensor | None, names: Sequence[str] | None, letter: str, graph: str, kinds: dict[str, str]
) -> list[dict[str, Any]]:
    """One row for each node or edge; notes the kinds of columns."""
    if values is None:
        return []
    matrix = _matrix(values, letter, graph)
    columns = list(names or [f"{letter}{column}" for column in range(matrix.size(1))])
    kinds |= dict.fromkeys(columns, "number" if matrix.is_floating_point() else "category")
    return _named(matrix, columns, letter, graph)


def _named(matrix: Tensor, columns: Sequence[str], letter: str, graph: str) -> list[dict[str, Any]]:
    if matrix.size(1) != len(columns):
        raise ValueError(f"graph {graph}: {letter} has {matrix.size(1)} columns, but {len(columns)} names were given")
    return [dict(zip(columns, row, strict=True)) for row in matrix.tolist()]


def _matrix(values: Any, name: str, graph: str) -> Tensor:
    if not isinstance(values, Tensor):
        raise ValueError(f"graph {graph} has no tensor {name}")
    return values.view(-1, 1) if values.dim() <= 1 else values


def _label(value: float) -> int | None:
    """Labels are whole numbers; NaN is an unknown one."""
    return None if math.isnan(value) else int(value)


def _flat(attributes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in attributes.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
