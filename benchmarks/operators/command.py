"""Measures a suite; see ``python -m benchmarks.operators --help``."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from benchmarks.operators.compile import count_graph_breaks
from benchmarks.operators.explain import explain as explain_choice
from benchmarks.operators.plots import save_plots
from benchmarks.operators.report import to_markdown
from benchmarks.operators.results import Results
from benchmarks.operators.runner import run_suite
from benchmarks.operators.suites import SUITES
from benchmarks.operators.verify import WrongFormError
from plstm_graph.console import Console, FieldColumn
from plstm_graph.datasets.storage.files import replace_text

_MOST_THREADS = 1024  # more would take the process down
_DESCRIPTION = """Times operators on workloads in turns, after a check that every form of the operator is right. Writes
JSON, Markdown tables and plots. Real data sets are found through the environment variable PLSTM_DATA."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Of the command. (default: those of the process)

    Returns:
        Exit status: that of :func:`bench`; 2 for bad input, 130 after Ctrl-C.
    """
    # Large tensors on huge pages (Linux, read by torch at its first allocation), as `plstm-graph` has them.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operators", description=_DESCRIPTION)
    parser.add_argument("--suite", default="molecules", choices=tuple(SUITES), help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=30, help="repetitions of each pass (default: %(default)s)")
    parser.add_argument(
        "--budget",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="for all repetitions of one pass of one operator on one workload (default: %(default)g)",
    )
    parser.add_argument("--output", metavar="DIR", help="folder to write (default: runs/bench/SUITE)")
    parser.add_argument(
        "--explain", action="store_true", help="only print which form `auto` chooses, and by what sizes"
    )
    options = parser.parse_args(arguments)
    try:
        return bench(**vars(options))
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; what was measured is in the folder", file=sys.stderr)
        return 130


def bench(suite: str, threads: int, repeat: int, budget: float, output: str | None, explain: bool) -> int:
    """Measure a suite, show its tables, and write them.

    Args:
        suite: Name of the suite.
        threads: Threads of torch.
        repeat: Repetitions of each pass.
        budget: Seconds for all repetitions of one pass.
        output: Folder for ``results.json``, ``results.md`` and the plots. (default: ``runs/bench/SUITE``)
        explain: Measure nothing; print which form ``auto`` chooses.

    Returns:
        Exit status: 0, or 1 if a form of the operator is wrong; then nothing is measured or written.

    Raises:
        ValueError: If a number makes no sense.
        OSError: If the folder cannot be written.
    """
    if threads < 1 or repeat < 1 or not budget > 0:
        raise ValueError(f"--threads, --repeat and --budget must be positive, got {threads}, {repeat} and {budget:g}")
    if threads > _MOST_THREADS:
        raise ValueError(f"--threads must be at most {_MOST_THREADS}, got {threads}")
    console = Console()
    groups = SUITES[suite]
    if explain:
        explain_choice(groups, console if console.is_terminal else Console(width=100))
        return 0
    folder = Path(output or f"runs/bench/{suite}")
    command = [
        "python",
        "-m",
        "benchmarks.operators",
        "--suite",
        suite,
        "--threads",
        str(threads),
        "--repeat",
        str(repeat),
    ]
    about = {"suite": suite, "command": shlex.join([*command, "--budget", f"{budget:g}"])}
    folder.mkdir(parents=True, exist_ok=True)  # fails now rather than after the measurements

    errors = Console(stderr=True)
    columns = ("groups", MofNCompleteColumn(), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, FieldColumn(), console=errors, transient=True) as progress:
        task = progress.add_task("", total=len(groups))

        def on_group(results: Results) -> None:
            _write_json(folder, about | results)  # a run that is interrupted keeps what it has
            progress.advance(task)

        try:
            results = run_suite(
                groups,
                threads=threads,
                repeat=repeat,
                budget=budget,
                on_step=lambda what: progress.update(task, description=what),
                on_group=on_group,
            )
        except WrongFormError as error:
            errors.say("Nothing was measured: a form of the operator is wrong.", style="bold red")
            errors.say(str(error), style="red")
            return 1
        if suite in ("molecules", "all"):
            progress.update(task, description="graph breaks")
            results["graph_breaks"] = count_graph_breaks()
    results = about | results
    _write_json(folder, results)
    plots = save_plots(results, folder)
    text = to_markdown(results, plots)
    replace_text(folder / "results.md", text)
    console.say(text)
    console.say(f"written: {', '.join(f'{folder / name}' for name in ('results.json', 'results.md', *plots))}")
    return 0


def _write_json(folder: Path, results: Results) -> None:
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    replace_text(folder / "results.json", text)
