"""M-mode beside GINEConv and a P-mode head of width 1 per channel, on molecules.

    python -m benchmarks.max_plus

Writes results/max_plus_speed.json and docs/max_plus_speed.md.

Forward and backward of 128 molecules of the NCI set that comes with RDKit, float32, gates and structure given. Before
anything is timed, values and gradients are held against the naive form in float64. Cases are timed in turns, one
repetition of each after the other; a ratio is that of the medians of one run. GINEConv has edge features of its width
and a network of two layers; 96 channels are the width at which the other layers are timed.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINEConv

from benchmarks.operators.cases import plstm_operands
from benchmarks.operators.registry import Width, Workload, differentiable
from benchmarks.operators.workloads import nci
from benchmarks.pages import add_options, publish
from benchmarks.timing import Timer, time_in_turns
from plstm_graph.graph import LineGraph
from plstm_graph.machine import describe_machine
from plstm_graph.ops import plstm, plstm_max_plus, plstm_max_plus_factorized
from plstm_graph.testing import assert_close

CHANNELS = 16
MOLECULES = "128"
UNIT = "M-mode"
#: What M-mode may cost, in units of each, and the aim.
WANTED = {"GINEConv, 16 channels": (1.0, 0.5), "P-mode, 16 heads of width 1": (1.0, 1.0)}
PRECISE = 1e-10


def operands(graph: LineGraph, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Random arguments of M-mode, leaves."""
    generator = torch.Generator().manual_seed(0)
    rows = {
        "source": graph.num_edges,
        "transition": graph.num_pairs,
        "mark": graph.num_edges,
        "direct": graph.num_nodes,
    }
    drawn = {name: torch.randn(count, CHANNELS, dtype=dtype, generator=generator) for name, count in rows.items()}
    return {name: tensor.requires_grad_() for name, tensor in drawn.items()}


def verify(graph: LineGraph) -> None:
    """Hold what is timed against the naive form.

    Raises:
        AssertionError: If a value or gradient is off.
    """
    given = operands(graph, torch.float64)
    out_grad = torch.randn(graph.num_nodes, CHANNELS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for temperature in (0.0, 0.5):
        results = []
        for form in ("auto", "naive"):
            out = plstm_max_plus(**given, line_graph=graph, temperature=temperature, form=form)
            results.append([out, *torch.autograd.grad(out, list(given.values()), out_grad)])
        for name, actual, expected in zip(("output", *given), *results, strict=True):
            assert_close(actual, expected, PRECISE, f"M-mode at temperature {temperature}: {name}")


def gine(workload: Workload, channels: int) -> Callable[[], object]:
    """GINEConv with a network of two layers, all of one width."""
    network = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
    layer, generator = GINEConv(network), torch.Generator().manual_seed(0)
    x, out_grad = torch.randn(2, workload.num_nodes, channels, generator=generator)
    edge_attr = torch.randn(workload.edge_index.size(1), channels, generator=generator)
    x.requires_grad_()
    inputs = (x, *layer.parameters())
    return differentiable(lambda: layer(x, workload.edge_index, edge_attr), inputs, out_grad)["forward+backward"]


def cases(workload: Workload) -> dict[str, Callable[[], object]]:
    """What is timed."""
    graph, width = workload.line_graph, Width(CHANNELS, 1, 1)
    generator = torch.Generator().manual_seed(1)
    out_grad = torch.randn(graph.num_nodes, CHANNELS, generator=generator)
    given, heads = operands(graph), plstm_operands(workload, width)
    through = {name: tensor for name, tensor in given.items() if name != "transition"}
    through |= {
        name: torch.randn(graph.num_edges, CHANNELS, generator=generator).requires_grad_()
        for name in ("out_gate", "in_gate")
    }
    functions: dict[str, tuple[Callable[[], Tensor], dict[str, Tensor], Tensor]] = {
        UNIT: (lambda: plstm_max_plus(**given, line_graph=graph), given, out_grad),
        "M-mode, temperature 0.5": (
            lambda: plstm_max_plus(**given, line_graph=graph, temperature=0.5),
            given,
            out_grad,
        ),
        "M-mode, through the node": (lambda: plstm_max_plus_factorized(**through, line_graph=graph), through, out_grad),
        "P-mode, 16 heads of width 1": (lambda: plstm(**heads, line_graph=graph), heads, out_grad.unsqueeze(-1)),
    }
    made = {
        name: differentiable(function, tuple(inputs.values()), grad)["forward+backward"]
        for name, (function, inputs, grad) in functions.items()
    }
    return made | {f"GINEConv, {channels} channels": gine(workload, channels) for channels in (CHANNELS, 96)}


def measure(workload: Workload, threads: int, repeat: int) -> dict[str, dict[str, Any]]:
    """Seconds of each case, and those of M-mode in units of them."""
    torch.set_num_threads(threads)
    timers = {name: Timer(run, repeat, budget=15.0) for name, run in cases(workload).items()}
    time_in_turns(list(timers.values()))
    own = statistics.median(timers[UNIT].seconds)
    rows = {name: timer.summary() | {"ratio": own / statistics.median(timer.seconds)} for name, timer in timers.items()}
    print(f"threads {threads}:", {name: round(row["ratio"], 3) for name, row in rows.items()}, flush=True)
    return rows


def to_markdown(results: dict[str, Any]) -> str:
    """One table for each number of threads."""
    machine, sizes = results["machine"], results["sizes"]
    lines = [
        "# M-mode beside other layers",
        "",
        f"{MOLECULES} molecules ({sizes['nodes']:,} nodes, {sizes['edges']:,} edges, {sizes['pairs']:,} pairs), "
        f"{CHANNELS} channels, forward and backward, float32, {machine['processor']}, torch "
        f"{machine['packages']['torch']}, revision {machine['revision']}. Medians in milliseconds, timed in turns. "
        f"Values and gradients were held against the naive form first (float64, {PRECISE:g}).",
    ]
    for threads, rows in results["threads"].items():
        lines += [
            "",
            f"Threads: {threads}.",
            "",
            "| case | median ms | quartiles | M-mode in units of it | at most | aim |",
        ]
        lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, row in rows.items():
            most, aim = WANTED.get(name, ("", ""))
            quartiles = f"{1e3 * row['q1']:.2f} to {1e3 * row['q3']:.2f}"
            lines.append(f"| {name} | {1e3 * row['median']:.2f} | {quartiles} | {row['ratio']:.2f} | {most} | {aim} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=300)
    add_options(parser)
    options = parser.parse_args()
    publish("max_plus_speed", options, lambda: measure_all(options), to_markdown)


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """All rows, after a check that what is timed is right."""
    workload = nci(MOLECULES)
    graph = workload.line_graph
    verify(graph)
    return {
        "sizes": {"nodes": graph.num_nodes, "edges": graph.num_edges, "pairs": graph.num_pairs},
        "threads": {threads: measure(workload, threads, options.repeat) for threads in options.threads},
        "wanted": WANTED,
        "machine": describe_machine(),
    }


if __name__ == "__main__":
    main()
