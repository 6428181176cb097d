"""What an attribute of a graph is of: its nodes, its edges, or the graph; by its name first, then by its length."""

from collections.abc import Sequence
from typing import Literal

from torch_geometric.data import Data

from plstm_graph.transforms.edge_attributes import count_rows, says_edge

Owner = Literal["node", "edge", "graph"]

_OF_NODES = frozenset("x z pos norm normal level rank canonical node nodes atom atoms batch".split())
_OF_GRAPHS = frozenset("graph graphs smiles task tasks".split())


def owner_of(
    data: Data, key: str, node_keys: Sequence[str] = (), edge_keys: Sequence[str] = (), mask: Owner = "node"
) -> Owner:
    """What an attribute has one entry of.

    Node numbers (``..._index``, ``face``) count as one of the graph, as do things without a length.

    Args:
        data: The graph.
        key: The attribute; not ``y``, whose owner names do not tell.
        node_keys: Names of attributes of nodes.
        edge_keys: Names of attributes of edges.
        mask: What a mask is of where there are as many nodes as edges.

    Raises:
        ValueError: If the length could be that of nodes or edges and the name does not tell, or if a listed attribute
            has another length. Names the attribute.
    """
    num_nodes, num_edges = data.num_nodes, data.edge_index.size(1)
    rows = count_rows(data, key, data[key])
    listed: dict[Owner, tuple[Sequence[str], int]] = {"node": (node_keys, num_nodes), "edge": (edge_keys, num_edges)}
    for owner, (names, count) in listed.items():
        if key in names:
            if rows != count:
                raise ValueError(f"{owner}_keys names data.{key}, which has {rows} entries for {count} {owner}s")
            return owner
    words = set(key.lower().split("_"))
    if rows is None or words & _OF_GRAPHS or rows not in (num_nodes, num_edges):
        return "graph"
    # Numbers of nodes, and what belongs to pairs of nodes other than edges (edge_label of edge_label_index).
    if "index" in key or key == "face" or f"{key}_index" in data:
        return "graph"
    if says_edge(key):
        return "edge" if rows == num_edges else "node"
    if "mask" in words:
        return mask if num_nodes == num_edges else "node" if rows == num_nodes else "edge"
    if rows == num_nodes and words & _OF_NODES:
        return "node"
    # What a graph has of its own has one row, so that batches stack it.
    is_matrix = getattr(data[key], "ndim", 1) > 1
    if rows == 1 or (is_matrix and rows == num_nodes and num_nodes != num_edges):
        return "graph" if rows == 1 else "node"
    raise ValueError(
        f"data.{key} has {rows} entries, the graph {num_nodes} nodes and {num_edges} edges, and its name does not say "
        f"what it is of: call it node_{key}, edge_{key} or graph_{key}, or list it in node_keys or edge_keys"
    )
