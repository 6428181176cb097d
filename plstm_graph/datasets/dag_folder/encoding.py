"""From a folder's tables to PyG graphs."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.dag_folder.assemble import Dags
from plstm_graph.datasets.dag_folder.columns import Column, encode, in_order
from plstm_graph.datasets.dag_folder.spec import Level, Spec, Task
from plstm_graph.datasets.dag_folder.targets import Targets, split_table
from plstm_graph.datasets.dag_folder.unseen import Unseen
from plstm_graph.datasets.storage.plain_values import as_dataclass
from plstm_graph.datasets.storage.tensor_files import make_anew

MASKS = ("train_mask", "val_mask", "test_mask")


@dataclass
class Encoding:
    """How the tables of a folder become numbers: learnt from its training part, stored with the graphs.

    Attributes:
        task (str): ``"regression"``, ``"classification"`` or ``"multilabel"``.
        level (str): ``"graph"``, ``"node"`` or ``"edge"``.
        target_names (list[str]): Names of the targets.
        classes (list[list[str]]): Names of the classes of each target; empty for numbers.
        columns (list[Column]): Features.
        left_out (dict[str, str]): Columns that are no features, and why.
        dtype (str): Of the targets: ``"float32"``, or ``"float64"`` where that would not keep how numbers differ.
        mixed (dict[str, str]): Columns that are taken for categories, though most values are numbers.
        unseen (dict[str, str]): Columns with words that the training part does not have, and how many.
    """

    task: Task
    level: Level
    target_names: list[str]
    classes: list[list[str]]
    columns: list[Column]
    left_out: dict[str, str]
    dtype: str = "float32"
    mixed: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)

    def of(self, *tables: str) -> list[Column]:
        """Columns of some tables."""
        return [column for column in self.columns if column.table in tables]

    @property
    def node_sizes(self) -> list[int]:
        """Size of each column of ``x``, 0 for numbers; a column of ones if there are no features."""
        return _sizes(self.of("nodes", "graphs")) or [0]

    @property
    def node_names(self) -> list[str]:
        """Name of each column of ``x``; empty if there are no features."""
        return [name for column in in_order(self.of("nodes", "graphs")) for name in column.names]

    @property
    def edge_sizes(self) -> list[int]:
        """Size of each column of ``edge_attr``, 0 for numbers; empty without features."""
        return _sizes(self.of("edges"))

    @property
    def num_outputs(self) -> int:
        """Columns that a model has to give: one for each class or target."""
        return len(self.classes[0]) if self.task == "classification" else len(self.target_names)

    @property
    def output_names(self) -> list[str]:
        """Names of these columns: those of the targets, or ``target: class`` for each class."""
        if self.task != "classification":
            return self.target_names
        return [f"{self.target_names[0]}: {word}" for word in self.classes[0]]

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Encoding":
        """Read what :meth:`save` wrote."""
        try:
            return cls.of_plain(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} cannot be read: {error}; {make_anew(Path(path).parent)}") from error

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> "Encoding":
        """From plain values, as :func:`dataclasses.asdict` makes them."""
        encoding = as_dataclass(cls, values)
        if len(encoding.classes) != len(encoding.target_names) or not encoding.target_names:
            raise ValueError(f"it has {len(encoding.target_names)} targets, and classes of {len(encoding.classes)}")
        if encoding.task == "classification" and (len(encoding.target_names) > 1 or not encoding.classes[0]):
            raise ValueError("it is a classification without one target that has classes")
        if encoding.dtype not in ("float32", "float64"):
            raise ValueError(f"its targets are {encoding.dtype!r:.40}, neither float32 nor float64")
        return encoding


def check_encoded(data: Data, encoding: Encoding) -> None:
    """Check that stored graphs can be those of an encoding, perhaps with what a pre-transform made of them.

    Args:
        data: All graphs in one.
        encoding: What is stored beside them.

    Raises:
        ValueError: If they cannot; it says what is off.
    """
    for name, sizes in (("x", encoding.node_sizes), ("edge_attr", encoding.edge_sizes), ("y", [])):
        values = data.get(name)
        if values is None and name != "y" and (not sizes or "is_edge" in data):
            continue  # SubdivideEdges makes features of edges some of nodes.
        if not isinstance(values, Tensor) or values.layout != torch.strided or values.dim() != 2:
            raise ValueError(f"{name} is no table of numbers")
        if name != "y" and not bool(values.isfinite().all()):
            raise ValueError(f"{name} has values that are not finite")
        # A transform may add columns; codes that no embedding has come from nowhere else than another file.
        for column, size in enumerate(sizes if values.size(1) == len(sizes) else []):
            codes = values[:, column]
            if size and bool(((codes < 0) | (codes >= size)).any()):
                raise ValueError(f"column {column} of {name} has codes other than 0 to {size - 1}")


def make_encoding(
    spec: Spec,
    classes: list[list[str]],
    dtype: str,
    columns: list[Column],
    left_out: dict[str, str],
    mixed: dict[str, str],
    unseen: dict[str, Unseen],
) -> Encoding:
    """The encoding of a folder that was read."""
    words = {name: str(found) for name, found in unseen.items()}
    return Encoding(spec.task, spec.level, list(spec.targets), classes, columns, left_out, dtype, mixed, words)


def to_data(dags: Dags, targets: Targets | None, part: np.ndarray | None, encoding: Encoding) -> Iterator[Data]:
    """PyG graphs of a folder, in its order.

    Args:
        dags: The graphs.
        targets: Their targets, if there are any.
        part: Part of each row, see :func:`~.targets.read_split`, if there is a split.
        encoding: Of the features.

    Yields:
        ``x`` ``[N, F]``, ``edge_index`` ``[2, E]``, ``edge_attr`` ``[E, D]`` if edges have features, ``level`` ``[N]``,
        ``graph_id``, ``node_id``, ``y`` ``[1, T]`` (``[N, T]``, ``[E, T]`` for targets of nodes or edges), and masks
        where the targets of one graph are in different parts.
    """
    nodes, edges = len(dags.node_ids), dags.edge_index.shape[1]
    cells = {}
    for column in encoding.columns:
        values = dags.column(column.table, column.name, "a feature")
        if column.table == "graphs":
            values = values.iloc[dags.node_graph].reset_index(drop=True)
        cells[f"{column.table}.{column.name}"] = values
    x, _ = encode(encoding.of("nodes", "graphs"), cells, nodes)
    if not encoding.of("nodes", "graphs"):
        x = np.ones((nodes, 1), dtype=np.float32)
    edge_attr, _ = encode(encoding.of("edges"), cells, edges)
    node_ptr, edge_ptr = _pointer(dags.node_graph, dags.num_graphs), _pointer(dags.edge_graph, dags.num_graphs)
    pointers = {"graph": np.arange(dags.num_graphs + 1), "node": node_ptr, "edge": edge_ptr}
    has_masks = part is not None and split_table(dags) != "graphs"
    for graph in range(dags.num_graphs):
        n, e = slice(node_ptr[graph], node_ptr[graph + 1]), slice(edge_ptr[graph], edge_ptr[graph + 1])
        rows = slice(*pointers[encoding.level][graph : graph + 2])
        data = Data(
            x=torch.from_numpy(x[n].copy()),
            edge_index=torch.from_numpy(dags.edge_index[:, e] - node_ptr[graph]),
            level=torch.from_numpy(dags.level[n].copy()),
            graph_id=str(dags.graph_ids[graph]),
            node_id=[str(word) for word in dags.node_ids[n]],
        )
        if encoding.of("edges"):
            data.edge_attr = torch.from_numpy(edge_attr[e].copy())
        if targets is not None:
            data.y = torch.from_numpy(targets.values[rows].astype(encoding.dtype))
        if has_masks and part is not None:
            for number, mask in enumerate(MASKS):
                data[mask] = torch.from_numpy(part[rows] == number)
        yield data


def row_names(graphs: Iterable[Data], level: str) -> dict[str, list[str]]:
    """Columns of identifiers, in the order of the targets of graphs.

    Args:
        graphs: By :func:`to_data`.
        level: ``"graph"``, ``"node"`` or ``"edge"``, whichever has the targets.

    Returns:
        ``graph``, with ``node`` for nodes, or ``source`` and ``target`` for edges.
    """
    ends = {"graph": [], "node": ["node"], "edge": ["source", "target"]}[level]
    names: dict[str, list[str]] = {name: [] for name in ("graph", *ends)}
    for data in graphs:
        columns = [data.node_id]
        if level == "edge":
            columns = [[data.node_id[node] for node in nodes] for nodes in data.edge_index.tolist()]
        for name, column in zip(ends, columns, strict=False):
            names[name] += column
        names["graph"] += [data.graph_id] * (1 if level == "graph" else len(columns[0]))
    return names


def _sizes(columns: list[Column]) -> list[int]:
    return [size for column in in_order(columns) for size in column.sizes]


def _pointer(group: np.ndarray, groups: int) -> np.ndarray:
    return np.concatenate([[0], np.bincount(group, minlength=groups).cumsum()])
