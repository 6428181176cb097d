"""Checksums of graphs: whether edges are still those that a structure was computed for."""

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges

# Odd 64-bit constants, as signed numbers: the golden ratio's, two of the usual finaliser of 64-bit hashes, two more.
_STEP, _FIRST, _SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685
_START, _END = -4417276706812531889, 1609587929392839161

_AGAIN = "apply ToDAG last, after whatever else changes edges or nodes"


def mix(value: Tensor) -> Tensor:
    """A hash of each number: sums of hashes differ where multisets do, up to chance. Overflow wraps around."""
    value = value + _STEP
    value = (value ^ _shift(value, 30)) * _FIRST
    value = (value ^ _shift(value, 27)) * _SECOND
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shifted right, without the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def dag_checksum(edge_index: Tensor, num_nodes: int) -> Tensor:
    """What tells a graph from others, and from itself with edges in another order.

    Rows of several graphs, one below the other, are the checksum of their batch, see :func:`check_dag_checksum`.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64.
        num_nodes: Number of nodes ``N``.

    Returns:
        Number of nodes, number of edges and a hash of the edges in their order, ``[1, 3]``, int64.
    """
    return dag_checksums(edge_index, edge_index.new_tensor([[num_nodes, edge_index.size(1)]]))


def dag_checksums(edge_index: Tensor, sizes: Tensor) -> Tensor:
    """:func:`dag_checksum` of each of several graphs, ``[B, 3]``.

    Args:
        edge_index: Start and end node of each edge, ``[2, E]``, int64; graph after graph, nodes numbered on.
        sizes: Numbers of nodes and edges of each graph, ``[B, 2]``, int64.
    """
    return torch.cat([sizes, _hashes(edge_index, sizes)], dim=1)


def check_dag_checksum(checksum: Tensor, edge_index: Tensor, num_nodes: int) -> None:
    """Check that a graph, or each graph of a batch, has the edges that its checksum was made for.

    Args:
        checksum: Of :func:`dag_checksum`, one row per graph, ``[B, 3]``, int64.
        edge_index: Start and end node of each edge, ``[2, E]``, int64; graph after graph.
        num_nodes: Number of nodes of all graphs.

    Raises:
        ValueError: If something differs; says what, and in which graph.
    """
    if not isinstance(checksum, Tensor) or checksum.dim() != 2 or checksum.size(1) != 3 or checksum.dtype != torch.long:
        raise ValueError(f"the graph's dag_checksum is no longer [B, 3], int64: the graph was changed; {_AGAIN}")
    checksum = checksum.to(edge_index.device)
    sizes = checksum[:, :2]
    for count, column, name in ((num_nodes, 0, "nodes"), (edge_index.size(1), 1, "edges")):
        expected = int(sizes[:, column].sum())
        if expected != count:
            raise ValueError(
                f"the graph was changed after ToDAG: it had {expected} {name} then and has {count} now; {_AGAIN}"
            )
    differs = (_hashes(edge_index, sizes) != checksum[:, 2:]).view(-1)
    if bool(differs.any()):
        number = int(differs.nonzero()[0])
        where = f" (graph {number} of the batch)" if checksum.size(0) > 1 else ""
        raise ValueError(
            f"the graph was changed after ToDAG{where}: its edges are others, or in another order, than those that "
            f"levels and cuts were computed for; {_AGAIN}"
        )


def _hashes(edge_index: Tensor, sizes: Tensor) -> Tensor:
    """A hash of the edges of each graph, nodes and edges counted from its first, ``[B, 1]``; sizes are ``[B, 2]``."""
    num_nodes, num_edges = sizes.unbind(dim=1)
    graph = torch.repeat_interleave(num_edges, output_size=edge_index.size(1))
    place = expand_ranges(torch.zeros_like(num_edges), num_edges)
    start, end = edge_index - (num_nodes.cumsum(0) - num_nodes)[graph]
    hashes = mix(start * _START + end * _END + place * _FIRST)
    return sizes.new_zeros(sizes.size(0)).index_add_(0, graph, hashes).unsqueeze(1)
