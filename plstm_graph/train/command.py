"""``plstm-graph fit``: models side by side on a task, over choices of options and seeds."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveInt

from plstm_graph.config.fitting import fitting
from plstm_graph.config.names import HELP, resolve
from plstm_graph.config.parser import CommandParser
from plstm_graph.console import Console
from plstm_graph.report.labelled import introduction
from plstm_graph.report.ogb_form import Circumstances, Entry, write_forms
from plstm_graph.report.study import markdown
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import takes_option
from plstm_graph.tasks.task import Task
from plstm_graph.tasks.task_folder import write_task
from plstm_graph.text import meant
from plstm_graph.train.device import pick_device
from plstm_graph.train.going_on import going_on
from plstm_graph.train.options import ThreadCount, parse_numbers, parse_seeds, repeatable_command
from plstm_graph.train.run_folder import at_work, check_name, keep_data
from plstm_graph.train.run_study import run_study
from plstm_graph.train.runner import cached_task, check_model, task_of
from plstm_graph.train.space import Range, Space, check_space
from plstm_graph.train.study import Study, check_choices
from plstm_graph.train.trainer_options import check_trainer, is_first
from plstm_graph.train.training import Training

Command = Literal["fit", "tune"]
_FIT = """Train several models on a task under equal terms: the same encoders, batches, optimiser and epochs; of
several values of an option (choose) the first seed picks those with the best validation metric, for each model. Each
training is tested once, with the weights of the epoch that validation picked. The same command goes on after an
interruption; finished trainings are not run again."""
_TUNE = """Search for the options of a model that are best in validation, with Optuna: of every choice, the mean over
seeds and folds counts, and no test is touched. The run's folder keeps the search, so that the same command goes on,
also with more --trials; it ends with a table, a picture and best.yaml, a configuration for fit."""
_DESCRIPTIONS: dict[Command, str] = {"fit": _FIT, "tune": _TUNE}


@dataclass
class StudyOptions:
    """A parsed command.

    Attributes:
        study (Study): What is trained.
        trainer (dict): Options of Lightning's trainer.
        device (torch.device): Where tests run.
        threads (int): CPU threads of each process.
        workers (int): Trials that run at the same time.
        cluster (str, optional): Where trials run in place of this machine.
        tests (bool): Whether trials are tested.
        space (dict): What ``tune`` searches.
        num_trials (int): Choices of options that ``tune`` tries.
        written_to (str, optional): Folder of DAGs that the task is written to, in place of training.
        written_parts (list[str], optional): Parts that are written.
        entries (dict[str, Entry]): What OGB's form asks of models beyond their trainings.
    """

    study: Study
    trainer: dict[str, Any]
    device: torch.device
    threads: int
    workers: int
    cluster: str | None
    tests: bool
    space: Space
    num_trials: int
    written_to: str | None
    written_parts: list[str] | None
    entries: dict[str, Entry]


def run_command(arguments: list[str], machine: Callable[[], dict[str, Any]]) -> int:
    """Run the command: train what is not finished, test, report.

    Args:
        arguments: Of ``plstm-graph fit``.
        machine: :func:`plstm_graph.machine.describe_machine`, for the report; asked once the arguments are good.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If task, a model or the folder of the run cannot be used.
        OSError: If data cannot be had or results cannot be written.
        FloatingPointError: If a loss is not finite.
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    options, console = parse(arguments), Console(stderr=True)
    study, plain = options.study, options.study.plain
    cached_task.cache_clear()  # files may have changed since another command of this process
    torch.set_num_threads(options.threads)
    console.quiet = not is_first()
    for model in study.models:
        named = plain["models"][model].get("class_path")
        if isinstance(named, str):
            resolve(named)  # before data are read, which may take long
    console.say(f"data of the task {plain['task'].get('name')} ...")  # which may take a minute
    if options.written_to is not None:
        whole = _only_task(study)
        if not isinstance(whole, GraphTask):
            raise ValueError(f"a folder of DAGs has graphs, and the task {whole.name} has none")
        parts = write_task(whole, options.written_to, options.written_parts)
        console.say(f"{whole.name}: {', '.join(parts)} written to {options.written_to}; nothing was trained")
        return 0
    task: Task = cached_task(json.dumps(plain["task"]))
    _check_folds(study.folds, task)
    sizes = {name: _check(study, name) for name in study.models}
    text = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    console.say(f"{task.name}: {text} parameters, results in {study.folder}")
    if isinstance(task, GraphTask) and task.labelled is not None:
        for line in introduction(task, task.labelled):
            console.say(line)
    about = {"command": repeatable_command(["fit", *arguments]), "machine": machine()}
    own = at_work(study.folder) if is_first() else nullcontext()
    with going_on("The same command goes on from the last whole epoch."), own:
        if is_first():
            study.claim()
            if isinstance(task, GraphTask) and task.labelled is not None:
                keep_data(study.folder, task.labelled.summary, task.labelled.digest)
        where = options.trainer, options.device, options.workers, options.cluster, options.tests
        report = run_study(study, *where, about, console)
        if is_first():
            if isinstance(task, GraphTask) and task.package:
                how = Circumstances(task.package, str(options.device), options.workers, options.threads)
                write_forms(study.folder, report, options.entries, how)
            Console().say(markdown(report).rstrip())
    return 0


