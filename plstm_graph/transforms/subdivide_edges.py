"""Edges that become nodes, so that what they are enters states."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.checksum import check_dag_checksum, dag_checksum
from plstm_graph.graph.levels import longest_path_levels
from plstm_graph.graph.pairs import line_graph_pairs
from plstm_graph.transforms.owners import Owner, owner_of
from plstm_graph.transforms.subdivided_features import join_features

TargetLevel = Literal["auto", "node", "edge", "graph"]

#: What :func:`torch.nn.functional.cross_entropy` leaves out.
NO_CLASS = -100


@functional_transform("subdivide_edges")
class SubdivideEdges(BaseTransform):
    r"""Makes every edge of a DAG a node of its own, ``u -> v`` to ``u -> e -> v`` (functional: ``subdivide_edges``).

    Features of edges reach only the gates of a pLSTM layer; those of nodes enter states. Edge ``e`` of a graph with
    ``N`` nodes and ``E`` edges becomes node ``N + e``; nodes keep their numbers, so that indices of nodes stay right.
    Columns ``e`` and ``E + e`` of the new ``edge_index`` lead into it and out of it. Paths are those from before, each
    twice as long.

    **Features.** Columns of ``x`` are those of nodes, then those of ``edge_attr``, then one that is 1 for edges and 0
    for nodes; a node has 0 in the columns of edges and the other way round. ``edge_attr`` is gone. Sizes of a model:

    * float ``x`` with ``F`` columns, float ``edge_attr`` with ``D``: ``in_channels=F + D + 1, edge_dim=None``;
    * category columns, ``x`` of ``sizes``, ``edge_attr`` of ``edge_sizes``: ``in_channels=[*sizes, *edge_sizes, 2],
      edge_dim=None``; categories keep their numbers;
    * one of floats, the other of categories: as before, with a size of 0 for each column of numbers. ``x`` becomes
      floating point.

    :meth:`sizes` gives them. Without ``x`` or ``edge_attr`` its columns are left out.

    **Attached**: ``is_edge``, ``[N + E]``, bool. Predictions of the nodes are ``out[~data.is_edge]``.

    **Targets.** ``y`` of nodes or edges becomes one of the ``N + E`` new nodes, without a value for the others: NaN, or
    -100 for whole numbers, which :func:`torch.nn.functional.cross_entropy` leaves out. Predict ``"node"`` for both.
    ``y`` of the graph stays.

    **Other attributes.** Masks are False where they say nothing; ``pos`` of an edge lies midway between its ends;
    ``canonical_rank`` keeps its order along edges; names are joined; what ToDAG attached is carried over, and so is its
    check that the graph has not changed since. Other attributes of nodes get zeros (None in lists) for edges. Those of
    edges, such as ``edge_weight``, stand at both halves of their edge, ``[2E]``. What is of the graph, and indices of
    nodes, stay.

    Use :class:`~plstm_graph.transforms.ToDAG` before it for graphs whose edges have no directions.

    Args:
        target_level (str): What ``y`` is of: ``"node"``, ``"edge"`` or ``"graph"``, or ``"auto"`` to tell by the number
            of its rows: as many as nodes, as edges, or one. (default: ``"auto"``)
        node_keys (list[str]): Attributes with one entry per node whose names do not say so. (default: none)
        edge_keys (list[str]): Attributes with one entry per edge whose names do not say so. (default: none)

    Raises:
        CycleError: If the graph has a directed cycle; names its nodes.
        TypeError: If it is no single graph, or an attribute has a type that no value can be left out of.
        ValueError: If shapes do not fit, it cannot be told what an attribute is of, the graph was changed after ToDAG,
            or it was subdivided already.

    .. code-block:: python

        data = Compose([ToDAG(), SubdivideEdges()])(data)  # as transform or pre_transform of any data set
        model = PLSTM([*sizes, *edge_sizes, 2], 64, 2, 1)
    """

    def __init__(
        self, target_level: TargetLevel = "auto", node_keys: Sequence[str] = (), edge_keys: Sequence[str] = ()
    ) -> None:
        if target_level not in get_args(TargetLevel):
            raise ValueError(
                f"target_level must be one of {', '.join(map(repr, get_args(TargetLevel)))}, got {target_level!r}"
            )
        self.target_level = target_level
        self.node_keys = list(node_keys)
        self.edge_keys = list(edge_keys)

    def forward(self, data: Data) -> Data:
        """Subdivide the edges of ``data``, a copy of what the transform was called with."""
        edge_index, num_nodes, level = _check(data)
        num_edges = edge_index.size(1)
        structure = _structure(data, edge_index, num_nodes, level)
        features = join_features(data.x, data.edge_attr, num_nodes, edge_index)
        target_owner = self._target_owner(data, num_nodes, num_edges)
        changed = {}
        for key in data.keys():
            if key in ("edge_index", "x", "edge_attr", "num_nodes", *structure) or data[key] is None:
                continue
            mask: Owner = "edge" if target_owner == "edge" else "node"
            owner = target_owner if key == "y" else owner_of(data, key, self.node_keys, self.edge_keys, mask)
            changed[key] = _Extended(data, edge_index, num_nodes, key).of(owner)
        node = torch.arange(num_nodes, num_nodes + num_edges, device=edge_index.device)
        start, end = edge_index
        for key, value in (changed | structure).items():
            data[key] = value
        data.edge_index = torch.stack([torch.cat([start, node]), torch.cat([node, end])])
        data.x = features
        data.edge_attr = None
        if "num_nodes" in data:
            data.num_nodes = num_nodes + num_edges
        data.is_edge = torch.arange(num_nodes + num_edges, device=edge_index.device) >= num_nodes
        return data

    def _target_owner(self, data: Data, num_nodes: int, num_edges: int) -> Owner:
        """What ``y`` is of."""
        y = data.get("y")
        rows = y.size(0) if isinstance(y, Tensor) and y.dim() > 0 else None
        expected: dict[Owner, int] = {"node": num_nodes, "edge": num_edges}
        if self.target_level in ("node", "edge"):
            owner: Owner = "edge" if self.target_level == "edge" else "node"
            if y is not None and rows != expected[owner]:
                raise ValueError(f"y has {rows} rows, but the graph has {expected[owner]} {owner}s to predict")
            return owner
        if self.target_level == "graph" or rows is None:
            return "graph"
        fitting: list[Owner] = [owner for owner, count in expected.items() if count == rows]
        if rows == 1:
            fitting.append("graph")
        if num_edges == 0 and fitting:
            return fitting[0]  # Nothing is added, whatever it is of.
        if len(fitting) != 1:
            raise ValueError(
                f"y has {rows} rows, the graph {num_nodes} nodes and {num_edges} edges, which does not tell what y is "
                "of: give SubdivideEdges target_level='node', 'edge' or 'graph'"
            )
        return fitting[0]

    @staticmethod
    def sizes(in_channels: int | Sequence[int], edge_dim: int | Sequence[int] | None) -> tuple[int | list[int], None]:
        """What a model is to be given as ``in_channels`` and ``edge_dim``, from those without the transform.

        Args:
            in_channels: A number of float columns (0 for no ``x``), or sizes of category columns, 0 for numbers.
            edge_dim: Likewise, None for no ``edge_attr``.
        """
        if isinstance(in_channels, str) or isinstance(edge_dim, str):
            raise ValueError(
                "'atom' and 'bond' stand for sizes of columns, which OGB_DIMS in plstm_graph.nn.encoders has"
            )
        edge_dim = 0 if edge_dim is None else edge_dim
        if isinstance(in_channels, int) and isinstance(edge_dim, int) and in_channels + edge_dim > 0:
            return in_channels + edge_dim + 1, None
        columns = [[0] * sizes if isinstance(sizes, int) else list(sizes) for sizes in (in_channels, edge_dim)]
        return [*columns[0], *columns[1], 2], None

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(target_level={self.target_level!r})"


class _Extended:
    """An attribute as it is once edges are nodes."""

    def __init__(self, data: Data, edge_index: Tensor, num_nodes: int, key: str) -> None:
        self.key, self.value, self.num_nodes = key, data[key], num_nodes
        self.start, self.end = edge_index
        self.dim = data.__cat_dim__(key, self.value)

    def of(self, owner: Owner) -> Any:
        value, key = self.value, self.key
        if owner == "graph":
            return value
        if key == "y" or "mask" in key.lower().split("_"):
            other = self.num_nodes if owner == "edge" else self.start.numel()
            nothing = self._nothing(other)
            return torch.cat([nothing, value] if owner == "edge" else [value, nothing])
        if owner == "edge":
            return self._join(value, value)
        if isinstance(value, list | tuple):
            ends = zip(self.start.tolist(), self.end.tolist(), strict=True)
            both = [(value[u], value[v]) for u, v in ends]
            is_text = all(isinstance(each, str) for each in value)
            return self._join(value, type(value)(f"{u} -> {v}" if is_text else None for u, v in both))
        if isinstance(value, Tensor) and key == "pos":
            value = value if value.is_floating_point() else value.to(torch.get_default_dtype())
            return torch.cat([value, (value[self.start] + value[self.end]) / 2])
        if isinstance(value, Tensor) and key == "canonical_rank":
            return torch.cat([2 * value, value[self.start] + value[self.end]])
        return self._join(value, self._zeros())

    def _nothing(self, count: int) -> Tensor:
        """No target, or not chosen by a mask."""
        value = self.value
        if not isinstance(value, Tensor) or (self.key == "y" and value.dtype in (torch.bool, torch.uint8)):
            kind = str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(
                f"{self.key} is {kind}, in which no value can say that there is none: make it a tensor of floats "
                "(NaN) or int64 (-100)"
            )
        if self.key != "y":
            return value.new_zeros(count, *value.shape[1:])
        return value.new_full((count, *value.shape[1:]), float("nan") if value.is_floating_point() else NO_CLASS)

    def _zeros(self) -> Any:
        shape = list(self.value.shape)
        shape[self.dim] = self.start.numel()
        return self.value.new_zeros(shape) if isinstance(self.value, Tensor) else np.zeros(shape, self.value.dtype)

    def _join(self, first: Any, second: Any) -> Any:
        if isinstance(first, Tensor):
            return torch.cat([first, second], dim=self.dim)
        if isinstance(first, np.ndarray):
            return np.concatenate([first, second], axis=self.dim)
        if isinstance(first, list | tuple):
            return first + second
        raise TypeError(f"data.{self.key} is a {type(first).__name__}, which cannot be extended by rows for edges")


def _check(data: Data) -> tuple[Tensor, int, Tensor]:
    """Edges, number of nodes and levels, after a check of what must fit together."""
    if isinstance(data, Batch):
        raise TypeError("SubdivideEdges takes single graphs, not batches: use it as transform of the data set")
    if not isinstance(data, Data):
        raise TypeError(f"SubdivideEdges takes a torch_geometric.data.Data, got {type(data).__name__}")
    if data.edge_index is None:
        raise ValueError(f"the graph has no edge_index (it has: {', '.join(data.keys()) or 'nothing'})")
    if "is_edge" in data:
        raise ValueError("the graph has an attribute 'is_edge': it was subdivided already, or that is to be renamed")
    num_nodes = check_edge_index(data.edge_index, data.num_nodes)
    if "dag_checksum" in data:
        check_dag_checksum(data.dag_checksum, data.edge_index, num_nodes)
    elif data.get("kept_pairs") is not None:
        raise ValueError("the graph has kept_pairs, but no dag_checksum that says which edges they belong to")
    return data.edge_index, num_nodes, longest_path_levels(data.edge_index, num_nodes)


def _structure(data: Data, edge_index: Tensor, num_nodes: int, level: Tensor) -> dict[str, Tensor | None]:
    """What ToDAG would attach to the new graph, of what it attached to the old one.

    An edge in the middle of a path makes it longer by one, and leaves as many paths as there were.
    """
    is_level = isinstance(data.get("level"), Tensor) and torch.equal(data.level, level)
    if "dag_checksum" not in data and not is_level:
        return {}
    start, end = edge_index
    found: dict[str, Tensor | None] = {"level": torch.cat([2 * level, 2 * level[start] + 1])}
    if "dag_checksum" not in data:
        return found
    num_edges = edge_index.size(1)
    node = torch.arange(num_nodes, num_nodes + num_edges, device=edge_index.device)
    halves = torch.stack([torch.cat([start, node]), torch.cat([node, end])])
    found["dag_checksum"] = dag_checksum(halves, num_nodes + num_edges)
    found["kept_pairs"] = None
    if data.get("kept_pairs") is not None:
        pairs = line_graph_pairs(halves, num_nodes + num_edges)
        # Pairs come sorted by their in-edge: first the halves of each edge, then what meets at the nodes of before.
        kept = torch.ones(pairs.size(1), dtype=torch.bool, device=edge_index.device)
        kept[num_edges:] = data.kept_pairs
        found["kept_pairs"] = kept
    return found
