"""Running the trials of a study: in this process, in several of this machine, or on a cluster."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from plstm_graph.config.names import allowed_names, set_allowed_names
from plstm_graph.cores import usable_cores
from plstm_graph.nn import count_parameters
from plstm_graph.tasks.registry import task_of as load_section
from plstm_graph.tasks.task import Row, Task
from plstm_graph.train.freezing import frozen_names
from plstm_graph.train.progress import StudyProgress
from plstm_graph.train.trial import Trial, make_model, run_trial

_SCHEME = "dask://"
_PATIENCE = 20  # seconds for a scheduler to answer


@contextlib.contextmanager
def on_cluster(address: str | None) -> Iterator[None]:
    """Within this context, joblib gives its calls to the workers of a Dask cluster.

    Args:
        address: ``"dask://HOST:PORT"`` of a scheduler, or ``"dask://FILE"`` that it wrote (``dask scheduler
            --scheduler-file FILE``). None for no cluster: calls run on this machine.

    Raises:
        ValueError: If the address is none, or Dask is not installed.
        OSError: If no scheduler answers there.
    """
    if address is None:
        yield
        return
    where = address.removeprefix(_SCHEME)
    if where == address or not where:
        raise ValueError(f"--cluster must be {_SCHEME}HOST:PORT, or {_SCHEME}FILE of a scheduler, got {address!r}")
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("--cluster needs Dask: pip install 'plstm_graph[cluster]'") from error
    is_file = Path(where).is_file()
    try:
        client = Client(scheduler_file=where, timeout=_PATIENCE) if is_file else Client(where, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise OSError(f"no scheduler of Dask answers at {where}: {error}") from error
    with client, parallel_config("dask"):
        yield


#: How often trials are given to new processes where one was killed.
_ATTEMPTS = 3
_SECONDS = 1.0  # between two looks at whether the process that started this one lives
#: Tasks that this process has read, by their sections as JSON.
_TASKS: dict[str, Task] = {}
_MOST_TASKS = 4
#: What ends a trial, but no other one.
_FAILURES = (ValueError, OSError, FloatingPointError)


@dataclass(frozen=True)
class Resources:
    """Where the trials of a study run, and how.

    Attributes:
        trainer (dict): Options of :class:`lightning.pytorch.Trainer` for each trial.
        device (torch.device): Where tests run.
        threads (int): CPU threads of each process.
        workers (int): Trials that run at the same time, each in a process of its own if there are several.
        cluster (str, optional): Where they run in place of this machine, see :func:`on_cluster`.
    """

    trainer: dict[str, Any]
    device: torch.device
    threads: int
    workers: int
    cluster: str | None


def default_threads(workers: int) -> int:
    """CPU threads of each of so many processes of this machine: two, or their share of the cores."""
    return 2 if workers == 1 else max(1, usable_cores() // workers)


class Runner:
    """Runs trials, in processes of their own if several may run at the same time; one that fails stops no other.

    Args:
        resources: Where, and how.
        revision: Of the code, for the record.
    """

    def __init__(self, resources: Resources, revision: str | None) -> None:
        self._trainer, self._revision = resources.trainer, revision
        self._workers, self._cluster = resources.workers, resources.cluster
        self._count = 0
        self._failed: dict[str, Exception] = {}

    def finished(self, trials: list[Trial], progress: StudyProgress) -> Iterator[Trial]:
        """Run trials and give each that is finished."""
        self._count += len(trials)
        if self._cluster is None and (self._workers == 1 or len(trials) <= 1):
            for trial in trials:
                error = _attempt(trial, self._trainer, self._revision, partial(progress.update, trial))
                if error is None:
                    yield trial
                else:
                    self._failed[trial.title] = error
            return
        # Read by processes when they import torch: a thread that waits sleeps, and leaves its core to those that work.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        yielded: set[Path] = set()
        for attempt in range(_ATTEMPTS):
            missing = [trial for trial in trials if trial.result is None and trial.title not in self._failed]
            work = _work if self._cluster is None else partial(_work_elsewhere, os.getcwd())
            given = self._trainer, self._revision, torch.get_num_threads(), allowed_names()
            calls = (delayed(work)(trial, *given) for trial in missing)
            try:
                with progress.watching(missing), on_cluster(self._cluster):
                    # Of a cluster, all workers there are.
                    jobs = min(self._workers, max(len(missing), 1)) if self._cluster is None else -1
                    for title, error in Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(calls):
                        if error is not None:
                            self._failed[title] = error
                        yield from _new(trials, yielded)
                yield from _new(trials, yielded)
                return
            except _killed_workers() as killed:
                if attempt == _ATTEMPTS - 1:
                    raise ValueError(
                        "a process that trained was killed again and again, perhaps for want of memory; the same "
                        "command goes on from the last whole epoch of each trial, with --workers 1 if memory is short"
                    ) from killed

    def raise_failures(self, folder: Path) -> None:
        """Raise an error that names each trial that failed, if there is any."""
        if not self._failed:
            return
        reasons = "; ".join(f"{title}: {error}" for title, error in self._failed.items())
        raise ValueError(
            f"{len(self._failed)} of {self._count} trainings failed ({reasons}). The others are kept in {folder}, and "
            "the same command goes on with those that failed"
        ) from next(iter(self._failed.values()))


def _killed_workers() -> tuple[type[Exception], ...]:
    """Errors that say that a process that worked was killed, again and again."""
    distributed = sys.modules.get("distributed")  # there where a cluster is used
    return (TerminatedWorkerError, *([] if distributed is None else [distributed.KilledWorker]))


def _new(trials: list[Trial], yielded: set[Path]) -> Iterator[Trial]:
    """Trials that are finished by now and were not before."""
    for trial in trials:
        if trial.folder not in yielded and trial.result is not None:
            yielded.add(trial.folder)
            yield trial


def _attempt(
    trial: Trial,
    trainer: Mapping[str, Any],
    revision: str | None,
    report: Callable[[Row], None] | None = None,
) -> Exception | None:
    """Run a trial; what it failed with, if it did. Without a report, this process works for another one."""
    try:
        task = task_of(trial, alone=report is None)
        run_trial(trial, task, trainer, report or (lambda row: None), revision)
    except _FAILURES as error:
        if isinstance(error, OSError) and error.filename and error.strerror:
            return OSError(f"{error.filename}: {error.strerror}")  # without the number of the error
        return error
    return None


def _work(
    trial: Trial, trainer: dict[str, Any], revision: str | None, threads: int, allowed: Iterable[str]
) -> tuple[str, Exception | None]:
    """Run a trial in this process, which was made for it, and ends with the one that made it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends here too; whoever is asked ends all
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    return _work_elsewhere(None, trial, trainer, revision, threads, allowed)