def _only_task(study: Study) -> Task:
    """The task of a study, if its choices leave but one."""
    several = {name: values for name, values in study.plain["choose"].items() if name.startswith("task.")}
    if any(len(values) > 1 for values in several.values()):
        text = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in several.items())
        raise ValueError(f"a folder holds one task, and choose has several: {text}")
    return task_of(study.first_trials(study.models[0])[0])


def _folds(given: str | int | None, task: dict[str, Any]) -> list[int]:
    """The folds that are trained; a task of one's own is told how many there are.

    Args:
        given: A number of folds, or some of them, such as ``"0-3"``.
        task: The section of the configuration, which may be changed.
    """
    takes_number = takes_option(task, "num_folds")
    if given is None:
        return list(range(task["num_folds"])) if takes_number and isinstance(task.get("num_folds"), int) else []
    text = str(given).strip()
    if not text.isdecimal():
        return parse_numbers(text, "folds", 1000)
    count = parse_numbers(text, "folds", 1000)[0]
    if takes_number:
        task["num_folds"] = count
    return list(range(count))


def _check_folds(folds: Sequence[int], task: Task) -> None:
    """Refuse folds that the task does not have."""
    if folds and not task.num_folds:
        raise ValueError(f"the task {task.name} has no folds, got {', '.join(map(str, folds))}")
    if folds and max(folds) >= task.num_folds:
        raise ValueError(f"folds are numbered from 0 to {task.num_folds - 1}, got {max(folds)}")


def _check(study: Study, model: str) -> int:
    """Make the task and the model of every choice, so that what cannot be made is refused before anything is written.

    Returns:
        Number of parameters of the first.
    """
    first, *_ = [check_model(trial) for trial in study.first_trials(model)]
    return first


