"""Running a study: its missing trials, in this process or in several, then their tests and the report."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from plstm_graph.config.names import allowed_names, set_allowed_names
from plstm_graph.console import Console
from plstm_graph.datasets.files import replace_file
from plstm_graph.report.study import summarise, write_report
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import task_of
from plstm_graph.tasks.task import Task
from plstm_graph.train.progress import StudyProgress
from plstm_graph.train.study import Study
from plstm_graph.train.trainer_options import is_first
from plstm_graph.train.trial import Trial, run_trial, test_trial

#: How often trials are given to new processes where one was killed.
_ATTEMPTS = 3
_SECONDS = 1.0  # between two looks at whether the process that started this one lives


def run_study(
    study: Study,
    trainer: Mapping[str, Any],
    device: torch.device,
    workers: int,
    tests: bool,
    about: Mapping[str, Any],
    console: Console,
) -> dict[str, Any]:
    """Train what is not finished, test what validation chose, report.

    Args:
        study: What to train.
        trainer: Options of :class:`lightning.pytorch.Trainer` for each trial.
        device: Where tests run.
        workers: Trials that run at the same time, each in a process of its own if there are several.
        tests: Whether trials are tested.
        about: What the report says of command and machine.
        console: For the progress.

    Returns:
        The report, which has been written into the folder after each round of trials.
    """
    report: dict[str, Any] = {}
    task = cached_task(json.dumps(study.plain["task"]))
    with StudyProgress(console, study.plain["training"]["epochs"]) as progress:
        # The first repeat tries all choices; of the best one, the others follow.
        for trials in (partial(_first_round, study), partial(_second_round, study, task)):
            for trial in _finished(trials(), trainer, workers, progress):
                if not is_first():  # which trains with the first process, and leaves the rest to it
                    continue
                if tests:
                    _test_chosen(study, task, trial, device, trainer.get("precision"), console)
                report = {**_report(study, task), **about, "config": study.plain}
                write_report(study.folder, report)
    return report


def _first_round(study: Study) -> list[Trial]:
    return [trial for model in study.models for trial in study.first_trials(model)]


def _second_round(study: Study, task: Task) -> list[Trial]:
    chosen = [(model, study.best_choice(model, task.monitor)) for model in study.models]
    return [study.trial(model, choice or {}, repeat) for repeat in study.repeats[1:] for model, choice in chosen]


def _finished(
    trials: list[Trial], trainer: Mapping[str, Any], workers: int, progress: StudyProgress
) -> Iterator[Trial]:
    """Run trials, in processes of their own if several may run at the same time, and give each that is finished."""
    if workers == 1 or len(trials) <= 1:
        for trial in trials:
            run_trial(trial, _task_of(trial), trainer, partial(progress.update, trial))
            yield trial
        return
    yielded: set[Path] = set()
    for attempt in range(_ATTEMPTS):
        missing = [trial for trial in trials if trial.result is None]
        calls = (delayed(_work)(trial, dict(trainer), torch.get_num_threads(), allowed_names()) for trial in missing)
        pool = Parallel(n_jobs=min(workers, max(len(missing), 1)), batch_size=1, return_as="generator_unordered")
        try:
            with progress.watching(missing):
                for _ in pool(calls):
                    yield from _new(trials, yielded)
            yield from _new(trials, yielded)
            return
        except TerminatedWorkerError as error:
            if attempt == _ATTEMPTS - 1:
                raise ValueError(
                    "a process that trained was killed again and again, perhaps for want of memory; the same command "
                    "goes on from the last whole epoch of each trial, with --workers 1 if memory is short"
                ) from error


def _new(trials: list[Trial], yielded: set[Path]) -> Iterator[Trial]:
    """Trials that are finished by now and were not before."""
    for trial in trials:
        if trial.folder not in yielded and trial.result is not None:
            yielded.add(trial.folder)
            yield trial


def _work(trial: Trial, trainer: dict[str, Any], threads: int, allowed: Iterable[str]) -> None:
    """Run a trial in this process, which was made for it, and ends with the one that made it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends here too; whoever is asked ends all
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    set_allowed_names(allowed)
    run_trial(trial, _task_of(trial), trainer, lambda row: None)


def _end_with(parent: int) -> None:
    """End this process once another one has taken the place of its parent: nobody would take its result."""
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)


def _task_of(trial: Trial) -> Task:
    return cached_task(json.dumps(dict(trial.task)))


@lru_cache(maxsize=4)
def cached_task(options: str) -> GraphTask:
    """The task of a configuration, read once in each process.

    Args:
        options: Its section as JSON.
    """
    return task_of(json.loads(options))


def _test_chosen(
    study: Study, task: Task, trial: Trial, device: torch.device, precision: Any, console: Console
) -> None:
    """Test a trial if it is of the choice that validation made; of the first one, once all choices were tried.

    The pictures of the first model's first trial come into the folder of the study.
    """
    choice = study.best_choice(trial.model, task.monitor)
    if choice is None:
        return
    first = trial.folder in {each.folder for each in study.first_trials(trial.model)}
    best = study.trial(trial.model, choice, study.repeats[0]) if first else trial
    test_trial(best, _task_of(best), device, precision)
    if first and trial.model == next(iter(study.plain["models"])):
        for picture in sorted(best.folder.glob("*.png")):
            replace_file(study.folder / picture.name, partial(shutil.copyfile, picture))
            console.say(f"a picture of the tests: {study.folder / picture.name}")


def _report(study: Study, task: Task) -> dict[str, Any]:
    results = {}
    for model in study.plain["models"]:
        found = [path.parent for path in sorted(study.folder.glob(f"{model}/**/seed_*/result.json"))]
        results[model] = [_read(folder) for folder in found]
    summary = summarise(study.plain["task"]["name"], results, task.monitor)
    return summary | {"samples": {part: len(samples) for part, samples in task.parts.items()}}


def _read(folder: Path) -> dict[str, Any]:
    tests = folder / "tests.json"
    row = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return row | {"tests": json.loads(tests.read_text(encoding="utf-8")) if tests.is_file() else None}
