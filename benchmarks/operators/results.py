"""Looking things up in the results of a run."""

from collections.abc import Iterator
from typing import Any

from benchmarks.operators.suites import BOTH, FORMS

Results = dict[str, Any]
Measurement = dict[str, Any]


def measurements(results: Results) -> Iterator[Measurement]:
    """All measurements of all groups.

    Args:
        results: As :func:`~benchmarks.operators.runner.run_suite` returns them, or read from their JSON.
    """
    for group in results["groups"]:
        yield from group["measurements"]


def find_together(results: Results | None, pass_name: str, *cases: tuple[str, str]) -> list[Measurement] | None:
    """The measurements of several cases that were timed in turns, in one group. Only these may be compared.

    Args:
        results: As above; None if there was no such run.
        pass_name: Which pass; a case that lacks it is looked up by its only other pass.
        cases: Workload and operator of each.

    Returns:
        One measurement per case, or None if no group has them all.
    """
    for group in results["groups"] if results is not None else ():
        found = [_find(group["measurements"], pass_name, *case) for case in cases]
        if all(found):
            return [measurement for measurement in found if measurement]
    return None


def auto_against_best(results: Results) -> list[tuple[str, str, float]]:
    """How well the ``auto`` form chooses: its time over that of the fastest form beside it, forward and backward.

    Args:
        results: As above.

    Returns:
        Workload, operator of the fastest form, and ratio, for each workload on which a form was timed beside ``auto``.
    """
    rows = []
    for group in results.get("groups", ()):  # what other scripts measure has none
        for workload in dict.fromkeys(entry["workload"] for entry in group["measurements"]):
            forms = {name: _find(group["measurements"], BOTH, workload, name) for name in FORMS}
            seconds = {name: entry["seconds"]["median"] for name, entry in forms.items() if entry}
            auto = seconds.pop("plstm auto", None)
            if auto is not None and seconds:
                best = min(seconds, key=seconds.__getitem__)
                rows.append((workload, best, auto / seconds[best]))
    return rows


def _find(candidates: list[Measurement], pass_name: str, workload: str, operator: str) -> Measurement | None:
    of_case = [entry for entry in candidates if (entry["workload"], entry["operator"]) == (workload, operator)]
    exact = [entry for entry in of_case if entry["pass"] == pass_name]
    if exact:
        return exact[0]
    return of_case[0] if len(of_case) == 1 else None
