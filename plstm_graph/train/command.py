"""``plstm-graph fit``: models side by side on a task, over choices of options and seeds."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from plstm_graph.config.fitting import fitting
from plstm_graph.config.names import check_names
from plstm_graph.console import Console
from plstm_graph.machine import pick_device
from plstm_graph.report.labelled import introduction
from plstm_graph.report.ogb_form import Circumstances, Entry, write_forms
from plstm_graph.report.study import markdown
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.task import Task
from plstm_graph.tasks.task_folder import write_fit, write_task
from plstm_graph.train.arguments import Command, Given, read_arguments, repeatable_command
from plstm_graph.train.choices import Range, Space, check_choices, check_space
from plstm_graph.train.run_folder import at_work, check_name, going_on, keep_data
from plstm_graph.train.run_study import run_study
from plstm_graph.train.runner import (
    Resources,
    check_model,
    default_threads,
    forget_tasks,
    loaded_task,
    start_text,
    task_of,
)
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.trainer_options import check_trainer, is_first
from plstm_graph.train.transfer import start_of


@dataclass
class StudyOptions:
    """A parsed command.

    Attributes:
        study (Study): What is trained.
        resources (Resources): Where it runs, and how.
        tests (bool): Whether trials are tested.
        space (dict): What ``tune`` searches.
        num_trials (int): Choices of options that ``tune`` tries.
        written_to (str, optional): Folder of DAGs that the task is written to, in place of training.
        written_parts (list[str], optional): Parts that are written.
        entries (dict[str, Entry]): What OGB's form asks of models beyond their trainings.
    """

    study: Study
    resources: Resources
    tests: bool
    space: Space
    num_trials: int
    written_to: str | None
    written_parts: list[str] | None
    entries: dict[str, Entry]


def run_command(arguments: list[str], machine: Callable[[], dict[str, Any]], given: Given | None = None) -> int:
    """Run the command: train what is not finished, test, report.

    Args:
        arguments: Of ``plstm-graph fit``.
        machine: :func:`plstm_graph.machine.describe_machine`, for the report; asked once the arguments are good.
        given: What :func:`~plstm_graph.train.arguments.read_arguments` made of them, if they have been read.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If task, a model or the folder of the run cannot be used.
        OSError: If data cannot be had or results cannot be written.
        FloatingPointError: If a loss is not finite.
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    options, console = parse(arguments, given=given), Console(stderr=True)
    study = options.study
    begin(options, console)
    if options.written_to is not None:
        whole = task_of(study.first_trials(study.models[0])[0])
        if not isinstance(whole, GraphTask):
            raise ValueError(f"a folder of DAGs has graphs, and the task {whole.name} has none")
        parts = write_task(whole, options.written_to, options.written_parts)
        console.say(f"{whole.name}: {', '.join(parts)} written to {options.written_to}; nothing was trained")
        name, spec = next(iter(study.plain["models"].items()))
        for line in write_fit(whole, options.written_to, {name: spec}, study.plain["training"]):
            console.say(line)
        return 0
    task = load(study)
    sizes = {name: _check(study, name) for name in study.models}
    text = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    console.say(f"{task.name}: {text} parameters, results in {study.folder}")
    for line in [*introduction(task), *_starts(study), *_members(study)]:
        console.say(line)
    about = {"command": repeatable_command(["fit", *arguments]), "machine": machine()}
    own = claimed(study, task) if is_first() else nullcontext()
    with going_on("The same command goes on from the last whole epoch."), own:
        report = run_study(study, options.resources, options.tests, about, console)
        if is_first():
            if task.package:
                on = options.resources
                how = Circumstances(task.package, str(on.device), on.workers, on.threads)
                write_forms(study.folder, report, options.entries, how)
            Console().say(markdown(report).rstrip())
    return 0


def _members(study: Study) -> list[str]:
    """A line on which epochs are kept of models of several members."""
    members = study.plain["training"].get("members") or 1
    text = (
        f"each of the {members} members of a model keeps its own best epoch; metrics of epochs are means over the "
        "members, and those of the model that is kept are of the members' mean"
    )
    return [text] if members > 1 else []


def begin(options: StudyOptions, console: Console) -> None:
    """Set this process up for a study, and say what comes first."""
    forget_tasks()
    torch.set_num_threads(options.resources.threads)
    console.quiet = not is_first()
    console.say(f"data of the task {options.study.plain['task'].get('name')} ...")  # which may take a minute


def load(study: Study) -> Task:
    """The task of a study, whose folds can all be trained."""
    task = loaded_task(study.plain["task"])
    _check_folds(study.folds, task)
    if task.labelled is not None:
        _check_each_fold(study)
    return task


@contextmanager
def claimed(study: Study, task: Task) -> Iterator[None]:
    """Have the folder of a study for this process alone, unless it holds another study, or one of other data."""
    with at_work(study.folder):
        study.claim()
        if task.labelled is not None:
            keep_data(study.folder, task.labelled.summary, task.labelled.digest)
        yield


