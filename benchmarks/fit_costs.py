"""Fit the constants of the cost model behind ``form="auto"`` to measured times.

    OMP_NUM_THREADS=1 python benchmarks/fit_costs.py --output runs/fit_costs.json

Times every form on a sweep of graphs and widths (CPU seconds of one thread, the least of several passes), writes each
as it comes, fits non-negative constants that minimise relative errors, prints them in the form of
``plstm_graph/ops/cost.py``, and says how far ``auto`` would be from the best form at worst. Measured cases in the file
are not measured again.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from scipy.optimize import nnls

from plstm_graph.bench import operators, workloads  # noqa: F401, they fill the registries
from plstm_graph.bench.registry import NotMeasured, Width, make_case, make_workload
from plstm_graph.ops.cost import chunkwise_counts, parallel_counts, recurrent_counts

COUNTS = {"recurrent": recurrent_counts, "parallel": parallel_counts, "chunkwise": chunkwise_counts}
WORKLOADS = (
    *("nci-8", "nci-32", "nci-128", "nci-512"),
    *("random-100", "random-1000", "random-10000", "random-30000", "random-100000"),
    *("chain-10", "chain-100", "chain-300", "chain-1000", "chain-10000", "chain-30000"),
    *("grid-4", "grid-10", "grid-32", "grid-60", "grid-100"),
    *("layered-2", "layered-10", "layered-30", "layered-100", "layered-300", "layered-1000"),
    *("instar-10000", "outstar-10000", "hub-100", "hub-300"),
)
WIDTHS = (Width(4, 16, 16), Width(4, 24, 24), Width(2, 8, 8), Width(8, 32, 32))
#: A form that takes longer than this is not timed at larger widths, and no graph takes part that is slower still.
MOST_SECONDS = 6.0


def measure(seconds_each: float, name: str, width: Width) -> dict[str, dict[str, object]]:
    """Least CPU seconds and counts of every form that can run.

    Args:
        seconds_each: Time to spend on each form.
        name: Of the workload.
        width: Of the operator.
    """
    workload = make_workload(name)
    found: dict[str, dict[str, object]] = {}
    for form, counts in COUNTS.items():
        graph = workload.line_graph
        if form == "parallel" and not graph.has_ancestry(2**21):
            continue
        if graph.num_pairs * width.heads * width.key * width.value > 2**29:
            continue
        try:
            run = make_case(f"plstm {form}", workload, width)["forward+backward"]
        except NotMeasured:
            continue
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < 3 or (time.perf_counter() - begin < seconds_each and len(times) < 30):
            before = time.process_time()
            run()
            times.append(time.process_time() - before)
            if times[0] > MOST_SECONDS:
                break
        found[form] = {"seconds": min(times), "counts": counts(graph, *width)}
    return found


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
    """Measure what is missing, fit, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/fit_costs.json"))
    parser.add_argument("--seconds", type=float, default=0.5, help="for each form, graph and width")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    measured = json.loads(options.output.read_text()) if options.output.exists() else {}
    console = Console()
    for name in track(WORKLOADS, "measuring", console=console):
        for width in WIDTHS:
            key = f"{name} {'x'.join(map(str, width))}"
            if key not in measured:
                measured[key] = measure(options.seconds, name, width)
                options.output.write_text(json.dumps(measured))

    constants = {}
    for form in COUNTS:
        constants[form] = fit([found[form] for found in measured.values() if form in found])
        rounded = {name: float(f"{value:.3g}") for name, value in constants[form].items()}
        console.print(f'    "{form}": {rounded},', highlight=False, soft_wrap=True)

    def estimate(form: str, counts: dict[str, float]) -> float:
        return 1e-9 * sum(constants[form][name] * count for name, count in counts.items())

    losses = []
    for key, found in ((key, found) for key, found in measured.items() if found):
        chosen = min(found, key=lambda form: estimate(form, found[form]["counts"]))
        best = min(found, key=lambda form: found[form]["seconds"])
        losses.append((found[chosen]["seconds"] / found[best]["seconds"], key, chosen, best))
    for loss, key, chosen, best in sorted(losses, reverse=True)[:12]:
        console.print(f"{loss:.2f} {key}: {chosen} chosen, {best} best", highlight=False)


if __name__ == "__main__":
    main()
