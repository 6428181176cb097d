"""Peak memory of one pass of one case, measured in a fresh process.

python -m benchmarks.operators.memory '{"workload": "chain-1000", "operator": "plstm auto", ...}'
"""

import gc
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.operators.registry import NotMeasured, Width

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_ROOT = Path(__file__).parents[2]  # of the repository, from where the process is started


def peak_memory(workload: str, operator: str, pass_name: str, width: Width, threads: int, timeout: float) -> int:
    """Bytes that a pass needs at its peak, beyond graph, structure and operands.

    Args:
        workload: Name of the workload.
        operator: Name of the operator.
        pass_name: Which pass.
        width: Widths.
        threads: Threads of torch.
        timeout: Seconds after which to give up.

    Raises:
        NotMeasured: If it takes too long, or the process was killed, as systems do that run out of memory.
        RuntimeError: If the process fails otherwise, with the end of its messages.
    """
    task = {"workload": workload, "operator": operator, "pass": pass_name, "width": list(width), "threads": threads}
    # Freed blocks go back to the system at once; otherwise the baseline would hide part of what the pass needs.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.operators.memory", json.dumps(task)]
    try:
        done = subprocess.run(
            command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"memory: not done after {timeout:g} s") from None
    if done.returncode < 0:
        raise NotMeasured(f"memory: the process was ended by signal {-done.returncode}")
    if done.returncode > 0:
        raise RuntimeError(f"measuring memory of {operator} on {workload} failed:\n{done.stderr[-2000:]}")
    return int(done.stdout)


def available_memory() -> int:
    """Bytes that can be allocated without pushing anything out."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass  # not Linux
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _measure(run: Callable[[], object]) -> int:
    """Peak resident memory of a call over what is resident before it, in bytes; an earlier call warms up."""
    run()
    gc.collect()
    if _CLEAR.exists():
        _CLEAR.write_text("5", encoding="ascii")  # resets the high-water mark to what is resident now
        before = _status("VmRSS")
        run()
        return max(0, _status("VmHWM") - before)
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def _status(name: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS} has no {name}")


def _main(task: dict) -> None:
    import torch

    from benchmarks.operators import cases, workloads  # noqa: F401, they fill the registries
    from benchmarks.operators.registry import make_case, make_workload

    torch.set_num_threads(task["threads"])
    case = make_case(task["operator"], make_workload(task["workload"]), Width(*task["width"]))
    print(_measure(case[task["pass"]]))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
