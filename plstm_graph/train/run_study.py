"""Running a study: its missing trials, in this process or in several, then their tests and the report."""

import math
import shutil
from collections.abc import Mapping
from functools import partial
from typing import Any

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.report.labelled import draw_study, first_of
from plstm_graph.report.splits import keep_split
from plstm_graph.report.study import repeated, summarise, write_report
from plstm_graph.tasks.task import Task, rank
from plstm_graph.train.fit_baselines import baselines_of, fit_baselines
from plstm_graph.train.progress import StudyProgress
from plstm_graph.train.runner import Resources, Runner, loaded_task, task_of
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.trainer_options import is_first
from plstm_graph.train.trial import Trial, read_result, read_tests, test_trial

_CURVES = "curves.png"


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
                keep_split(study.folder, task_of(trial), trial.fold)
                if tests:
                    _test_chosen(study, task, trial, resources, console)
                report = {**_report(study, task), **about, "config": study.plain}
                write_report(study.folder, report)
    if report:
        report |= _finish(study, task, report, console)
        if study.baselines and task.labelled is not None:
            fit_baselines(study, task, console)
            report |= _simple_models(study, task)
            write_report(study.folder, report)
    runner.raise_failures(study.folder)
    return report


def _finish(study: Study, task: Task, report: Mapping[str, Any], console: Console) -> dict[str, Any]:
    """Copy the best weights, draw all learning curves, and write the report; what came to it."""
    best, why = _best_trial(study, report, task)
    replace_file(study.folder / "best.ckpt", partial(shutil.copyfile, best.folder / "best.ckpt"))
    models = report["models"]
    folders = {name: [_trial(study, name, row).folder for row in of["seeds"]] for name, of in models.items()}
    if sum(map(len, folders.values())) < 2:
        return {}
    if task.labelled is not None:
        draw_study(study.folder / _CURVES, folders, repeated(models))
    write_report(study.folder, {**report, "best": why})
    console.say(study.folder / why)
    if task.labelled is not None:
        console.say(f"learning curves of all trainings: {study.folder / _CURVES}")
    return {"best": why}


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

    The pictures of the first model's first trial come into the folder of the study, but for its learning curve where
    there are several.
    """
    choice = study.best_choice(trial.model, task.monitor)
    if choice is None:
        return
    first = trial.folder in {each.folder for each in study.first_trials(trial.model)}
    best = study.trial(trial.model, choice, study.repeats[0]) if first else trial
    test_trial(best, task_of(best), resources.device, resources.trainer.get("precision"))
    if first and trial.model == next(iter(study.plain["models"])):
        is_alone = len(study.models) * len(study.repeats) == 1
        for picture in sorted(best.folder.glob("*.png")):
            if picture.name != _CURVES or is_alone:
                replace_file(study.folder / picture.name, partial(shutil.copyfile, picture))
                console.say(f"a picture of the tests of {best.title}: {study.folder / picture.name}")


def _report(study: Study, task: Task) -> dict[str, Any]:
    results = {}
    for model in study.plain["models"]:
        found = [path.parent for path in sorted(study.folder.glob(f"{model}/**/seed_*/result.json"))]
        results[model] = [(read_result(folder) or {}) | {"tests": read_tests(folder)} for folder in found]
    report = summarise(task.name, results, task.monitor)
    report |= _simple_models(study, task)
    report["samples"] = {part: len(samples) for part, samples in task.parts.items()}
    if task.labelled is not None:
        report["data"] = [task.labelled.summary, *first_of(list(task.notes)), *_start(study)]
        report["split"] = task.labelled.split_name
    return report


def _start(study: Study) -> list[str]:
    """Which checkpoint trainings began from, in a line, if they did."""
    start = study.plain.get("init_from")
    return [] if start is None else [f"trainings begin from {start['path']} (SHA-256 {start['digest'][:12]}...)"]


def _simple_models(study: Study, task: Task) -> dict[str, Any]:
    """Rows of the table that are no trials: what others report, and simple models, with what was cut of them."""
    rows, notes = baselines_of(study)
    beside = {name: dict(row) for name, row in {**task.published, **rows}.items()}
    return {"beside": beside, "cut": notes}


def _trial(study: Study, model: str, row: Mapping[str, Any]) -> Trial:
    """One that a report has."""
    return study.trial(model, row["choice"], Repeat(row["seed"], row["fold"]))


def _best_trial(study: Study, report: Mapping[str, Any], task: Task) -> tuple[Trial, str]:
    """The trial whose weights are those of the study, and in words which it is and why.

    It is of the model that is best in validation, in the mean over its trainings. Seeds of one fold validate on the
    same samples, and the best of them is taken. Folds do not: the one with the easiest samples has no better weights,
    so the first is taken.
    """

    def in_mean(name: str) -> tuple[float, ...]:
        found = {metric: report["models"][name]["valid"].get(f"valid/{metric}") for metric in task.monitor}
        return rank({metric: math.nan if of is None else of["mean"] for metric, of in found.items()}, task.monitor)

    model, models = max(report["models"], key=in_mean), len(report["models"])
    rows = report["models"][model]["seeds"]
    of_fold = [row for row in rows if row["fold"] == rows[0]["fold"]]
    best = _trial(study, model, max(of_fold, key=lambda row: rank(row["valid"], task.monitor)))
    why = [f"{model} has the best mean in validation of {models} models"] if models > 1 else []
    if best.fold is not None:
        why.append(
            f"fold {best.fold} is the first (folds validate on different samples, so none of them is the best), and "
            "what it tests and validates on was not trained on: for a model of more of the data, fit without folds"
        )
    why += [f"seed {best.seed} is the best in validation of {len(of_fold)} seeds"] if len(of_fold) > 1 else []
    return best, f"best.ckpt, which predict should use, is of {best.title}: {'; '.join(why)}."
