"""Writes docs/performance.md from measurements of operators.

    for suite in figures molecules forms depth circuits; do python -m benchmarks.operators --suite $suite; done
    python -m results.performance runs/bench/*

Measurements of each suite are kept as results/performance/SUITE.json, and the page is made from all of these: without
arguments the page alone is made anew. Of what was not measured it says what is asked for.
"""

import json
import sys
from pathlib import Path

from benchmarks.operators.plots import save_plots
from benchmarks.operators.report import figures_table, to_markdown
from plstm_graph.datasets.storage.files import replace_text
from results import DOCS, NUMBERS

_SUITES = ("figures", "molecules", "forms", "depth", "circuits")  # in this order of the page
INTRODUCTION = """# Performance

What pLSTM costs beside ordinary message-passing layers, and how its forms compare with each other.

{figures}

## How it is measured

* Before anything is timed, every form of the operator is held against the naive one in float64, values and gradients.
  If one is wrong, the command says so in red and measures nothing.
* The cases of a table are timed in turns (one repetition of each, then the next of each), so that a busy moment of the
  machine meets all of them alike. Ratios are formed only within such a table.
* Times are medians, with quartiles in brackets, after a warm-up that builds whatever is built once. A time budget for
  each case sets how many repetitions there are.
* `plstm ...` is the operator with gates given; `PLSTMConv` the whole layer in one mode and one direction, with its line
  graph given; `PLSTM model` a training step of four layers (P, D, P, D) in both directions, with building the
  structure of its batch and the optimiser's step. `GATv2 model` has four layers and as many parameters.
* Layers of PyG run along the edges of the DAG, as pLSTM does; "both directions" means the undirected graph.
* Peak memory is that of forward and backward over graph, structure and operands, in a fresh process for each case.
* `python -m benchmarks.operators --explain` prints which form `auto` chooses on each workload, and the estimates it
  compares. Commands below stand as they were given: what was `plstm-graph bench` then is
  `python -m benchmarks.operators` now, with the same options.
* `level GRU` below is a layer that was recorded by autograd, level by level. `GatedCell`, with a backward pass by hand,
  has taken its place since.
* The command lets torch use huge pages on Linux (`THP_MEM_ALLOC_ENABLE=1`), for all that is timed alike.

## Native code

The C sources come with the package and are compiled at their first use, each in two or three seconds, for the
processor at hand (`-march=native`). Each library is kept under a key of its sources, compiler, flags and the features
of the processor. What a user meets decided it:

* **A machine with a compiler**: the first call waits some seconds, all others find the libraries. Nothing has to be
  chosen at installation.
* **No compiler**: the package is plain Python, `pip install .` needs none, and the same forms run in torch.
* **A container image or a home folder that moves between processors**: another processor has another key, so code
  that it cannot run is never loaded. A library that is built at installation would have to be built for the oldest of
  them, or in several versions.
* **A C++ extension against torch** (`TORCH_LIBRARY`, `at::parallel_for`) was tried: ten lines of it take a minute to
  compile, for torch's headers, it fits one version of torch only, and needs torch when the package is installed. What
  it would bring is torch's threads, and these can be had without it.

**Threads.** torch computes on the threads of an OpenMP runtime. Native code asks torch's library for `GOMP_parallel`,
which the runtimes of gcc, LLVM and Intel have, and calls it with a function that takes one range of heads after the
other. So there is one set of threads, `torch.set_num_threads` holds for all, and work that is too small stays on one.

**Which form.** Constants fitted on one processor decide where one form is far ahead. Where two come within a factor
of six of each other, they are timed on three small graphs, in a second at first use, and the ratios are kept with the
processor's features, the number of threads and the version of torch. `PLSTM_CALIBRATE=0`, or deterministic algorithms
in torch, leave the constants alone.

## Where a figure is missed, or nearly

* **Random DAG of 1,000,000 edges against 100,000, per edge.** States are read at random from gigabytes, and the
  smaller graph from a tenth of that. What was tried: summing gradients into contiguous memory instead of views with
  gaps (these sums were 44% of the time), blocks cut for the width of a slice rather than for all heads, keeping the
  states of all slices instead of computing them twice, huge pages (a third of the time of the larger graph). Together
  they brought the larger graph from 91 s to 23 s. What is left is memory: with one thread and one head the time per
  edge grows by about 1.2, and two threads share one memory.
* **`auto`.** It takes the form that is fastest, or within 1.2 of it, on all but two of the workloads below (layered
  DAGs of 300 and 3,000 levels, where few repetitions decide between 0.2 and 0.4 s: up to 1.7).
* **GINEConv.** The operator reads 12,000 pairs of nodes where GINEConv reads 2,257 edges; it costs 1.0 to 1.2 times
  as much.
* **Structure.** Listing ancestors is a third of it, level by level. Storing the lists with each molecule instead
  would save about 1.5 ms of 9 in each mode, and cost 0.6 ms of collation and 4 kB a molecule; it was measured, and
  left out.

This page is written by `python -m results.performance`, whose first lines say how.
"""


def main(folders: list[Path]) -> None:
    kept = NUMBERS / "performance"
    kept.mkdir(exist_ok=True)
    for folder in folders:
        text = (folder / "results.json").read_text(encoding="utf-8")
        replace_text(kept / f"{json.loads(text)['suite']}.json", text)
    paths = [kept / f"{suite}.json" for suite in _SUITES]
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    measured = [results["figures"] for results in runs if "figures" in results]
    parts = [INTRODUCTION.format(figures=figures_table(measured[0] if measured else None))]
    for results in runs:
        # Drawn here rather than taken from the folder: a run that was interrupted has numbers, but no plots.
        folder = DOCS / "performance" / results["suite"]
        folder.mkdir(parents=True, exist_ok=True)
        plots = [str((folder / name).relative_to(DOCS)) for name in save_plots(results, folder)]
        results.pop("figures", None)  # they stand at the top
        parts.append(to_markdown(results, plots, level=2))
    replace_text(DOCS / "performance.md", "\n".join(parts))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
