"""How often each gate of a circuit is 1, by simulation of random inputs, 64 of them in each machine word."""

import numpy as np

from plstm_graph.datasets.circuits.aiger import Circuit
from plstm_graph.graph.generations import generations

_BYTES = 2**28  # of the words of all nodes that are held at once
_ROWS = 4096  # nodes whose ones are counted at once
# Ones in each number of 16 bits; numpy 1 has no count of its own.
_COUNT = np.unpackbits(np.arange(2**16, dtype=np.uint16).view(np.uint8).reshape(-1, 2), axis=1).sum(
    axis=1, dtype=np.int64
)


def signal_probability(circuit: Circuit, vectors: int = 2**17, seed: int = 0) -> np.ndarray:
    """Share of random input vectors for which each node is 1; inputs are independent and fair.

    Args:
        circuit: The circuit.
        vectors: Number of input vectors, rounded up to a multiple of 64. The standard error of a share ``p`` is
            ``sqrt(p (1 - p) / vectors)``, at most 0.0014 by default.
        seed: Of the inputs.

    Returns:
        ``[N]``, float64, for sources and gates in their order.
    """
    random = np.random.default_rng(seed)
    edge_index, _ = circuit.edges()
    levels = [nodes.numpy() for nodes in generations(edge_index, circuit.num_nodes)]
    gates = [nodes[nodes >= circuit.num_sources] - circuit.num_sources for nodes in levels]
    inverted = np.where(circuit.inverted, ~np.uint64(0), np.uint64(0))
    words = -(-vectors // 64)
    step = max(1, min(words, _BYTES // (8 * (circuit.num_nodes + 1))))
    ones = np.zeros(circuit.num_nodes, dtype=np.int64)
    for begin in range(0, words, step):
        width = min(step, words - begin)
        values = np.zeros((circuit.num_nodes + 1, width), dtype=np.uint64)  # row 0 is the constant
        sources = slice(1, circuit.num_sources + 1)
        values[sources] = random.integers(0, 2**64, size=(circuit.num_sources, width), dtype=np.uint64)
        for level in gates:
            if level.size:
                first, second = (
                    values[circuit.fan_in[level, side]] ^ inverted[level, side][:, None] for side in (0, 1)
                )
                values[level + circuit.num_sources + 1] = first & second
        for node in range(0, circuit.num_nodes, _ROWS):
            ones[node : node + _ROWS] += _COUNT[values[1 + node : 1 + node + _ROWS].view(np.uint16)].sum(axis=1)
    return ones / (64 * words)
