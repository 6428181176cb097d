"""The EPFL combinational benchmark circuits, with the signal probability of every gate."""

from pathlib import Path
from typing import ClassVar

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.circuits.aiger import read_circuit
from plstm_graph.datasets.circuits.signal_probability import signal_probability
from plstm_graph.datasets.storage.dag_set import DAGSet

_ADDRESS = "https://raw.githubusercontent.com/lsils/benchmarks/94e25f33b9bcbaa155e20ceedc6f6dc45bdffddf"
_ARITHMETIC = ("adder", "bar", "div", "hyp", "log2", "max", "multiplier", "sin", "sqrt", "square")
_CONTROL = ("arbiter", "cavlc", "ctrl", "dec", "i2c", "int2float", "mem_ctrl", "priority", "router", "voter")
#: Circuits of each part.
PARTS = {
    "train": ("adder", "bar", "div", "log2", "sin", "square", "arbiter", "cavlc", "ctrl", "i2c", "int2float", "router"),
    "valid": ("max", "priority"),
    "test": ("hyp", "multiplier", "sqrt", "dec", "mem_ctrl", "voter"),
}


class EPFLCircuits(DAGSet):
    """The 20 `EPFL combinational benchmarks <https://github.com/lsils/benchmarks>`_ as and-inverter graphs.

    Nodes are inputs (``x`` 0) and AND gates (1, or 2 with a constant fan-in): ``x`` ``[N, 1]``; 174 to 214,335 gates.
    Edges lead from fan-ins to gates, ``edge_attr`` ``[E, 1]`` says whether they invert. ``y`` ``[N, 1]`` is the share
    of 131,072 random input vectors for which a node is 1, by simulation. ``circuit`` is its name. There is no official
    split; ours holds out six circuits of both kinds, the largest among them, and validates on two.

    The first use simulates all circuits of all parts, which takes about a minute.

    Args:
        root (str): Folder of all data sets.
        split (str): ``"train"``, ``"valid"`` or ``"test"``.
        source (str, optional): Folder with the files ``.aig``, also below ``dag/epfl_aig``. (default: the environment
            variable ``PLSTM_DATA``, else a download)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
    """

    folder = "epfl_aig"
    places = ("epfl_aig", "dag/epfl_aig")
    files: ClassVar[dict[str, str | None]] = {
        f"{name}.aig": f"{_ADDRESS}/{kind}/{name}.aig"
        for kind, names in (("arithmetic", _ARITHMETIC), ("random_control", _CONTROL))
        for name in names
    }
    parts = tuple(PARTS)

    def read(self) -> dict[str, list[Data]]:
        """Read and simulate the circuits."""
        return {part: [circuit_data(self.raw_path(f"{name}.aig")) for name in names] for part, names in PARTS.items()}


def circuit_data(path: str | Path) -> Data:
    """A graph of :class:`EPFLCircuits` from any combinational circuit.

    Args:
        path: A file ``.aig`` (binary AIGER).

    Raises:
        AigerError: If it cannot be read.
    """
    circuit = read_circuit(path)
    edge_index, inverts = circuit.edges()
    kinds = torch.zeros(circuit.num_nodes, dtype=torch.long)
    kinds[circuit.num_sources :] = 1 + torch.from_numpy((circuit.fan_in == 0).any(axis=1)).long()
    return Data(
        x=kinds.view(-1, 1),
        edge_index=edge_index,
        edge_attr=inverts.long().view(-1, 1),
        y=torch.from_numpy(signal_probability(circuit)).float().view(-1, 1),
        circuit=Path(path).stem,
    )
