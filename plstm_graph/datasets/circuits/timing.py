"""The EPFL circuits with the time at which the signal of every gate has arrived."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.circuits.aiger import Circuit, read_circuit
from plstm_graph.datasets.circuits.epfl import PARTS, EPFLCircuits
from plstm_graph.datasets.circuits.gate_delays import Delays, gate_delays, gate_kinds
from plstm_graph.datasets.circuits.timing_analysis import arrival_times


class CircuitTiming(EPFLCircuits):
    """The circuits of :class:`EPFLCircuits`, in the same parts, each with the arrival time of every gate.

    ``x`` ``[N, 3]`` is the kind of each node (:data:`~plstm_graph.datasets.circuits.gate_delays.KINDS`), the number of
    gates that it drives, in tens, and the logarithm of one more than that number. Edges lead from fan-ins to gates,
    ``edge_attr`` ``[E, 1]`` says whether they invert. ``y`` ``[N, 1]`` is the arrival time by exact static timing
    analysis, NaN at inputs, which switch at 0. For the judges of a prediction: ``delay`` ``[E]`` float64 by
    :func:`~plstm_graph.datasets.circuits.gate_delays.gate_delays`, and ``is_endpoint`` ``[N]``, what outputs and
    latches read.

    Args:
        root (str): Folder of all data sets.
        split (str): ``"train"``, ``"valid"`` or ``"test"``.
        source (str, optional): As of :class:`EPFLCircuits`.
        delays (str): ``"fan_out"`` or ``"driven"``: what a gate's delay grows with. (default: ``"fan_out"``)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
    """

    def __init__(
        self,
        root: str | Path = "datasets",
        split: str = "train",
        source: str | Path | None = None,
        delays: Delays = "fan_out",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
    ) -> None:
        self._delays = delays
        super().__init__(root, split, source, transform, pre_transform, timing=delays)

    def read(self) -> dict[str, list[Data]]:
        """Read and analyse the circuits."""
        return {
            part: [timed_circuit(read_circuit(self.raw_path(f"{name}.aig")), name, self._delays) for name in names]
            for part, names in PARTS.items()
        }


def timed_circuit(circuit: Circuit, name: str, delays: Delays = "fan_out") -> Data:
    """A graph of :class:`CircuitTiming` from any combinational circuit.

    Args:
        circuit: By :func:`~plstm_graph.datasets.circuits.aiger.read_circuit`.
        name: What it is called, for the attribute ``circuit``.
        delays: As of :class:`CircuitTiming`.
    """
    edge_index, inverted = circuit.edges()
    is_input = torch.arange(circuit.num_nodes) < circuit.num_sources
    kinds = gate_kinds(is_input, edge_index, inverted)
    delay = gate_delays(kinds, edge_index, inverted, delays)
    arrival = arrival_times(edge_index, delay, circuit.num_nodes)
    is_endpoint = torch.zeros(circuit.num_nodes, dtype=torch.bool)
    is_endpoint[torch.from_numpy(circuit.endpoints) - 1] = True
    fan_out = torch.bincount(edge_index[0], minlength=circuit.num_nodes).float()
    return Data(
        x=torch.stack([kinds.float(), fan_out / 10, fan_out.log1p()], dim=1),
        edge_index=edge_index,
        edge_attr=inverted.long().view(-1, 1),
        y=torch.where(is_input, torch.nan, arrival).float().view(-1, 1),
        delay=delay,
        is_endpoint=is_endpoint,
        circuit=name,
    )
