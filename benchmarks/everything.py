"""Measures, on this machine, all that the pages of speed show.

    python -m benchmarks.everything                          # about twelve minutes on a quiet machine
    python -m benchmarks.everything --instructions avx2      # the same, as a processor without AVX-512 would
    python -m benchmarks.everything --long                   # an hour more: every form on every workload
    python -m results.performance                            # makes the pages

Each step is a process of its own and writes one file, results/performance/MACHINE/STEP-THREADS.json, with the digest of
the sources that it measured. A step whose file is of today's sources is not repeated, so a run that was stopped goes on
where it was; ``--again`` repeats those during which other processes worked. What the machine's folder holds of other
sources is removed first: numbers of two revisions would stand in one column.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.operators.suites import LONG
from benchmarks.pages import ROOT
from benchmarks.processor import HELD_TO, held_to, machine_key
from benchmarks.sources import digest_sources
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.machine import describe_machine, instruction_set

KEPT = ROOT / "results" / "performance"
_WORK = ROOT / "runs" / "performance"
#: Cores that other processes may take without a word.
_BUSY = 0.1


@dataclass(frozen=True)
class Step:
    """What is measured by one process.

    Attributes:
        name: Of its file.
        command: Module and options, from the number of threads and the folder to write to.
        written: File in that folder that holds the numbers.
        threads: Numbers of threads to run it with.
    """

    name: str
    command: Callable[[int, Path], list[str]]
    written: str
    threads: tuple[int, ...] = (1, 2)


def _suite(name: str, repeat: int, budget: float, threads: tuple[int, ...] = (1, 2)) -> Step:
    def command(number: int, folder: Path) -> list[str]:
        options = ["--suite", name, "--threads", f"{number}", "--repeat", f"{repeat}", "--budget", f"{budget:g}"]
        return ["benchmarks.operators", *options, "--output", str(folder)]

    return Step(name, command, "results.json", threads)


def _script(name: str, written: str, *options: str) -> Step:
    def command(number: int, folder: Path) -> list[str]:
        place = folder if name == "grids" else folder / written
        return [f"benchmarks.{name}", "--threads", f"{number}", *options, "--output", str(place)]

    return Step(name, command, written)


_TIMES = ("--repeat", "9", "--budget", "2")
QUICK_STEPS = (
    _suite("figures", 15, 8.0),
    _suite("threads", 30, 3.0, threads=(2,)),
    _suite("sweep", 30, 0.3),
    _script("native", "native.json", "--here", "--seconds", "0.5"),
    _script("grids", "results/grids/speed.json", *_TIMES),
    _script("throughput", "throughput.json", "--graphs", "256", *_TIMES),
)
LONG_STEPS = tuple(_suite(name, 5, 2.0) for name in LONG)


def file_of(key: str, step: Step, threads: int, kept: Path = KEPT) -> Path:
    """Where the numbers of a step are kept.

    Args:
        key: Name of the machine.
        step: The step.
        threads: Threads that it had.
        kept: Folder of all machines.
    """
    return kept / key / f"{step.name}-{threads}.json"


def measure(
    steps: Sequence[Step], key: str, instructions: str | None, kept: Path = KEPT, again: bool = False
) -> list[str]:
    """Run the steps that are missing.

    Args:
        steps: What to run.
        key: Name of the machine.
        instructions: Instruction set that the processor is held to, a key of ``HELD_TO``; None for no limit.
        kept: Folder of all machines.
        again: Whether to repeat those during which other processes worked.

    Returns:
        Names of the steps that failed.
    """
    sources = digest_sources()
    for path in (kept / key).glob("*.json"):
        if _read(path).get("sources") != sources:
            path.unlink()
    environment = held_to(instructions, (_WORK / key / "cache").absolute())
    environment.pop("OMP_NUM_THREADS", None)  # each process sets its threads itself
    environment.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    failed = []
    for step in steps:
        for threads in step.threads:
            name, output = f"{step.name}-{threads}", file_of(key, step, threads, kept)
            if output.is_file() and not (again and _read(output)["others"] > _BUSY):
                print(f"{name}: measured before", flush=True)
                continue
            folder = _WORK / key / name
            folder.mkdir(parents=True, exist_ok=True)
            begin, busy, own = time.perf_counter(), _busy(), _own()
            command = [sys.executable, "-m", *step.command(threads, folder.absolute())]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
            seconds = time.perf_counter() - begin
            others = max(0.0, _busy() - busy - (_own() - own)) / seconds
            told = f", others took {others:.1f} cores meanwhile: repeat it by --again" if others > _BUSY else ""
            told += f", status {done.returncode}" if done.returncode else ""
            print(f"{name}: {seconds:.0f} s{told}", flush=True)
            if done.returncode or digest_sources() != sources:
                failed.append(name)
                continue
            about = {"step": step.name, "key": key, "instructions": instructions or instruction_set()}
            about |= {"threads": threads, "sources": sources, "seconds": round(seconds), "others": round(others, 2)}
            found = about | {"machine": describe_machine()} | _read(folder / step.written) | about
            output.parent.mkdir(parents=True, exist_ok=True)
            replace_text(output, json.dumps(found, indent=1, allow_nan=False) + "\n")
    return failed


def _busy() -> float:
    """Seconds for which processors have worked, for whatever process, or were lent to another machine; 0 if unknown."""
    path = Path("/proc/stat")
    if not path.is_file():
        return 0.0
    user, nice, system, _, _, *rest = map(int, path.read_text(encoding="ascii").splitlines()[0].split()[1:])
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """The same for this process and those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", choices=HELD_TO, help="hold the processor to these (default: all it has)")
    parser.add_argument("--steps", nargs="+", choices=[s.name for s in (*QUICK_STEPS, *LONG_STEPS)], help="only these")
    parser.add_argument("--long", action="store_true", help="measure every form on every workload as well")
    parser.add_argument("--again", action="store_true", help="repeat steps during which other processes worked")
    parser.add_argument("--key", help="name of the machine (default: its processor's)")
    options = parser.parse_args(arguments)
    steps = [*QUICK_STEPS, *(LONG_STEPS if options.long or options.steps else ())]
    steps = [step for step in steps if not options.steps or step.name in options.steps]
    key = options.key or machine_key(options.instructions)
    failed = measure(steps, key, options.instructions, again=options.again)
    print(f"failed: {', '.join(failed)}" if failed else "measured; the pages are made by python -m results.performance")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