def _work_elsewhere(
    folder: str | None,
    trial: Trial,
    trainer: dict[str, Any],
    revision: str | None,
    threads: int,
    allowed: Iterable[str],
) -> tuple[str, Exception | None]:
    """Run a trial in a process that others made, in the folder in which the command was given."""
    if folder is not None:
        os.chdir(folder)
    torch.set_num_threads(threads)
    set_allowed_names(allowed)
    error = _attempt(trial, trainer, revision)
    # Not every exception can be sent to another process.
    return trial.title, None if error is None else ValueError(str(error))


def _end_with(parent: int) -> None:
    """End this process once another one has taken the place of its parent: nobody would take its result."""
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)


def check_model(trial: Trial, like: Trial) -> int:
    """Make the task and the model of a trial, and try the model on a few samples.

    Args:
        trial: The trial.
        like: One of another choice, with which it is to be compared.

    Returns:
        Number of its parameters.

    Raises:
        ValueError: If one of them cannot be made, or they do not fit each other.
    """
    task = task_of(trial)
    if trial.task != like.task:
        options = ", ".join(f"{name} {value}" for name, value in trial.choice.items() if name.startswith("task."))
        task_of(like).check_comparable(task, options)
    made = make_model(trial.spec, task, trial.training)
    try:
        task.check(made)
    except (TypeError, RuntimeError, LookupError, AttributeError) as error:  # of somebody's model
        kind = type(error).__name__
        raise ValueError(f"{trial.model} cannot be run on samples of {task.name}: {kind}: {error}") from error
    trial.start(made, trial.recipe(made, task))
    return count_parameters(made)


def start_text(trial: Trial) -> str:
    """What a trial begins with, that does so with a checkpoint, and what of it does not learn; in a line."""
    task = task_of(trial)
    model = make_model(trial.spec, task, trial.training)
    taken = trial.start(model, trial.recipe(model, task))
    assert taken is not None
    frozen = frozen_names(model, taken.names, trial.training)
    numbers = sum(parameter.numel() for name, parameter in model.named_parameters() if name in frozen)
    epochs = trial.training.freeze_epochs
    until = "" if epochs is None else f" for {epochs} epoch{'' if epochs == 1 else 's'}"
    return taken.text + (f"; {numbers:,} of {count_parameters(model):,} numbers are frozen{until}" if numbers else "")


def task_of(trial: Trial, alone: bool = False) -> Task:
    """The task of a trial, as of :func:`loaded_task`."""
    return loaded_task(trial.task, alone)


def loaded_task(section: Mapping[str, Any], alone: bool = False) -> Task:
    """The task of a section of a configuration, read once in each process.

    Args:
        section: Plain values.
        alone: Let go of all other tasks first, as a process does that works for another one: it does not return to
            them, and memory may hold one of them only.
    """
    key = json.dumps(dict(section))
    if key not in _TASKS:
        while len(_TASKS) >= (1 if alone else _MOST_TASKS):
            del _TASKS[next(iter(_TASKS))]
        _TASKS[key] = load_section(json.loads(key))
    _TASKS[key] = _TASKS.pop(key)  # the first to go is the one that was not asked for the longest
    return _TASKS[key]


def forget_tasks() -> None:
    """Have tasks read anew: files may have changed since another command of this process."""
    _TASKS.clear()
