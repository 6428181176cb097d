"""All that is to be known of a GPU, in one run of at most eight minutes.

    python -m benchmarks.cuda --output cuda.json

Runs the CUDA tests, then holds every form of the operator against the naive one, counts how often a forward and
backward pass waits for the device, and times each form beside GATv2Conv and GINEConv on molecules of NCI and on a
random DAG of a million edges. The JSON is written anew after each step, so that a run that is cut off loses nothing.
What no longer fits into the time is listed as left out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GINEConv

from benchmarks.operators.cases import plstm_operands
from benchmarks.operators.registry import NotMeasured, Width, Workload, differentiable
from benchmarks.operators.workloads import nci, random
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.graph import LineGraph
from plstm_graph.machine import describe_machine
from plstm_graph.ops import plstm
from plstm_graph.testing import assert_close, random_dag, random_operands

FORMS = ("recurrent", "parallel", "chunkwise")
WIDTH = Width(4, 24, 24)
#: Entries of an ancestry beyond which the parallel form is not timed.
_MOST_ENTRIES = 2**25
#: Seconds that one case may take, and repetitions that are enough.
_SECONDS, _ENOUGH = 8.0, 50
_BOTH = "forward+backward"

Run = Callable[[], object]


class Clock:
    """How much of the time is left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """In seconds, not below 0."""
        return max(self._end - time.monotonic(), 0.0)


def run_tests(seconds: float) -> dict[str, Any]:
    """The tests marked ``cuda``: how they ended, and their last lines."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-rs", "tests"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"status": None, "lines": [f"not done within {seconds:.0f} seconds"]}
    return {"status": done.returncode, "lines": done.stdout.splitlines()[-30:]}


def verify(device: torch.device) -> dict[str, Any]:
    """Each form on the device against the naive one on the CPU, float64; the largest relative error or what failed."""
    generator = torch.Generator().manual_seed(0)
    graph, found = LineGraph(random_dag(60, 120, generator), 60), {}
    operands = random_operands(graph)
    expected = plstm(**operands, line_graph=graph, form="naive").detach()
    there = {name: tensor.detach().to(device) for name, tensor in operands.items()}
    for form in FORMS:
        out = plstm(**there, line_graph=graph.prepare().to(device), form=form).to("cpu")
        try:
            assert_close(out, expected, 1e-10, form)
            found[form] = float((out - expected).abs().max() / expected.abs().max())
        except AssertionError as error:
            found[form] = str(error)[:300]
    return found


def cases(workload: Workload, device: torch.device) -> dict[str, Run | str]:
    """Forward and backward of every form and of the peers, or why there is none."""
    graph, size = workload.line_graph, WIDTH.channels
    there = graph.to(device)
    drawn = plstm_operands(workload, WIDTH)
    operands = {name: tensor.detach().to(device).requires_grad_() for name, tensor in drawn.items()}
    out_grad = torch.randn(graph.num_nodes, WIDTH.heads, WIDTH.value).to(device)

    def form_of(form: Any) -> Run:
        inputs = tuple(operands.values())
        return differentiable(lambda: plstm(**operands, line_graph=there, form=form), inputs, out_grad)[_BOTH]

    made: dict[str, Run | str] = {form: form_of(form) for form in (*FORMS, "auto")}
    if not graph.has_ancestry(_MOST_ENTRIES):
        made["parallel"] = f"more than {_MOST_ENTRIES} entries"
    edge_index = workload.edge_index.to(device)
    x, grad = torch.randn(2, graph.num_nodes, size).to(device)
    x.requires_grad_()
    network = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size))
    edge_attr = torch.randn(graph.num_edges, size).to(device)
    layers: list[tuple[str, nn.Module, Sequence[Tensor]]] = [
        ("GATv2Conv", GATv2Conv(size, WIDTH.value, WIDTH.heads), (edge_index,)),
        ("GINEConv", GINEConv(network), (edge_index, edge_attr)),
    ]
    for name, layer, arguments in layers:
        layer.to(device)

        def call(layer: nn.Module = layer, arguments: Sequence[Tensor] = arguments) -> Tensor:
            return layer(x, *arguments)

        made[name] = differentiable(call, (x, *layer.parameters()), grad)[_BOTH]
    return made


def count_waits(run: Run, device: torch.device) -> int | None:
    """How often a call waits for a GPU, after a first one that may build structure; None on another device."""
    run()
    if device.type != "cuda":
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def time_of(run: Run, device: torch.device, seconds: float) -> dict[str, Any]:
    """Median milliseconds of a call, the device awaited before and after."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while len(taken) < 3 or (len(taken) < _ENOUGH and time.monotonic() < end):
        _wait(device)
        begin = time.perf_counter()
        run()
        _wait(device)
        taken.append(1000 * (time.perf_counter() - begin))
    return {"median_ms": statistics.median(taken), "min_ms": min(taken), "repetitions": len(taken)}


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def measure(workload: Workload, device: torch.device, clock: Clock) -> dict[str, Any]:
    """Times, waits and peak memory of each case on a workload."""
    rows: dict[str, Any] = {}
    for name, run in cases(workload, device).items():
        if isinstance(run, str):
            rows[name] = {"left_out": run}
        elif clock.left == 0:
            rows[name] = {"left_out": "no time left"}
        else:
            try:
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                waits = count_waits(run, device)
                rows[name] = time_of(run, device, min(_SECONDS, clock.left)) | {"waits": waits}
                if device.type == "cuda":
                    rows[name]["peak_bytes"] = torch.cuda.max_memory_allocated(device)
            except torch.OutOfMemoryError as error:
                rows[name] = {"left_out": str(error)[:200]}
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("cuda.json"))
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--seconds", type=float, default=450.0, help="for all together (default: %(default)s)")
    parser.add_argument("--molecules", type=int, nargs="*", default=[128, 4096])
    parser.add_argument("--edges", type=int, nargs="*", default=[1_000_000], help="of random DAGs")
    parser.add_argument("--without_tests", action="store_true")
    given = parser.parse_args(arguments)
    console = Console()
    if given.device.type == "cuda" and not torch.cuda.is_available():
        console.print("benchmarks.cuda: there is no GPU that torch can use", style="red", markup=False)
        return 2
    clock = Clock(given.seconds)
    name = torch.cuda.get_device_name(given.device) if given.device.type == "cuda" else str(given.device)
    result: dict[str, Any] = {"device": name, "machine": describe_machine(), "width": WIDTH._asdict()}

    def keep(**found: Any) -> None:
        result.update(found)
        replace_text(given.output, json.dumps(result, indent=1) + "\n")

    keep(errors=verify(given.device))
    if not given.without_tests:
        keep(tests=run_tests(min(180.0, clock.left)))
    workloads: dict[str, Any] = {}
    wanted = [("molecules", nci, number) for number in given.molecules]
    for kind, make, number in [*wanted, *(("random", random, number) for number in given.edges)]:
        try:
            workloads[f"{kind}-{number}"] = measure(make(str(number)), given.device, clock)
        except NotMeasured as error:
            workloads[f"{kind}-{number}"] = {"left_out": str(error)}
        keep(workloads=workloads)
        console.print(f"{kind}-{number}: {workloads[f'{kind}-{number}']}", highlight=False, markup=False)
    console.print(f"{given.output}: all that was found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
