"""Which tasks a process keeps in memory, and which errors say that a process was killed."""

import gc
import weakref

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from plstm_graph.train import runner


class Big:
    pass


@pytest.fixture
def living(monkeypatch):
    """Tasks that were read and are still there, by their names."""
    found = {}

    def load(section):
        gc.collect()
        task = Big()
        found[section["name"]] = weakref.ref(task)
        return task

    monkeypatch.setattr(runner, "load_section", load)
    runner.forget_tasks()
    yield lambda: [name for name, task in found.items() if task() is not None]
    runner.forget_tasks()


@pytest.mark.parametrize("names", ["ab", "aba", "abcd", "aabbc"])
def test_a_process_that_works_for_another_one_keeps_one_task(living, names):
    for name in names:
        runner.loaded_task({"name": name}, alone=True)
        gc.collect()
        assert living() == [name]


@pytest.mark.parametrize(("names", "kept"), [("abc", "abc"), ("abcde", "bcde"), ("abcdae", "acde"), ("aaaa", "a")])
def test_a_command_keeps_the_last_few(living, names, kept):
    for name in names:
        assert runner.loaded_task({"name": name}) is runner.loaded_task({"name": name})
    gc.collect()
    assert sorted(living()) == list(kept)
    runner.forget_tasks()
    gc.collect()
    assert living() == []


def test_a_killed_worker_is_told_by_its_error():
    """Not by a name that another error may have too."""
    namesake = type("TerminatedWorkerError", (ValueError,), {})
    assert issubclass(TerminatedWorkerError, runner._killed_workers())
    assert not issubclass(namesake, runner._killed_workers())
    distributed = pytest.importorskip("distributed")
    assert issubclass(distributed.KilledWorker, runner._killed_workers())


@pytest.mark.parametrize(("cores", "workers", "threads"), [(2, 1, 2), (2, 2, 1), (16, 4, 4), (2, 8, 1), (1, 3, 1)])
def test_workers_share_the_cores(monkeypatch, cores, workers, threads):
    monkeypatch.setattr(runner, "usable_cores", lambda: cores)
    assert runner.default_threads(workers) == threads
