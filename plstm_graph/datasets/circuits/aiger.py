"""Reader of combinational circuits in the binary AIGER format (`format report <https://fmv.jku.at/aiger>`_)."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class AigerError(ValueError):
    """A file that is not a binary AIGER circuit; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Circuit:
    """An and-inverter graph: variable 0 is the constant 0, then come inputs, latches and gates.

    Attributes:
        num_sources (int): Number of inputs and latches.
        fan_in (np.ndarray): The two variables that each gate reads, ``[A, 2]``, all lower than its own.
        inverted (np.ndarray): Which of them are inverted, ``[A, 2]``, bool.
        endpoints (np.ndarray): The variables that outputs and next states of latches read, sorted, without the
            constant, ``[O]``.
    """

    num_sources: int
    fan_in: np.ndarray
    inverted: np.ndarray
    endpoints: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def num_nodes(self) -> int:
        """Number of sources and gates."""
        return self.num_sources + len(self.fan_in)

    def edges(self) -> tuple[Tensor, Tensor]:
        """The DAG of the circuit: nodes are sources, then gates; edges lead from fan-ins to gates.

        Returns:
            ``edge_index`` ``[2, E]`` int64 in the order of the gates, without constant fan-ins, and which edges invert,
            ``[E]``, bool.
        """
        gate = np.repeat(np.arange(self.num_sources + 1, self.num_nodes + 1), 2).reshape(-1, 2)
        used = self.fan_in > 0
        edge_index = np.stack([self.fan_in[used], gate[used]]) - 1
        return torch.from_numpy(edge_index), torch.from_numpy(self.inverted[used])


def read_aiger(path: str | Path) -> tuple[Tensor, int]:
    """The DAG of an and-inverter graph: nodes are inputs, latches and AND gates; edges lead from fan-ins to gates.

    Inverters are left out, and so are fan-ins that are constant. A latch is a source, as its next state is not part of
    the combinational circuit.

    Args:
        path: A file ``.aig``.

    Returns:
        ``edge_index`` ``[2, E]`` int64, in the order of the gates, and the number of nodes.

    Raises:
        AigerError: As :func:`read_circuit`.
    """
    circuit = read_circuit(path)
    return circuit.edges()[0], circuit.num_nodes


def read_circuit(path: str | Path) -> Circuit:
    """Read a combinational circuit.

    Args:
        path: A file ``.aig``.

    Raises:
        AigerError: If the file is damaged, in the ASCII variant, or has parts of version 1.9 beyond circuits.
    """
    content = Path(path).read_bytes()
    header, _, rest = content.partition(b"\n")
    variables, inputs, latches, outputs, gates = _read_header(header, path)
    endpoints = set()
    for line in range(latches + outputs):
        text, newline, rest = rest.partition(b"\n")
        if not newline:
            raise AigerError(f"{path} ends in line {line + 2}, before all {latches} latches and {outputs} outputs")
        endpoints.add(_read_literal(text, line < latches, variables, f"{path}, line {line + 2}") // 2)
    first, second = _read_deltas(rest, gates, path)
    gate_literal = 2 * (np.arange(gates) + inputs + latches + 1)
    high = gate_literal - first
    low = high - second
    wrong = np.flatnonzero((first < 1) | (second < 0) | (low < 0))
    if wrong.size:
        raise AigerError(f"{path}: AND gate {wrong[0]} has a fan-in that is not defined before it")
    literals = np.stack([high, low], axis=1)
    # The lowest bit says that it is inverted.
    return Circuit(
        inputs + latches, literals // 2, literals % 2 == 1, np.array(sorted(endpoints - {0}), dtype=np.int64)
    )


def _read_literal(text: bytes, is_latch: bool, variables: int, where: str) -> int:
    """What an output or the next state of a latch reads; behind the latter its first value may stand."""
    words = text.split()
    if not 1 <= len(words) <= 1 + is_latch or not all(word.isdigit() and len(word) < 20 for word in words):
        raise AigerError(f"{where} must be a literal, got {text[:40]!r}")
    literal = int(words[0])
    if literal > 2 * variables + 1:
        raise AigerError(f"{where} reads literal {literal}, but the highest is {2 * variables + 1}")
    return literal


def _read_header(header: bytes, path: str | Path) -> list[int]:
    """Numbers of variables, inputs, latches, outputs and gates."""
    kind, *fields = header[:200].decode("latin-1").split()[:10] or [""]
    if kind == "aag":
        raise AigerError(f"{path} is an ASCII AIGER file; convert it to the binary variant (aigtoaig)")
    if kind != "aig" or len(fields) < 5 or not all(field.isdigit() for field in fields):
        raise AigerError(f"{path} is no binary AIGER file: expected 'aig M I L O A' in line 1, got {header[:40]!r}")
    numbers = [int(field) for field in fields]
    if any(numbers[5:]):
        raise AigerError(f"{path} has bad-state, constraint, justice or fairness lines; only circuits can be read")
    variables, inputs, latches, _, gates = numbers[:5]
    if variables != inputs + latches + gates:
        raise AigerError(f"{path}: line 1 has M = {variables}, but I + L + A = {inputs + latches + gates}")
    return numbers[:5]


def _read_deltas(content: bytes, gates: int, path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers for each gate, in groups of seven bits, the lowest first; the high bit says that more follow."""
    data = np.frombuffer(content, dtype=np.uint8)
    last = np.flatnonzero(data < 128)[: 2 * gates]
    if last.size < 2 * gates:
        raise AigerError(f"{path} ends after {last.size // 2} of {gates} AND gates")
    if gates == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    data = data[: last[-1] + 1].astype(np.int64)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 5:
        raise AigerError(f"{path}: a number in the section of AND gates has more than 32 bits")
    shift = np.arange(data.size) - np.repeat(first, length)
    deltas = np.add.reduceat((data & 127) << (7 * shift), first)
    return deltas[0::2], deltas[1::2]
