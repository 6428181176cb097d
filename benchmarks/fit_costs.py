"""Fit the constants of the cost model behind ``form="auto"`` to the times of benchmark runs.

    for suite in forms depth molecules; do python -m benchmarks.operators --suite $suite; done
    python -m benchmarks.fit_costs runs/bench/*/results.json

Takes forward+backward of every form on every workload of the files, counts what the model counts, fits non-negative
constants that minimise relative errors, prints them as they stand in ``plstm_graph/ops/dag/counts.py``, and says how
far from the best form the choice by these constants would be, at worst.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.optimize import nnls

from benchmarks.operators import workloads  # noqa: F401, it fills the registry
from benchmarks.operators.registry import make_workload
from plstm_graph.ops.dag.counts import COUNTS

Case = dict[str, dict[str, object]]


def read_cases(paths: list[Path]) -> dict[str, Case]:
    """Seconds and counts of each form, by workload and width.

    Args:
        paths: Of ``results.json`` files.
    """
    seconds: dict[tuple[str, tuple[int, int, int]], dict[str, float]] = {}
    for path in paths:
        for group in json.loads(path.read_text(encoding="utf-8"))["groups"]:
            for entry in group["measurements"]:
                form = entry["operator"].removeprefix("plstm ")
                if form in COUNTS and entry["pass"] == "forward+backward":
                    of_case = seconds.setdefault((entry["workload"], tuple(group["width"].values())), {})
                    of_case[form] = entry["seconds"]["median"]
    cases = {}
    for (name, width), measured in track(seconds.items(), "counting"):
        graph = make_workload(name).line_graph
        cases[f"{name} {'x'.join(map(str, width))}"] = {
            form: {"seconds": value, "counts": COUNTS[form](graph, *width)} for form, value in measured.items()
        }
    return cases


def fit(cases: list[dict[str, object]]) -> dict[str, float]:
    """Nanoseconds of each count, by least squares of errors relative to measured and estimated times alike.

    Args:
        cases: Of one form.
    """
    names = list(cases[0]["counts"])
    seconds = np.array([case["seconds"] for case in cases])
    counts = np.array([[case["counts"][name] for name in names] for case in cases])
    estimated = seconds
    for _ in range(20):
        scale = np.sqrt(seconds * estimated)
        coefficients, _ = nnls(counts / scale[:, None], seconds / scale)
        estimated = np.maximum(counts @ coefficients, 1e-9)
    return dict(zip(names, 1e9 * coefficients, strict=True))


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    cases = read_cases(parser.parse_args().results)
    console = Console()
    constants = {}
    for form in COUNTS:
        constants[form] = fit([case[form] for case in cases.values() if form in case])
        rounded = {name: float(f"{value:.3g}") for name, value in constants[form].items()}
        console.print(f'    "{form}": {rounded},', highlight=False, soft_wrap=True)

    def estimate(form: str, counts: dict[str, float]) -> float:
        return 1e-9 * sum(constants[form][name] * count for name, count in counts.items())

    losses = []
    for key, case in cases.items():
        chosen = min(case, key=lambda form: estimate(form, case[form]["counts"]))
        best = min(case, key=lambda form: case[form]["seconds"])
        losses.append((case[chosen]["seconds"] / case[best]["seconds"], key, chosen, best))
    console.print("time of the chosen form over that of the best:", highlight=False)
    for loss, key, chosen, best in sorted(losses, reverse=True)[:12]:
        console.print(f"{loss:.2f} {key}: {chosen} chosen, {best} best", highlight=False)


if __name__ == "__main__":
    main()
