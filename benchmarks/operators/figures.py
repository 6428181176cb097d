"""The figures that the package wants to reach, and what one machine with so many threads reaches of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.operators.results import Results, auto_against_best, find_together
from benchmarks.operators.suites import BOTH, DEEPEST_CIRCUIT, FROM_EDGES, LIMITED

#: What was measured of a machine with one number of threads: results by suite, and by name of the other scripts.
Runs = Mapping[str, Results]

_STEP = "training step"
_CIRCUIT = f"circuit-{DEEPEST_CIRCUIT}"
_LARGE = "random-1000000"


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        what: What is measured.
        measure: Computes it from the results; None if they lack a part of it.
        limits: It should be at most this, with one thread and with more; None if nothing is asked.
        aim: What would be better still; None if nothing is.
        unit: Unit of all; empty for ratios.
        long: Whether only a long suite measures it.
    """

    what: str
    measure: Callable[[Runs], float | None]
    limits: tuple[float | None, float | None]
    aim: float | None
    unit: str = ""
    long: bool = False


def measure_figures(runs: Runs, threads: int) -> list[dict[str, Any]]:
    """Every figure beside what was asked.

    Args:
        runs: Results by suite.
        threads: Threads that they had.

    Returns:
        For each figure ``what``, ``measured`` (None if it could not be), ``limit``, ``aim``, ``unit``, and ``met``:
        ``"aim"``, ``"limit"``, ``"no"``, ``"not asked"`` or ``"not measured"``.
    """
    rows = []
    for figure in FIGURES:
        measured, limit, aim = figure.measure(runs), figure.limits[min(threads, 2) - 1], figure.aim
        if measured is None:
            met = "not measured"
        elif limit is None and aim is None:
            met = "not asked"
        elif aim is not None and measured <= aim:
            met = "aim"
        else:
            met = "limit" if limit is not None and measured <= limit else "no"
        entry = {"what": figure.what, "measured": measured, "limit": limit, "aim": aim}
        rows.append({**entry, "unit": figure.unit, "met": met})
    return rows


def _ratio(
    workload: str, operator: str, reference: str, pass_name: str = BOTH, suite: str = "figures"
) -> Callable[[Runs], float | None]:
    def measure(runs: Runs) -> float | None:
        found = find_together(runs.get(suite), pass_name, (workload, operator), (workload, reference))
        return found[0]["seconds"]["median"] / found[1]["seconds"]["median"] if found else None

    return measure


def _two_threads(workload: str) -> Callable[[Runs], float | None]:
    return _ratio(workload, LIMITED[1], LIMITED[0], suite="threads")


def _per_edge(large: str, small: str) -> Callable[[Runs], float | None]:
    """Time per edge on one workload over that on another."""

    def measure(runs: Runs) -> float | None:
        results = runs.get("figures")
        found = find_together(results, BOTH, (large, "plstm auto"), (small, "plstm auto"))
        if not found or results is None:
            return None
        each = [entry["seconds"]["median"] / results["workloads"][entry["workload"]]["edges"] for entry in found]
        return each[0] / each[1]

    return measure


def _gigabytes(suite: str, workload: str, operator: str) -> Callable[[Runs], float | None]:
    def measure(runs: Runs) -> float | None:
        found = find_together(runs.get(suite), BOTH, (workload, operator))
        return found[0]["peak_bytes"] / 1e9 if found and "peak_bytes" in found[0] else None

    return measure


def _auto(runs: Runs) -> float | None:
    """Over all workloads on which forms were timed, here or in a longer suite."""
    return max((ratio for results in runs.values() for *_, ratio in auto_against_best(results)), default=None)


def _native(runs: Runs) -> float | None:
    return max((row["ratio"] for row in runs.get("native", {}).get("rows", ())), default=None)


def _grids(row: str) -> Callable[[Runs], float | None]:
    def measure(runs: Runs) -> float | None:
        rows = runs["grids"]["rows"] if "grids" in runs else {}
        return rows[row]["plstm auto"]["ratio"] if row in rows else None

    return measure


def _per_pixel(runs: Runs) -> float | None:
    return runs["grids"]["per_pixel"] if "grids" in runs else None


def _circuit_seconds(runs: Runs) -> float | None:
    found = find_together(runs.get("circuits"), BOTH, (_CIRCUIT, FROM_EDGES))
    return found[0]["seconds"]["median"] if found else None