def _check_one_task(choose: dict[str, Any]) -> None:
    """Refuse choices that leave more than one task, for a folder has but one."""
    several = {name: values for name, values in choose.items() if name.startswith("task.") and len(values) > 1}
    if several:
        text = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in several.items())
        one = " ".join(f"--choose.{name} '[{values[0]}]'" for name, values in several.items())
        raise ValueError(f"a folder holds one task, and choose has several: {text}. Choose one, such as {one}")


def _check_folds(folds: Sequence[int], task: Task) -> None:
    """Refuse folds that the task does not have."""
    if folds and max(folds) >= task.num_folds:
        raise ValueError(f"folds are numbered from 0 to {task.num_folds - 1}, got {max(folds)}")


def _check_each_fold(study: Study) -> None:
    """Make the task of every fold, so that one that cannot be trained is refused before the others are."""
    for fold in study.folds:
        try:
            task_of(study.trial(study.models[0], {}, Repeat(study.seeds[0], fold)))
        except ValueError as error:
            raise ValueError(f"fold {fold}: {error}") from error


def _check(study: Study, model: str) -> int:
    """Make the task and the model of every choice, so that what cannot be made is refused before anything is written.

    Returns:
        Number of parameters of the first.
    """
    trials = study.first_trials(model)
    first, *_ = [check_model(trial, like=trials[0]) for trial in trials]
    return first


def _starts(study: Study) -> list[str]:
    """What the trainings of each model begin with, where that is a checkpoint."""
    firsts = [(name, study.first_trials(name)[0]) for name in study.models if "init_from" in study.plain]
    return [f"{name}: {start_text(trial)}" for name, trial in firsts]


def parse(arguments: list[str], command: Command = "fit", given: Given | None = None) -> StudyOptions:
    """Parse the arguments of a command.

    Args:
        arguments: Without the name of the command.
        command: ``"fit"``, or ``"tune"``, which takes all that fit does, and a space to search.
        given: What :func:`~plstm_graph.train.arguments.read_arguments` made of them, if they have been read.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If values do not go together.
    """
    given = given or read_arguments(arguments, command)
    config, values, known, names = given.config, given.values, given.models, given.names
    check_names([values["task"], values["model"], values["models"]])  # before data are read, which may take long
    run = (config.name or _default_name(values["task"], list(known))) + ("-tune" if command == "tune" else "")
    for name in (run, *names):
        check_name(name)
    device = pick_device(config.device)
    trainer = {"accelerator": device.type} | values["trainer"]
    if device.index is not None:
        trainer.setdefault("devices", [device.index])
    workers, choose = int(config.workers), check_choices(values["choose"])
    _check_given(arguments, choose)
    if config.folder is not None:
        _check_one_task(choose)
    space: Space = {}
    if command == "tune":  # values to choose from are part of what is searched
        space, choose = check_space(choose | values["space"]), {}
        check_choices({name: [0] if isinstance(values, Range) else values for name, values in space.items()})
        if not space:
            raise ValueError("nothing to search: give --space.training.lr '{low: 1e-4, high: 1e-2, log: true}', say")
    plain = {"task": values["task"], "models": known, "training": values["training"]}
    plain |= {"trainer": check_trainer(trainer, workers), "choose": choose}
    plain |= {} if config.init_from is None else {"init_from": start_of(config.init_from)}
    plain |= {"space": {"space": values["space"], "choose": values["choose"]}} if space else {}
    return StudyOptions(
        study=Study(
            plain=plain,
            models=names,
            seeds=given.seeds,
            baselines=config.baselines and config.tests,
            baselines_seconds=float(config.baselines_seconds),
            folds=given.folds,
            folder=Path(config.output or f"runs/{run}"),
        ),
        # Numbers, not of the class of the parser.
        resources=Resources(trainer, device, int(config.threads or default_threads(workers)), workers, config.cluster),
        tests=config.tests,
        space=space,
        num_trials=int(config.trials) if command == "tune" else 0,
        written_to=config.folder,
        entries={name: _entry(name, entry, list(known)) for name, entry in values["entry"].items()},
        written_parts=None if config.folder_parts is None else config.folder_parts.split(","),
    )


def _check_given(arguments: list[str], choose: dict[str, Any]) -> None:
    """Refuse an option on the command line of which ``choose`` has other values."""
    for argument in arguments:
        section, *keys = argument.partition("=")[0].removeprefix("--").split(".")
        if section == "models" and keys[1:2] == ["init_args"]:
            section, keys = "model", keys[2:]
        name = ".".join([section, *keys])
        if argument.startswith("--") and name in choose:
            raise ValueError(
                f"{argument.partition('=')[0]} is given, and choose.{name} has the values {choose[name]}: give one of "
                f"them, such as --choose.{name} '[...]', or --choose={{}} for no choice at all"
            )


def _default_name(task: Mapping[str, Any], models: Sequence[str]) -> str:
    """A name for a study that was given none: of its task and its models."""
    text = "-".join([str(task.get("set") or task.get("name")), *models]).lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def _entry(model: str, values: dict[str, Any], models: Sequence[str]) -> Entry:
    """What a form asks of a model, as a configuration has it."""
    if model not in models:
        raise ValueError(f"entry.{model} is of no model in the configuration: {', '.join(models)}")
    return Entry(**fitting(Entry, values, f"entry.{model}"))
