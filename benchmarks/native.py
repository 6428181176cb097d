"""Native code beside the same forms in torch alone: what each costs, forward and backward together.

    python -m benchmarks.native --output results/native.json

Every form that has both is timed on every workload that it suits, with native code on and off in turns, for each number
of threads and each instruction set. An instruction set takes a process of its own: there both native code and torch are
held to it. Before a case is timed, values and gradients of both are held against each other. All of it takes half an
hour; parts of it (``--forms``, ``--workloads``) are added to what the file has of the same machine and revision.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.grids import chain_operands, grid_operands
from benchmarks.operators import workloads  # noqa: F401, it fills the registry
from benchmarks.operators.cases import plstm_operands
from benchmarks.operators.registry import NotMeasured, Width, Workload, make_workload
from benchmarks.pages import ROOT
from benchmarks.processor import HELD_TO, held_to
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.graph import LineGraph
from plstm_graph.machine import describe_machine
from plstm_graph.native.load import forget_native
from plstm_graph.ops import plstm, plstm_chain, plstm_grid2d_oriented, plstm_max_plus, plstm_max_plus_factorized
from plstm_graph.testing import assert_close

#: What a process is held to, by the name of its rows; None for no limit.
INSTRUCTIONS = {"all": None} | {name: name for name in HELD_TO}

DAGS = ("nci-128", "molhiv-512", "peptides-128", "random-100000")
#: Batch and side of grids, batch and length of chains.
GRIDS = {"grid 24x24, batch 8": (8, 24), "grid 96x96, batch 1": (1, 96)}
CHAINS = {"chain 16384, batch 1": (1, 16384)}
CHANNELS = 16
#: Lists of what reaches what are for DAGs that have no more entries.
_MOST_ENTRIES = 2**22
_FEWEST, _MOST = 3, 200
#: Of float32, where sums are long.
_CLOSE = 1e-3

#: What is timed; it returns tensors that are the same with native code and without.
Run = Callable[[], Sequence[Tensor]]


def both_passes(function: Callable[..., Tensor], *operands: Tensor, **named: Tensor) -> Run:
    """The output and all gradients of a function of some tensors."""
    given = [tensor.detach().requires_grad_() for tensor in operands]
    by_name = {name: tensor.detach().requires_grad_() for name, tensor in named.items()}
    leaves = [*given, *by_name.values()]
    weight = torch.randn_like(function(*given, **by_name))

    def run() -> Sequence[Tensor]:
        out = function(*given, **by_name)
        return [out.detach(), *torch.autograd.grad(out, leaves, weight)]

    return run


def dag_form(form: str, workload: Workload) -> Run:
    """One form of the operator on DAGs, four heads."""
    if form == "parallel" and not workload.line_graph.has_ancestry(_MOST_ENTRIES):
        raise NotMeasured(f"more than {_MOST_ENTRIES} pairs of edges reach each other")
    width = Width() if workload.batch is not None else Width(4, 16, 16)
    return both_passes(partial(plstm, line_graph=workload.line_graph, form=form), **plstm_operands(workload, width))


def max_plus_pairs(workload: Workload) -> Run:
    """M-mode with a transition for each pair."""
    graph = workload.line_graph
    sizes = {"source": graph.num_edges, "transition": graph.num_pairs, "mark": graph.num_edges}
    return _max_plus(plstm_max_plus, graph, sizes)


def max_plus_factorized(workload: Workload) -> Run:
    """M-mode with a transition that factorises at the node."""
    graph = workload.line_graph
    return _max_plus(
        plstm_max_plus_factorized, graph, dict.fromkeys(("source", "out_gate", "in_gate", "mark"), graph.num_edges)
    )


def _max_plus(function: Callable[..., Tensor], graph: LineGraph, sizes: dict[str, int]) -> Run:
    drawn = {name: torch.randn(rows, CHANNELS) for name, rows in (sizes | {"direct": graph.num_nodes}).items()}
    return both_passes(partial(function, line_graph=graph), **drawn)


def structure(workload: Workload) -> Run:
    """Which edges reach which, and which nodes read which; all is listed anew in every call."""
    edge_index, nodes = workload.edge_index, workload.num_nodes

    def run() -> Sequence[Tensor]:
        graph = LineGraph(edge_index, nodes)
        if not graph.has_ancestry(_MOST_ENTRIES):
            return []
        ancestry, links = graph.ancestry, graph.links
        return [ancestry.from_edge, ancestry.to_edge, links.reader, links.read]

    return run


def grid(name: str) -> Run:
    """Four orientations of square grids."""
    return both_passes(plstm_grid2d_oriented, *grid_operands(*GRIDS[name]))


def chain(name: str) -> Run:
    """Chains."""
    return both_passes(plstm_chain, *chain_operands(*CHAINS[name]))


def _on_dag(function: Callable[[Workload], Run]) -> Callable[[str], Run]:
    return lambda name: function(make_workload(name))


#: What makes the case of a workload, and the workloads, by form.
FORMS: dict[str, tuple[Callable[[str], Run], Sequence[str]]] = {
    "parallel": (_on_dag(partial(dag_form, "parallel")), DAGS),
    "recurrent": (_on_dag(partial(dag_form, "recurrent")), DAGS),
    "max-plus, pairs": (_on_dag(max_plus_pairs), DAGS),
    "max-plus, factorized": (_on_dag(max_plus_factorized), DAGS),
    "structure": (_on_dag(structure), DAGS),
    "grid": (grid, tuple(GRIDS)),
    "chain": (chain, tuple(CHAINS)),
}


@contextmanager
def without_native() -> Iterator[None]:
    """Torch alone, in this process."""
    before = os.environ.get("PLSTM_COMPILE")
    os.environ["PLSTM_COMPILE"] = "0"
    forget_native()
    try:
        yield
    finally:
        if before is None:
            del os.environ["PLSTM_COMPILE"]
        else:
            os.environ["PLSTM_COMPILE"] = before
        forget_native()


def measure(form: str, name: str, seconds: float) -> dict[str, Any]:
    """Medians of one case in milliseconds, and their ratio.

    Args:
        form: A key of :data:`FORMS`.
        name: Of the workload.
        seconds: How long to go on, at least three repetitions of both.

    Raises:
        NotMeasured: If the form does not suit the workload.
        AssertionError: If native code and torch do not agree.
    """
    torch.manual_seed(0)
    run = FORMS[form][0](name)
    native = run()
    with without_native():
        for number, (found, expected) in enumerate(zip(native, run(), strict=True)):
            assert_close(found, expected, _CLOSE, f"{form}, {name}, result {number}")
    times: dict[str, list[float]] = {"native": [], "torch": []}
    end = time.perf_counter() + seconds
    while len(times["torch"]) < _FEWEST or (time.perf_counter() < end and len(times["torch"]) < _MOST):
        times["native"].append(_timed(run))
        with without_native():
            times["torch"].append(_timed(run))
    medians = {label: 1e3 * statistics.median(taken) for label, taken in times.items()}
    return {
        **{f"{label}_ms": round(median, 4) for label, median in medians.items()},
        "ratio": round(medians["native"] / medians["torch"], 4),
        "repetitions": len(times["torch"]),
    }


def _timed(run: Run) -> float:
    # Once before: libraries are loaded, and the cache holds what this case left there, not the other one.
    run()
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows of this process, for its instruction set."""
    rows = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for form in options.forms:
            for name in FORMS[form][1]:
                if options.workloads and name not in options.workloads:
                    continue
                row = {"form": form, "workload": name, "threads": threads}
                try:
                    rows.append(row | measure(form, name, options.seconds))
                except NotMeasured as reason:
                    print(f"{form}, {name}: {reason}", file=sys.stderr)
                    continue
                print(_line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _line(row: dict[str, Any]) -> str:
    times = f"{row['native_ms']:10.2f} {row['torch_ms']:10.2f} {row['ratio']:7.2f}"
    return f"{row['form']:22}{row['workload']:22}{row['threads']:>8}{times}"


def to_text(found: dict[str, Any]) -> str:
    """One table for each instruction set."""
    lines = []
    for name, results in found["instructions"].items():
        lines += ["", f"{name} ({results['torch']}), {found['machine']['processor']}, ms:", ""]
        lines.append(f"{'form':22}{'workload':22}{'threads':>8}{'native':>10} {'torch':>10} {'ratio':>7}")
        lines += [_line(row) for row in results["rows"]]
    return "\n".join(lines) + "\n"


def added(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Rows of a file of the same machine and revision, with new ones in their place."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if before.get("machine") != found["machine"]:
        return found
    results = before["instructions"]
    for name, new in found["instructions"].items():
        place = {_place(row): row for row in results.get(name, {"rows": []})["rows"] + new["rows"]}
        results[name] = new | {"rows": sorted(place.values(), key=_place)}
    return found | {"instructions": results}


def _place(row: dict[str, Any]) -> tuple[int, str, int]:
    return list(FORMS).index(row["form"]), row["workload"], row["threads"]


def _found_under(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What a process of its own finds that is held to an instruction set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.native", *arguments, "--here", "--output", str(path)]
        environment = held_to(INSTRUCTIONS[name], Path(folder) / "cache")
        subprocess.run(command, env=environment, cwd=ROOT, check=True)
        return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--workloads", nargs="+", help="only these (default: all)")
    parser.add_argument("--instructions", nargs="+", choices=INSTRUCTIONS, default=list(INSTRUCTIONS))
    parser.add_argument("--seconds", type=float, default=4.0, help="for each case")
    parser.add_argument("--output", type=Path, default=Path("native.json"), help="where numbers are written")
    parser.add_argument("--here", action="store_true", help="in this process, with its instruction set as it is")
    options = parser.parse_args(given)
    if options.here:
        found = {"torch": torch.backends.cpu.get_cpu_capability(), "rows": measure_all(options)}
        replace_text(options.output, json.dumps(found) + "\n")
        return
    found = {
        "machine": describe_machine(),
        "instructions": {name: _found_under(name, given) for name in options.instructions},
    }
    found = added(options.output, found)
    replace_text(options.output, json.dumps(found, indent=1) + "\n")
    print(to_text(found))


if __name__ == "__main__":
    main()
