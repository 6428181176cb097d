"""Pieces of circuits, around gates that are drawn at random, to learn signal probabilities and arrival times from."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.circuits.timing_analysis import arrival_times
from plstm_graph.graph.levels import expand_ranges


def with_probabilities(circuit: Data) -> Data:
    """A circuit whose inputs are given with their signal probability.

    Args:
        circuit: A graph of :class:`~plstm_graph.datasets.EPFLCircuits`.

    Returns:
        ``x`` ``[N, 2]`` is the kind of each node and the probability of inputs, 0 for gates; ``y`` is NaN at inputs,
        which need no prediction.
    """
    is_input = circuit.x[:, :1] == 0
    probability = torch.where(is_input, circuit.y, 0.0)
    target = torch.where(is_input, torch.nan, circuit.y)
    x = torch.cat([circuit.x.float(), probability], dim=1)
    more = {"circuit": circuit.circuit, "probability": circuit.y}
    return Data(x=x, edge_index=circuit.edge_index, edge_attr=circuit.edge_attr, y=target, **more)


def sub_circuits(circuits: Sequence[Data], samples: int, nodes: int, seed: int) -> list[Data]:
    """Gates that lead to a random gate, nearest first, with what feeds them as inputs of known probability.

    Each circuit is drawn equally often, whatever its size.

    Args:
        circuits: By :func:`with_probabilities`.
        samples: Number of sub-circuits.
        nodes: Largest number of gates of each.
        seed: Sample ``i`` depends on this and on ``i`` only.
    """
    return [_sub_circuit(circuits[number], taken) for number, taken in draw_cones(circuits, samples, nodes, seed)]


def draw_cones(circuits: Sequence[Data], samples: int, nodes: int, seed: int) -> Iterator[tuple[int, Tensor]]:
    """Gates that lead to a random gate, nearest first.

    Args:
        circuits: Circuits with a target at every gate, and none at inputs; each is drawn equally often.
        samples: Number of cones.
        nodes: Largest number of gates of each.
        seed: Sample ``i`` depends on this and on ``i`` only.

    Yields:
        The number of a circuit, and which of its nodes belong to the cone, ``[N]``, bool.

    Raises:
        ValueError: If there would be no cone, or no gate in it, or the seed is none.
    """
    if min(samples, nodes) < 1 or not 0 <= seed < 2**32:
        raise ValueError(
            f"samples and nodes must be at least 1 and seed from 0 to 2 ** 32 - 1, got samples={samples}, "
            f"nodes={nodes} and seed={seed}"
        )
    in_edges = [_in_edges(circuit) for circuit in circuits]
    for sample in range(samples):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + sample)
        number = sample % len(circuits)
        gates = circuits[number].y.isfinite().view(-1).nonzero().view(-1)
        root = gates[torch.randint(len(gates), (1,), generator=generator)]
        yield number, _cone(circuits[number], root, nodes, *in_edges[number])


def _in_edges(circuit: Data) -> tuple[Tensor, Tensor, Tensor]:
    """Edges sorted by their end, and where those of each node begin, and how many they are."""
    count = torch.bincount(circuit.edge_index[1], minlength=circuit.num_nodes)
    return torch.argsort(circuit.edge_index[1], stable=True), count.cumsum(0) - count, count


def _cone(circuit: Data, root: Tensor, nodes: int, order: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """The gates around a root, breadth first against the edges, ``[N]``, bool."""
    is_gate = circuit.y.isfinite().view(-1)
    taken = torch.zeros(circuit.num_nodes, dtype=torch.bool)
    frontier, left = root, nodes
    while frontier.numel() > 0 and left > 0:
        frontier = frontier[:left]
        taken[frontier] = True
        left -= frontier.numel()
        before = circuit.edge_index[0, order[expand_ranges(first[frontier], count[frontier])]]
        frontier = torch.unique(before[is_gate[before] & ~taken[before]])
    return taken


def _sub_circuit(circuit: Data, taken: Tensor) -> Data:
    """Some gates of a circuit, and their fan-ins."""
    inside = taken.nonzero().view(-1)
    edges = taken[circuit.edge_index[1]].nonzero().view(-1)
    kept, local = torch.unique(circuit.edge_index[:, edges], return_inverse=True)
    if kept.numel() == 0:  # a gate whose fan-ins are constant
        kept, local = inside, circuit.edge_index[:, :0]
    x, y = circuit.x[kept].clone(), circuit.y[kept].clone()
    border = ~taken[kept]
    x[border, 0], x[border, 1] = 0.0, circuit.probability[kept[border], 0]
    y[border] = torch.nan
    return Data(x=x, edge_index=local, edge_attr=circuit.edge_attr[edges], y=y)


def timing_pieces(circuits: Sequence[Data], samples: int, nodes: int, seed: int) -> list[Data]:
    """Gates that lead to a random gate, nearest first, with what feeds them as inputs, which switch at 0.

    The gates that these drive belong to a piece as well, as their load: so each gate has the delay that it has in the
    whole circuit. What drives a gate that is there as a load is not all there; it has no target.

    Args:
        circuits: By :class:`~plstm_graph.datasets.CircuitTiming`.
        samples: Number of pieces.
        nodes: Largest number of gates of each that have a target.
        seed: Sample ``i`` depends on this and on ``i`` only.
    """
    return [_piece(circuits[number], gates) for number, gates in draw_cones(circuits, samples, nodes, seed)]


def _piece(circuit: Data, is_gate: Tensor) -> Data:
    """A circuit around some of the gates of another one, by a mask ``[N]``."""
    start, end = circuit.edge_index
    inside = is_gate[end].nonzero().view(-1)
    outside = (is_gate[start] & ~is_gate[end]).nonzero().view(-1)
    core = torch.unique(torch.cat([is_gate.nonzero().view(-1), start[inside]]))
    # A node may be both a load and an input, further on. It then stands here twice, so that no path leads through it.
    loads, load = torch.unique(end[outside], return_inverse=True)
    place = torch.full((circuit.num_nodes,), -1)
    place[core] = torch.arange(len(core))
    within = place[circuit.edge_index[:, inside]]
    edge_index = torch.cat([within, torch.stack([place[start[outside]], len(core) + load])], dim=1)
    edges, nodes = torch.cat([inside, outside]), torch.cat([core, loads])
    gates = is_gate[nodes] & (torch.arange(len(nodes)) < len(core))
    fan_out = torch.bincount(within[0], minlength=len(core)).float()
    inputs = torch.stack([torch.zeros_like(fan_out), fan_out / 10, fan_out.log1p()], dim=1)
    x = circuit.x[nodes].clone()
    x[: len(core)] = torch.where(gates[: len(core), None], x[: len(core)], inputs)
    arrival = arrival_times(within, circuit.delay[inside], len(nodes))
    return Data(
        x=x,
        edge_index=edge_index,
        edge_attr=circuit.edge_attr[edges],
        y=torch.where(gates, arrival, torch.nan).float().view(-1, 1),
        delay=circuit.delay[edges],
        is_endpoint=gates & circuit.is_endpoint[nodes],
    )
