"""A study on a cluster: a scheduler and workers that are processes of this machine, one of which is killed."""

import os
import signal
import threading
import time

import pytest

from plstm_graph.cli import main
from plstm_graph.train.runner import on_cluster
from tests.processes import Command, environment
from tests.train.test_study_processes import numbers, write

_LONGEST = 240.0  # seconds, on a machine that may be busy


@pytest.fixture
def cluster(tmp_path):
    """File of a scheduler, and its two workers, each a process group of its own."""
    file = tmp_path / "scheduler.json"
    variables = environment() | {"DASK_DISTRIBUTED__DASHBOARD__LINK": ""}
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    given = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0"],
        "worker": ["--nthreads=1", "--no-nanny"],
    }
    processes = []
    for number, kind in enumerate(("scheduler", "worker", "worker")):
        (folder := tmp_path / f"{kind}-{number}").mkdir()
        arguments = [*common, *given[kind]]
        processes.append(Command(arguments, folder, variables, f"distributed.cli.dask_{kind}"))
    yield file, processes[1:]
    for process in processes:
        process.kill()


@pytest.mark.slow
def test_a_killed_worker_costs_no_trial(cluster, tmp_path, capsys):
    """Six trials; one of two workers is killed with -9 in the middle; all numbers are those of one process."""
    file, workers = cluster
    more = ["--training.epochs=4", "--seeds=0-2", "--only=plstm", "--choose={}"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    models = {
        name: {
            "class_path": "plstm_graph.nn.PLSTM",
            "init_args": {"hidden_channels": 8, "num_layers": 1, "heads": 2, "modes": mode, "direction": "forward"},
        }
        for name, mode in {"p": "P", "d": "D"}.items()
    }
    more = ["--training.epochs=4", "--seeds=0-2", "--choose={}"]
    one = write(tmp_path / "one", models=models)
    assert main(["fit", "--config", one, "--output", str(tmp_path / "one/run"), *more]) == 0
    folder, killed = tmp_path / "two" / "run", []

    def kill_one():
        ended = time.monotonic() + _LONGEST
        while not killed and time.monotonic() < ended:
            if len(list(folder.rglob("epochs.jsonl"))) >= 2:
                os.kill(workers[0].pid, signal.SIGKILL)
                killed.append(workers[0].pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    try:
        where = ["--output", str(folder), "--cluster", f"dask://{file}"]
        assert main(["fit", "--config", write(tmp_path / "two", models=models), *where, *more]) == 0
    finally:
        killed.append(None)
        thread.join()
    assert killed[0] is not None and workers[0].wait(60) == -signal.SIGKILL
    assert len(list(folder.rglob("result.json"))) == 6
    assert numbers(folder) == numbers(tmp_path / "one/run")


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("tcp://127.0.0.1:1", ValueError, "--cluster must be dask://HOST:PORT"),
        ("dask://", ValueError, "--cluster must be dask://HOST:PORT"),
        ("dask://127.0.0.1:1", OSError, "no scheduler of Dask answers at 127.0.0.1:1"),
    ],
)
def test_no_cluster(address, kind, message, monkeypatch):
    monkeypatch.setattr("plstm_graph.train.runner._PATIENCE", 0.2)
    with pytest.raises(kind, match=message), on_cluster(address):
        pass
