"""Small circuits, and files of them."""

import numpy as np

from plstm_graph.datasets.circuits.aiger import Circuit
from plstm_graph.datasets.circuits.epfl import PARTS


def random_circuit(inputs=8, gates=120, seed=0):
    """Gates that mostly read what comes right before them, so that it is deep."""
    generator = np.random.default_rng(seed)
    known = inputs + 1 + np.arange(gates)
    fan_in = np.stack([np.maximum(known - generator.geometric(0.2, gates), 1) for _ in (0, 1)], axis=1)
    return Circuit(inputs, fan_in, generator.random((gates, 2)) < 0.5, np.array([known[-2], known[-1]]))


def aiger(circuit):
    """The file of a circuit without latches."""
    gates, inputs = len(circuit.fan_in), circuit.num_sources
    header = f"aig {inputs + gates} {inputs} 0 {len(circuit.endpoints)} {gates}"
    content = "".join(f"{line}\n" for line in (header, *(2 * circuit.endpoints))).encode()
    for gate, literals in enumerate(2 * circuit.fan_in + circuit.inverted):
        low, high = sorted(literals.tolist())
        content += _seven_bits(2 * (inputs + 1 + gate) - high) + _seven_bits(high - low)
    return content


def circuit_folder(folder, gates=120):
    """A folder with a random circuit of its own under the name of every one of the EPFL set."""
    (folder / "epfl_aig").mkdir(parents=True)
    for seed, name in enumerate(name for names in PARTS.values() for name in names):
        (folder / "epfl_aig" / f"{name}.aig").write_bytes(aiger(random_circuit(gates=gates, seed=seed)))
    return folder


def _seven_bits(number):
    last, more = number & 127, number >> 7
    return bytes([last | 128]) + _seven_bits(more) if more else bytes([last])
