"""The figures that the package wants to reach, and what a run measured of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.operators.results import Results, find_together
from benchmarks.operators.suites import BOTH, DEEPEST_CIRCUIT, FROM_EDGES

_STEP = "training step"
_CIRCUIT = f"circuit-{DEEPEST_CIRCUIT}"


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        what: What is measured.
        measure: Computes it from the results; None if they lack a part of it.
        limit: It should be at most this; None if only the aim was set.
        aim: What would be better still.
        unit: Unit of all three; empty for ratios.
    """

    what: str
    measure: Callable[[Results], float | None]
    limit: float | None
    aim: float
    unit: str = ""


def measure_figures(results: Results) -> list[dict[str, Any]]:
    """Every figure beside what was asked.

    Args:
        results: Of the suite ``figures``; with ``graph_breaks`` if that was counted.

    Returns:
        For each figure ``what``, ``measured`` (None if it could not be), ``limit``, ``aim``, ``unit``, and ``met``:
        ``"aim"``, ``"limit"``, ``"no"`` or ``"not measured"``.
    """
    rows = []
    for figure in FIGURES:
        measured = figure.measure(results)
        if measured is None:
            met = "not measured"
        elif measured <= figure.aim:
            met = "aim"
        else:
            met = "limit" if figure.limit is not None and measured <= figure.limit else "no"
        entry = {"what": figure.what, "measured": measured, "limit": figure.limit, "aim": figure.aim}
        rows.append({**entry, "unit": figure.unit, "met": met})
    return rows


def _ratio(operator: str, reference: str, pass_name: str = BOTH) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        found = find_together(results, pass_name, ("nci-128", operator), ("nci-128", reference))
        return found[0]["seconds"]["median"] / found[1]["seconds"]["median"] if found else None

    return measure


def _per_edge(large: str, small: str) -> Callable[[Results], float | None]:
    """Time per edge on one workload over that on another."""

    def measure(results: Results) -> float | None:
        found = find_together(results, BOTH, (large, "plstm auto"), (small, "plstm auto"))
        if not found:
            return None
        each = [entry["seconds"]["median"] / results["workloads"][entry["workload"]]["edges"] for entry in found]
        return each[0] / each[1]

    return measure


def _memory_ratio(results: Results) -> float | None:
    cases = [("random-1000000", operator) for operator in ("plstm chunkwise", "plstm recurrent")]
    found = find_together(results, BOTH, *cases)
    if not found or not all("peak_bytes" in entry for entry in found):
        return None
    return found[0]["peak_bytes"] / found[1]["peak_bytes"]


def _circuit_seconds(results: Results) -> float | None:
    found = find_together(results, BOTH, (_CIRCUIT, FROM_EDGES))
    return found[0]["seconds"]["median"] if found else None


def _circuit_memory(results: Results) -> float | None:
    found = find_together(results, BOTH, (_CIRCUIT, FROM_EDGES))
    return found[0]["peak_bytes"] / 1e9 if found and "peak_bytes" in found[0] else None


_GIVEN = "operator, gates given, 128 molecules, forward+backward"
FIGURES = (
    Figure(f"{_GIVEN}, against GATv2Conv", _ratio("plstm auto", "GATv2Conv"), 1.0, 1.0),
    Figure(f"{_GIVEN}, against GINEConv", _ratio("plstm auto", "GINEConv"), None, 1.0),
    Figure("whole PLSTMConv, P-mode, against GATv2Conv", _ratio("PLSTMConv P", "GATv2Conv"), 2.0, 1.3),
    Figure("whole PLSTMConv, D-mode, against GATv2Conv", _ratio("PLSTMConv D", "GATv2Conv"), 2.0, 1.3),
    Figure(
        "training step of the PLSTM model (P and D, both directions), against a GATv2 model of equal parameters",
        _ratio("PLSTM model", "GATv2 model", _STEP),
        2.5,
        1.5,
    ),
    Figure(
        "building the structure of 128 molecules, share of that training step",
        _ratio("structure", "PLSTM model", _STEP),
        0.10,
        0.03,
    ),
    Figure("chain of 100,000 edges: time per edge against 10,000", _per_edge("chain-100000", "chain-10000"), 1.5, 1.1),
    Figure(
        "random DAG of 1,000,000 edges: time per edge against 100,000",
        _per_edge("random-1000000", "random-100000"),
        1.5,
        1.1,
    ),
    Figure("peak memory of chunkwise against recurrent, random DAG of 1,000,000 edges", _memory_ratio, 0.5, 0.2),
    Figure("deepest EPFL circuit, building all structure and forward+backward", _circuit_seconds, 60.0, 10.0, "s"),
    Figure("deepest EPFL circuit, peak memory of the same", _circuit_memory, 8.0, 8.0, "GB"),
    Figure(
        "graph breaks of the PLSTM model under torch.compile, dynamic shapes",
        lambda results: results.get("graph_breaks"),
        0,
        0,
    ),
)