def parse(arguments: list[str], command: Command = "fit") -> StudyOptions:
    """Parse the arguments of a command.

    Args:
        arguments: Without the name of the command.
        command: ``"fit"``, or ``"tune"``, which takes all that fit does, and a space to search.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If values do not go together.
    """
    parser = _make_parser(command)
    config = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(parser.dump(config, format="json", skip_unset=False))
    Training(**values["training"])  # checks its values before anything starts
    known = _models(values["model"], values["models"])
    names = list(known) if config.only is None else config.only.split(",")
    missing = [name for name in names if name not in known]
    if missing or not names:
        near = "".join(meant(name, known) for name in missing)
        raise ValueError(
            f"there is no model {', '.join(missing) or 'at all'} in the configuration{near}: {', '.join(known)}"
        )
    run = (config.name or _default_name(values["task"], list(known))) + ("-tune" if command == "tune" else "")
    for name in (run, *names):
        check_name(name)
    device = pick_device(config.device)
    trainer = {"accelerator": device.type} | values["trainer"]
    if device.index is not None:
        trainer.setdefault("devices", [device.index])
    workers, choose = int(config.workers), check_choices(values["choose"])
    _check_given(arguments, choose)
    space: Space = {}
    if command == "tune":  # values to choose from are part of what is searched
        space, choose = check_space(choose | values["space"]), {}
        check_choices({name: [0] if isinstance(values, Range) else values for name, values in space.items()})
        if not space:
            raise ValueError("nothing to search: give --space.training.lr '{low: 1e-4, high: 1e-2, log: true}', say")
    folds = _folds(config.folds, values["task"])
    plain = {"task": values["task"], "models": known, "training": values["training"]}
    plain |= {"trainer": check_trainer(trainer, workers), "choose": choose}
    plain |= {"space": values["space"] | values["choose"]} if space else {}
    return StudyOptions(
        study=Study(
            plain=plain,
            models=names,
            seeds=parse_seeds(str(config.seeds)),
            baselines=config.baselines and config.tests,
            folds=folds,
            folder=Path(config.output or f"runs/{run}"),
        ),
        trainer=trainer,
        device=device,
        threads=int(config.threads),  # not the class of the parser
        workers=workers,
        cluster=config.cluster,
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


def _models(model: Any, models: dict[str, Any]) -> dict[str, Any]:
    """All models by their names; a single one has that of its class."""
    if model is None:
        return models
    if models:
        raise ValueError(f"give one model (model) or several with names (models), not both: {', '.join(models)}")
    spec = {"class_path": model} if isinstance(model, str) else model
    name = spec.get("class_path")
    if not isinstance(name, str):
        raise ValueError(f"model needs its class, such as class_path: plstm_graph.nn.PLSTM, got {spec}")
    return {name.rpartition(".")[2].lower(): spec}


def _default_name(task: Mapping[str, Any], models: Sequence[str]) -> str:
    """A name for a study that was given none: of its task and its models."""
    text = "-".join([str(task.get("set") or task.get("name")), *models]).lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def _entry(model: str, values: dict[str, Any], models: Sequence[str]) -> Entry:
    """What a form asks of a model, as a configuration has it."""
    if model not in models:
        raise ValueError(f"entry.{model} is of no model in the configuration: {', '.join(models)}")
    return Entry(**fitting(Entry, values, f"entry.{model}"))


def _make_parser(command: Command) -> CommandParser:
    about = f"{_DESCRIPTIONS[command]} {HELP}"
    parser = CommandParser(prog=f"plstm-graph {command}", description=about, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file; several are merged in order.")
    parser.add_argument(
        "--name", type=str | None, default=None, help="Name of the run. (default: of the task and its models)"
    )
    parser.add_argument("--only", type=str | None, default=None, help="Models to train, such as plstm,gin.")
    parser.add_argument("--seeds", type=str | int, default="0-2", help="Such as 0-4 or 0,2.")
    parser.add_argument(
        "--folds",
        type=str | int | None,
        default=None,
        help="Number of folds, such as 5, or some of those that a task has, such as 0-1 or 0,3.",
    )
    parser.add_argument(
        "--choose",
        type=dict[str, Any],
        default={},
        help="Values of options, of which validation picks one for each model, such as {training.lr: [0.001, 0.01], "
        "task.target_scale: [raw, log], model.num_layers: [1, 2]}. Metrics are of outputs in the unit of the targets.",
    )
    if command == "tune":
        parser.add_argument(
            "--space",
            type=dict[str, Any],
            default={},
            help="Ranges or lists of options, such as {training.lr: {low: 1e-4, high: 1e-2, log: true}, "
            "model.num_layers: [1, 2, 3]}.",
        )
        parser.add_argument("--trials", type=PositiveInt, default=30, help="Choices of options to try.")
    parser.add_argument(
        "--tests",
        type=bool,
        default=True,
        help="Whether to test. Without, models are compared in validation, and no test is touched: for choices.",
    )
    parser.add_argument(
        "--baselines",
        type=bool,
        default=True,
        help="Whether simple models are fitted for the report, where there are any.",
    )
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=ThreadCount, default=2, help="CPU threads of each process.")
    parser.add_argument("--workers", type=PositiveInt, default=1, help="Trainings that run at the same time.")
    parser.add_argument(
        "--cluster",
        type=str | None,
        default=None,
        help="Let the workers of a Dask cluster train, which see the same folders: dask://HOST:PORT of its scheduler, "
        "or dask://FILE that it wrote.",
    )
    parser.add_argument("--output", type=str | None, default=None, help="Folder (default: runs/NAME).")
    parser.add_argument(
        "--folder",
        type=str | None,
        default=None,
        help="Write the graphs of the task to this folder for check, fit, predict and explain, and train nothing.",
    )
    parser.add_argument(
        "--folder_parts",
        type=str | None,
        default=None,
        help="Parts to write, such as train,valid,test_tiles. (default: train, valid and the first test)",
    )
    parser.add_argument("--task", type=dict[str, Any], required=True, help="Name of the task, and its options.")
    parser.add_argument(
        "--model",
        type=dict | str | None,
        default=None,
        help="Class and arguments of a model; --model.KEY VALUE sets one of its arguments.",
    )
    parser.add_argument("--models", type=dict[str, dict], default={}, help="Those of several models, by their names.")
    parser.add_argument(
        "--entry",
        type=dict[str, dict],
        default={},
        help="What OGB's form asks of each model of a benchmark beyond its trainings: method, external_data, official, "
        "contact, code, paper, and tuned, values tried of options with a star at the selected one.",
    )
    parser.add_class_arguments(Training, "training")
    parser.add_argument("--trainer", type=dict[str, Any], default={}, help="Options of lightning.pytorch.Trainer.")
    return parser
