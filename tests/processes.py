"""The command in a process of its own, without the seconds in which Python, torch and Lightning are imported.

Processes are forked from a server that has imported them and done nothing else, so each has its own number, signals,
working folder, environment, streams and end. What a start by the shell adds is tested by tests that start it so.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MODULE = "plstm_graph.cli"
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["plstm_graph.train.command"])


def fork(target: Callable[..., object], *args: object) -> BaseProcess:
    """Start a process that calls a function of a module; it has imported what a training needs."""
    here = os.getcwd()
    os.chdir(ROOT)  # A test may work in a folder of modules that must not be imported.
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(here)
    process = _FORKS.Process(target=target, args=args)
    process.start()
    return process


def environment(*without: str) -> dict[str, str]:
    """Variables of a command: those of this process, but some, with the package found and one thread."""
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return {name: value for name, value in given.items() if name not in ("PLSTM_GRAPH_TRACEBACK", *without)}


class Command:
    """A command that runs, as the leader of a group of processes.

    Args:
        arguments: Of ``plstm-graph``, or of another module.
        folder: Where it works. What it writes is taken by files beside it.
        variables: Its environment. (default: :func:`environment`)
        module: What ``python -m`` is given.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        variables: Mapping[str, str] | None = None,
        module: str = _MODULE,
    ) -> None:
        self._streams = [folder.with_name(f"{folder.name}.{stream}") for stream in ("out", "err")]
        variables = environment() if variables is None else dict(variables)
        streams = [str(path) for path in self._streams]
        self._process = fork(_become, module, list(arguments), str(folder), variables, streams)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its status, or minus the number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        """Its status, when it has ended.

        Raises:
            subprocess.TimeoutExpired: If it takes longer; its group is killed then.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            raise subprocess.TimeoutExpired(self._process.name, seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """Kill its group."""
        if group_lives(self.pid):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.join()

    @property
    def out(self) -> str:
        """What it has written to stdout."""
        return self._streams[0].read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return self._streams[1].read_text()


def group_lives(group: int) -> bool:
    """Whether any process of a group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _become(module: str, arguments: list[str], folder: str, variables: dict[str, str], streams: list[str]) -> None:
    """Be the process that ``python -m`` would make of a module, but that others are imported already."""
    os.setsid()
    for descriptor, path in enumerate(streams, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    # A suite that a shell runs in the background ignores Ctrl-C, and so would whatever it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, folder)
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it becomes the module __main__
    runpy.run_module(module, run_name="__main__", alter_sys=True)