_OPERATOR = "operator, gates given"
_BOTH_WAYS = "GATv2Conv, both directions"
_MODEL = "training step of the PLSTM model against a GATv2 model of equal size"
FIGURES = (
    Figure(
        f"{_OPERATOR}, 128 molecules, against GATv2Conv",
        _ratio("nci-128", "plstm auto", "GATv2Conv"),
        (0.45, 0.5),
        0.35,
    ),
    Figure(
        f"{_OPERATOR}, 128 molecules, against GINEConv", _ratio("nci-128", "plstm auto", "GINEConv"), (1.0, 1.2), 0.8
    ),
    Figure(
        f"{_OPERATOR}, 128 peptides, against GATv2Conv in both directions",
        _ratio("peptides-128", "plstm auto", _BOTH_WAYS),
        (1.3, 1.3),
        1.0,
    ),
    Figure(
        f"{_OPERATOR}, 128 peptides, against GATv2Conv",
        _ratio("peptides-128", "plstm auto", "GATv2Conv"),
        (None, None),
        None,
    ),
    Figure(
        "PLSTMConv, P-mode, 128 molecules, against GATv2Conv",
        _ratio("nci-128", "PLSTMConv P", "GATv2Conv"),
        (1.3, 1.3),
        1.0,
    ),
    Figure(
        "PLSTMConv, D-mode, 128 molecules, against GATv2Conv",
        _ratio("nci-128", "PLSTMConv D", "GATv2Conv"),
        (1.3, 1.3),
        1.0,
    ),
    Figure(f"{_MODEL}, 128 molecules", _ratio("nci-128", "PLSTM model", "GATv2 model", _STEP), (1.2, 1.2), 1.0),
    Figure(f"{_MODEL}, 128 peptides", _ratio("peptides-128", "PLSTM model", "GATv2 model", _STEP), (1.5, 1.5), 1.2),
    Figure("two threads against one, operator, 128 molecules", _two_threads("nci-128"), (None, 1.0), 0.55),
    Figure("two threads against one, operator, 512 molecules", _two_threads("nci-512"), (None, 0.65), 0.55),
    Figure("two threads against one, operator, 128 peptides", _two_threads("peptides-128"), (None, 0.65), 0.55),
    Figure(
        "two threads against one, operator, random DAG of 100,000 edges",
        _two_threads("random-100000"),
        (None, 0.65),
        0.55,
    ),
    Figure("native code against torch only, worst of all forms and workloads", _native, (1.05, 1.05), 0.6),
    Figure("`auto` against the best form, worst of all workloads", _auto, (1.2, 1.2), 1.1),
    Figure(
        "random DAG of 1,000,000 edges, time per edge against 100,000",
        _per_edge(_LARGE, "random-100000"),
        (1.5, 1.5),
        1.1,
    ),
    Figure("the same, peak memory", _gigabytes("figures", _LARGE, "plstm auto"), (2.3, 2.3), 1.5, "GB"),
    Figure(
        "chain of 100,000 edges, time per edge against 10,000",
        _per_edge("chain-100000", "chain-10000"),
        (1.5, 1.5),
        1.1,
    ),
    Figure("grid 24 x 24, against softmax attention", _grids("grid 24x24, batch 8"), (1.0, 1.0), 0.8),
    Figure("grid 96 x 96, against softmax attention", _grids("grid 96x96, batch 1"), (0.1, 0.1), 0.06),
    Figure("chain of 16,384, against softmax attention", _grids("chain 16384, batch 1"), (0.02, 0.02), 0.015),
    Figure("grid, time per pixel, 96 x 96 against 24 x 24", _per_pixel, (1.15, 1.15), 1.05),
    Figure("deepest EPFL circuit, all structure and forward+backward", _circuit_seconds, (60.0, 60.0), 10.0, "s", True),
    Figure("the same, peak memory", _gigabytes("circuits", _CIRCUIT, FROM_EDGES), (8.0, 8.0), 8.0, "GB", True),
    Figure(
        "graph breaks of the PLSTM model under torch.compile, dynamic shapes",
        lambda runs: runs.get("molecules", {}).get("graph_breaks"),
        (0, 0),
        0,
        long=True,
    ),
)
