"""What the attributes of PyG graphs belong to: nodes, edges, the graph, or the split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.dag_folder.spec import Level
from plstm_graph.graph.levels import CycleError, longest_path_levels

#: Masks and the part that each stands for.
MASKS = {"train_mask": "train", "val_mask": "valid", "valid_mask": "valid", "test_mask": "test"}
#: Attributes that are read by their names, or computed anew when the folder is read.
_OWN = {"x", "y", "edge_index", "edge_attr", "graph_id", "node_id", "num_nodes", "kept_pairs", *MASKS}


def tables_of(graphs: Sequence[Data], names: Sequence[str]) -> dict[str, str]:
    """Table that each attribute beside PyG's own belongs to: ``"nodes"``, ``"edges"`` or ``"graphs"``.

    An attribute with a row for each node of every graph is one of nodes, likewise for edges; where both fit, the word
    "edge" in its name decides. Anything else is one of graphs.

    Args:
        graphs: All graphs.
        names: Of the graphs, for messages.

    Raises:
        ValueError: If an attribute fits neither, or numbers nodes.
    """
    keys = dict.fromkeys(key for data in graphs for key in data.keys() if key not in _OWN)
    if all(_is_computed_level(data) for data in graphs):
        keys.pop("level", None)
    return {key: _table(key, graphs, names) for key in keys}


def rows_of(value: Any) -> list[Any]:
    """The values of each node or edge."""
    return list(value) if isinstance(value, list | tuple) else value.tolist()


def mask_names(graphs: Sequence[Data]) -> list[str]:
    """Names of the masks that the graphs have."""
    return [name for name in MASKS if any(data.get(name) is not None for data in graphs)]


def split_words(data: Data, masks: Sequence[str], level: Level, count: int, name: str) -> list[str]:
    """The part of each graph, node or edge by its masks; ``"none"`` where none is set.

    Args:
        data: A graph.
        masks: Names of masks.
        level: What is split.
        count: How many there are in this graph.
        name: Of the graph, for messages.

    Raises:
        ValueError: If a mask is of something else, or two masks meet.
    """
    words = ["none"] * count
    for mask in masks:
        values = data.get(mask)
        if values is None:
            continue
        values = torch.as_tensor(values)
        if values.dim() > 1 and values.numel() != count:
            raise ValueError(
                f"graph {name} has {mask} {list(values.shape)}: several splits; choose one, as data.{mask}[:, 0]"
            )
        if values.numel() != count:
            raise ValueError(
                f"graph {name} has {mask} {list(values.shape)}, but targets are of {level}s, of which it has {count}; "
                "leave the mask out or give another level, as level='node'"
            )
        for item in values.view(-1).bool().nonzero().view(-1).tolist():
            if words[item] not in ("none", MASKS[mask]):
                raise ValueError(f"graph {name}: {level} {item} is in the {words[item]} part and in {mask}")
            words[item] = MASKS[mask]
    return words


def _table(key: str, graphs: Sequence[Data], names: Sequence[str]) -> str:
    sizes, fits, shapes = [], {"nodes": True, "edges": True}, set()
    for data, name in zip(graphs, names, strict=True):
        value = data.get(key)
        if value is None:
            continue
        if isinstance(value, Tensor) and not value.is_floating_point() and ("index" in key or key == "face"):
            raise ValueError(
                f"graph {name}: attribute {key!r} numbers nodes, as PyG takes names with 'index' to do; a folder has "
                "no place for it, so leave it out, or rename it if its numbers mean something else"
            )
        shape = _shape(value)
        fits["nodes"] = fits["nodes"] and shape[:1] == (data.num_nodes,)
        fits["edges"] = fits["edges"] and shape[:1] == (data.num_edges,)
        shapes.add(shape)
        sizes.append((name, shape, data.num_nodes, data.num_edges))
    if fits["edges"] and ("edge" in key or not fits["nodes"]):
        return "edges"
    if fits["nodes"]:
        return "nodes"
    if len(shapes) == 1:
        return "graphs"
    expected = "edges" if "edge" in key else "nodes"
    number = 3 if expected == "edges" else 2
    name, shape, nodes, edges = next((each for each in sizes if each[1][:1] != (each[number],)), sizes[0])
    raise ValueError(
        f"graph {name}: attribute {key!r} is {list(shape)}, which fits neither its {nodes} nodes nor its {edges} "
        "edges, and is not the same in all graphs"
    )


def _shape(value: Any) -> tuple[int, ...]:
    if isinstance(value, Tensor | np.ndarray):
        return tuple(value.shape)
    return (len(value),) if isinstance(value, list | tuple) else ()


def _is_computed_level(data: Data) -> bool:
    """Whether ``level`` is what reading the folder will compute; so it is where there is none."""
    level = data.get("level")
    if not isinstance(level, Tensor) or data.edge_index is None or data.num_nodes is None:
        return level is None
    try:
        found = longest_path_levels(data.edge_index, data.num_nodes)
    except CycleError:
        return True
    return torch.equal(level, found)  # whole numbers


def labels_of(values: Any, level: Level, count: int, name: str) -> list[list[Any]]:
    """Targets as a row for each graph, node or edge.

    Args:
        values: ``y``: a tensor, or numbers or words.
        level: What it belongs to.
        count: How many of these the graph has.
        name: Of the graph, for messages.

    Raises:
        ValueError: If there are no targets, or another number of them.
    """
    if values is None:
        raise ValueError(f"graph {name} has no y")
    plain = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(plain, list | tuple):
        rows = [[plain]]
    elif all(isinstance(row, list | tuple) for row in plain):
        rows = [list(row) for row in plain]
    else:
        rows = [list(plain)] if level == "graph" else [[value] for value in plain]
    if len(rows) != count or any(isinstance(value, list | tuple | Mapping) for row in rows for value in row):
        shape = list(_shape(values))
        raise ValueError(f"graph {name} has y {shape}, expected [{count}, T] for targets of {level}s")
    return rows
