"""Running a study: its missing trials, in this process or in several, then their tests and the report."""

import math
import shutil
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_file, replace_json
from plstm_graph.report.labelled import baseline_rows, plain_json
from plstm_graph.report.study import summarise, write_report
from plstm_graph.tasks.task import Row, Task, rank
from plstm_graph.train.progress import StudyProgress
from plstm_graph.train.runner import Resources, Runner, loaded_task, task_of
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.trainer_options import is_first
from plstm_graph.train.trial import Trial, read_json, test_trial


def run_study(
    study: Study, resources: Resources, tests: bool, about: Mapping[str, Any], console: Console
) -> dict[str, Any]:
    """Train what is not finished, test what validation chose, report.

    Args:
        study: What to train.
        resources: Where, and how.
        tests: Whether trials are tested.
        about: What the report says of command and machine.
        console: For the progress.

    Returns:
        The report, which has been written into the folder after each trial, beside ``best.ckpt``, the best one of all
        by validation.

    Raises:
        ValueError: If trials failed, after the others have ended; it names each with its error.
    """
    report: dict[str, Any] = {}
    task = loaded_task(study.plain["task"])
    runner = Runner(resources, about["machine"]["revision"])
    silent = resources.trainer.get("enable_progress_bar") is False
    with StudyProgress(console, study.plain["training"]["epochs"], silent) as progress:
        # The first repeat tries all choices; of the best one, the others follow.
        for trials in (partial(_first_round, study), partial(_second_round, study, task)):
            for trial in runner.finished(trials(), progress):
                if not is_first():  # which trains with the first process, and leaves the rest to it
                    continue
                if tests:
                    _test_chosen(study, task, trial, resources, console)
                report = {**_report(study, task), **about, "config": study.plain}
                write_report(study.folder, report)
    if report:
        best = _best_trial(study, report, task)
        replace_file(study.folder / "best.ckpt", partial(shutil.copyfile, best.folder / "best.ckpt"))
        if len(report["models"]) * len(study.repeats) > 1:
            console.say(f"{study.folder / 'best.ckpt'} is the best in validation: {best.title}")
    runner.raise_failures(study.folder)
    return report


def _first_round(study: Study) -> list[Trial]:
    return [trial for model in study.models for trial in study.first_trials(model)]


def _second_round(study: Study, task: Task) -> list[Trial]:
    chosen = {model: study.best_choice(model, task.monitor) for model in study.models}
    return [
        study.trial(model, choice, repeat)
        for repeat in study.repeats[1:]
        for model, choice in chosen.items()
        if choice is not None  # a trial of a choice failed
    ]


def _test_chosen(study: Study, task: Task, trial: Trial, resources: Resources, console: Console) -> None:
    """Test a trial if it is of the choice that validation made; of the first one, once all choices were tried.

    The pictures of the first model's first trial come into the folder of the study.
    """
    choice = study.best_choice(trial.model, task.monitor)
    if choice is None:
        return
    first = trial.folder in {each.folder for each in study.first_trials(trial.model)}
    best = study.trial(trial.model, choice, study.repeats[0]) if first else trial
    test_trial(best, task_of(best), resources.device, resources.trainer.get("precision"))
    if first and trial.model == next(iter(study.plain["models"])):
        for picture in sorted(best.folder.glob("*.png")):
            replace_file(study.folder / picture.name, partial(shutil.copyfile, picture))
            console.say(f"a picture of the tests: {study.folder / picture.name}")


def _report(study: Study, task: Task) -> dict[str, Any]:
    results = {}
    for model in study.plain["models"]:
        found = [path.parent for path in sorted(study.folder.glob(f"{model}/**/seed_*/result.json"))]
        results[model] = [_read(folder) for folder in found]
    summary = summarise(task.name, results, task.monitor, _beside(study, task))
    return summary | {"samples": {part: len(samples) for part, samples in task.parts.items()}}


def _beside(study: Study, task: Task) -> dict[str, Row]:
    """Rows of the table that are no trials: what others report, and simple models, which are fitted once."""
    if not study.baselines or task.labelled is None:
        return dict(task.published)
    path = study.folder / "baselines.json"
    found = {} if not path.is_file() else read_json(path)
    for fold in study.folds or (None,):
        if str(fold) not in found:
            of_fold = task_of(study.trial(study.models[0], {}, Repeat(study.seeds[0], fold)))
            found[str(fold)] = {name: plain_json(row) for name, row in baseline_rows(of_fold).items()}
            replace_json(path, found)
    of_folds = [row for fold, row in found.items() if fold in map(str, study.folds or (None,))]
    return dict(task.published) | {name: _means([row[name] for row in of_folds]) for name in of_folds[0]}


def _means(rows: list[dict[str, float | None]]) -> Row:
    """Means of the metrics of several folds; NaN where a fold has none."""
    nan = math.nan
    return {
        f"test/{name}": statistics.fmean(nan if (value := row[name]) is None else value for row in rows)
        for name in rows[0]
    }


def _read(folder: Path) -> dict[str, Any]:
    return read_json(folder / "result.json") | {"tests": read_json(folder / "tests.json")}


def _best_trial(study: Study, report: Mapping[str, Any], task: Task) -> Trial:
    """The trial of all models that are reported that validation likes best."""
    rows = [(name, row) for name, model in report["models"].items() for row in model["seeds"]]
    name, row = max(rows, key=lambda each: rank(each[1]["valid"], task.monitor))
    return study.trial(name, row["choice"], Repeat(row["seed"], row["fold"]))
