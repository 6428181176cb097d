"""Runs a suite and collects its measurements."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import torch

from benchmarks.operators import cases, workloads  # noqa: F401, they fill the registries
from benchmarks.operators.memory import peak_memory
from benchmarks.operators.registry import PASSES, NotMeasured, Width, Workload, make_case, make_workload
from benchmarks.operators.results import Measurement, Results
from benchmarks.operators.suites import Group
from benchmarks.operators.verify import verify_forms
from benchmarks.timing import Timer, time_in_turns
from plstm_graph.graph.ancestry import AncestryTooLargeError
from plstm_graph.machine import describe_machine

#: Raise it when the meaning of a field changes.
FORMAT = 1
_SKIPPED = (NotMeasured, NotImplementedError, AncestryTooLargeError)
# A process for measuring memory starts, builds the case and runs it twice.
_MEMORY_TIMEOUT = 120.0

Key = tuple[str, str, str]  # workload, operator, pass


def run_suite(
    groups: Sequence[Group],
    *,
    threads: int,
    repeat: int,
    budget: float,
    on_step: Callable[[str], None] = lambda what: None,
    on_group: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Check correctness, then measure group after group.

    Args:
        groups: What to measure.
        threads: Threads of torch.
        repeat: Repetitions of each pass.
        budget: Seconds for all repetitions of one pass of one operator on one workload.
        on_step: Called with what comes next.
        on_group: Called with all results so far after each group.

    Returns:
        Everything that the report says, ready for JSON: ``machine``, ``gate``, ``workloads``, ``groups`` with
        ``measurements`` and ``skipped``, and how it was run.

    Raises:
        WrongFormError: If a form of the operator is wrong; nothing has been measured then.
    """
    with _threads(threads):
        on_step("correctness of every form")
        results: Results = {
            "format": FORMAT,
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "threads": threads,
            "repeat": repeat,
            "budget_s": budget,
            "load_before": round(os.getloadavg()[0], 2),
            "gate": verify_forms(),
            "workloads": {},
            "groups": [],
        }
        for group in groups:
            results["groups"].append(_run_group(group, results["workloads"], threads, repeat, budget, on_step))
            on_group(results)
    return results


def _run_group(
    group: Group, sizes: dict[str, Any], threads: int, repeat: int, budget: float, on_step: Callable[[str], None]
) -> dict[str, Any]:
    width = Width(*group.width)
    timers: dict[Key, Timer] = {}
    skipped: list[dict[str, str]] = []

    def skip(workload: str, operator: str, reason: Exception) -> None:
        skipped.append({"workload": workload, "operator": operator, "reason": str(reason)})

    for name in group.workloads:
        on_step(name)
        try:
            workload = make_workload(name)
        except NotMeasured as reason:
            skip(name, "every operator", reason)
            continue
        sizes.setdefault(name, _sizes(workload))
        for operator in group.operators:
            on_step(f"{name}: {operator}")
            try:
                case = make_case(operator, workload, width)
                for pass_name in PASSES:
                    if pass_name in case and pass_name in (group.passes or PASSES):
                        timers[name, operator, pass_name] = Timer(case[pass_name], repeat, budget)
            except _SKIPPED as reason:
                skip(name, operator, reason)
    on_step(f"{', '.join(group.workloads)}: in turns")
    time_in_turns(list(timers.values()))

    measurements: list[Measurement] = []
    for (name, operator, pass_name), timer in timers.items():
        seconds = timer.summary()
        entry: Measurement = {"workload": name, "operator": operator, "pass": pass_name, "seconds": seconds}
        if group.memory and pass_name not in ("forward", "build"):
            on_step(f"{name}: memory of {operator}")
            timeout = _MEMORY_TIMEOUT + 4 * seconds["median"]
            try:
                entry["peak_bytes"] = peak_memory(name, operator, pass_name, width, threads, timeout)
            except NotMeasured as reason:
                skip(name, operator, reason)
        measurements.append(entry)
    return {
        "width": width._asdict(),
        "reference": group.reference,
        "measurements": measurements,
        "skipped": skipped,
    }


def _sizes(workload: Workload) -> dict[str, int]:
    graph = workload.line_graph
    return {
        "graphs": workload.num_graphs,
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        "pairs": graph.num_pairs,
        "depth": graph.schedule.num_levels,
    }


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
