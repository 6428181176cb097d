"""Arguments of ``plstm-graph fit`` and ``tune``, read before anything that is slow to import."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeFloat, PositiveInt, restricted_number_type

from plstm_graph.config.names import HELP, OPTION, allowed_names
from plstm_graph.config.parser import CommandParser
from plstm_graph.config.written import check_arguments
from plstm_graph.tasks.metric_names import check_metric_options
from plstm_graph.tasks.registry import TASKS, check_section, takes_option
from plstm_graph.text import meant
from plstm_graph.train.first_look import look_at_data, look_at_models
from plstm_graph.train.training import Training

Command = Literal["fit", "tune"]
#: CPU threads; more than anybody has would take the process down.
ThreadCount = restricted_number_type("ThreadCount", int, [(">=", 1), ("<=", 1024)])
_FIT = """Train several models on a task under equal terms: the same encoders, batches, optimiser and epochs; of
several values of an option (choose) the first seed picks those with the best validation metric, for each model. Each
training is tested once, with the weights of the epoch that validation picked. The same command goes on after an
interruption; finished trainings are not run again."""
_TUNE = """Search for the options of a model that are best in validation, with Optuna: of every choice, the mean over
seeds and folds counts, and no test is touched. The run's folder keeps the search, so that the same command goes on,
also with more --trials; it ends with a table, a picture and best.yaml, a configuration for fit. The folder is
runs/NAME-tune, as runs/NAME is that of fit."""
_DESCRIPTIONS: dict[Command, str] = {"fit": _FIT, "tune": _TUNE}


@dataclass
class _Fit:
    """What is trained, and where.

    Args:
        task: Name of the task, and its options.
        name: Name of the run. (default: of the task and its models)
        only: Models to train, such as plstm,gin.
        metric: Metric that selects epochs, choices and the best model, such as mae, spearman or mcc, for molecules and
            folders of DAGs; --task.metrics "[rmse, mae]" says which are reported. (default: rmse of numbers, auroc of
            labels, accuracy of classes; of several targets of numbers, rmse in their standard deviations)
        seeds: Such as 0-4 or 0,2.
        folds: Number of folds, 3 or more, each of which is tested once while the next one validates; or some of those
            that a task has, such as 0-1 or 0,3.
        repeats: How often a split is drawn anew, each time with the next seed; the report has mean and spread.
        choose: Values of options, of which validation picks one for each model, such as {training.lr: [0.001, 0.01],
            task.target_scale: [raw, log], model.num_layers: [1, 2]}. Metrics are of outputs in the unit of the targets.
        tests: Whether to test. Without, models are compared in validation, and no test is touched: for choices.
        baselines: Whether simple models are fitted for the report, where there are any.
        baselines_seconds: Time for them all, in seconds: trees are grown, and penalties tried, until it is over, and
            the report says what was cut.
        device: cpu, cuda, cuda:1, ...
        threads: CPU threads of each process. (default: 2, and with several workers their share of the cores)
        workers: Trainings that run at the same time.
        cluster: Let the workers of a Dask cluster train, which see the same folders: dask://HOST:PORT of its scheduler,
            or dask://FILE that it wrote.
        output: Folder (default: runs/NAME).
        folder: Write the graphs of the task to this folder for check, fit, predict and explain, and train nothing.
        folder_parts: Parts to write, such as train,valid,test_tiles. (default: train, valid and the first test)
        model: Class and arguments of a model; --model.KEY VALUE sets one of its arguments.
        models: Those of several models, by their names.
        init_from: Checkpoint of another fit, of the same class of model, whose weights every training begins with: all
            that fit; the head's output is new where the targets are others. training.freeze and training.encoder_lr
            keep or spare them.
        entry: What OGB's form asks of each model of a benchmark beyond its trainings: method, external_data, official,
            contact, code, paper, and tuned, values tried of options with a star at the selected one.
    """

    task: dict[str, Any]
    name: str | None = None
    only: str | None = None
    metric: str | None = None
    seeds: str | int = "0-2"
    folds: str | int | None = None
    repeats: PositiveInt | None = None
    choose: dict[str, Any] = field(default_factory=dict)
    tests: bool = True
    baselines: bool = True
    baselines_seconds: NonNegativeFloat = 180.0
    device: str = "auto"
    threads: ThreadCount | None = None  # type: ignore[valid-type]
    workers: PositiveInt = 1
    cluster: str | None = None
    output: str | None = None
    folder: str | None = None
    folder_parts: str | None = None
    model: dict | str | None = None
    models: dict[str, dict] = field(default_factory=dict)
    init_from: str | None = None
    entry: dict[str, dict] = field(default_factory=dict)


@dataclass
class _Tune(_Fit):
    """What is trained, and where, and what is searched.

    Args:
        space: Ranges or lists of options, such as {training.lr: {low: 1e-4, high: 1e-2, log: true}, model.num_layers:
            [1, 2, 3]}.
        trials: Choices of options to try.
    """

    space: dict[str, Any] = field(default_factory=dict)
    trials: PositiveInt = 30


@dataclass(frozen=True)
class Given:
    """What a command was given.

    Attributes:
        config (Namespace): The values as the parser has them.
        values (dict): The same as plain values.
        models (dict): All models by their names.
        names (list[str]): Of the models that are trained.
        seeds (list[int]): That they are trained with.
        folds (list[int]): Likewise; none for tasks without.
    """

    config: Namespace
    values: dict[str, Any]
    models: dict[str, Any]
    names: list[str]
    seeds: list[int]
    folds: list[int]


def read_arguments(arguments: list[str], command: Command) -> Given:
    """Parse the arguments of a command, and look for what is wrong with them at first sight.

    What they name is not imported yet, which takes seconds.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If a value is out of range, there is no task, option or model of a name, or data are not what the
            task takes, see :func:`~plstm_graph.train.first_look.look_at_data`.
        OSError: If the data of one's own are not there.
    """
    parser = _make_parser(command)
    config = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(parser.dump(config, format="json", skip_unset=False))
    training = Training(**values["training"])  # checks its values before anything starts
    _check_start(config.init_from, training)
    _use_metric(values["task"], config.metric)
    check_section(values["task"])
    check_metric_options(values["task"])
    models = _models(values["model"], values["models"])
    names = list(models) if config.only is None else config.only.split(",")
    missing = [name for name in names if name not in models]
    if missing or not names:
        near = "".join(meant(name, models) for name in missing)
        raise ValueError(
            f"there is no model {', '.join(missing) or 'at all'} in the configuration{near}: {', '.join(models)}"
        )
    seeds, folds = (
        parse_numbers(str(config.seeds), "seeds", 2**32),
        _folds(config.folds, config.repeats, values["task"]),
    )
    check_arguments(models)
    look_at_models(models)
    look_at_data(values["task"])
    return Given(config, values, models, names, seeds, folds)


def _use_metric(task: dict[str, Any], metric: str | None) -> None:
    """Tell a task by which metric to select."""
    if metric is None:
        return
    if task.get("name") in TASKS and not takes_option(task, "metric"):
        raise ValueError(
            f"--metric is for the tasks molecules and dag_folder; the task {task.get('set') or task['name']} has a "
            "metric of its own"
        )
    task["metric"] = metric


def _check_start(init_from: str | None, training: Training) -> None:
    """Look for the checkpoint to begin from, and for options that are of no use without one."""
    if init_from is None and training.needs_start:
        raise ValueError("training.freeze and training.encoder_lr are of weights that --init_from brings: give both")
    if init_from is not None and not Path(init_from).is_file():
        raise FileNotFoundError(f"--init_from: no checkpoint at {init_from}")


def _models(model: Any, models: dict[str, Any]) -> dict[str, Any]:
    """All models by their names; that of the section ``model`` has the one of its class."""
    if model is None:
        return models
    spec = {"class_path": model} if isinstance(model, str) else model
    name = spec.get("class_path")
    if models and name is None:
        raise ValueError(
            f"--model.KEY sets an argument of a configuration's only model (model), and this one has several "
            f"(models): give --models.{next(iter(models))}.init_args.KEY"
        )
    if not isinstance(name, str):
        raise ValueError(f"model needs its class, such as class_path: plstm_graph.nn.PLSTM, got {spec}")
    own = name.rpartition(".")[2].lower()
    if own in models:
        raise ValueError(f"two models are called {own}: that of the section model, and one of models")
    return {own: spec} | models


def _folds(given: str | int | None, repeats: int | None, task: dict[str, Any]) -> list[int]:
    """The folds that are trained; a task of one's own is told how many there are.

    Args:
        given: A number of folds, or some of them, such as ``"0-3"``.
        repeats: How often the split is drawn anew.
        task: The section of the configuration, which may be changed.
    """
    if repeats is not None:
        if given is not None:
            raise ValueError("--folds and --repeats do not go together: a split is cut into folds, or drawn anew")
        if not takes_option(task, "repeats"):
            raise ValueError(
                f"the task {task['name']} has no repeats of its split; --seeds 0-2 trains three times on it"
            )
        task["num_folds"], task["repeats"] = int(repeats), True
    takes_number, text = takes_option(task, "num_folds"), str(given).strip()
    number = task.get("num_folds") or 0  # of another type, it is refused with all options of the task
    if given is None:
        return list(range(number)) if takes_number and isinstance(number, int) else []
    folds = parse_numbers(text, "folds", 1000)
    if text.isdecimal():
        count = folds[0]
        if count == 0:
            raise ValueError("folds 0 are none: give how many, such as 5, or which, such as 0-1; 0-0 is the first")
        folds = list(range(count))
        if takes_number:
            task["num_folds"] = number = count
    if not (number if takes_number else takes_option(task, "fold")):
        raise ValueError(
            f"the task {task.get('set') or task['name']} has no folds, got {', '.join(map(str, folds))}; of a table or "
            "folder of your own, --folds 5 makes five, and --task.num_folds 5 --folds 0-1 trains two of them"
        )
    if takes_number and isinstance(number, int):
        least = 1 if task.get("repeats") or task.get("split_file") else 3
        if number < least:
            raise ValueError(
                f"--folds must be at least 3, to train, validate and test (or task.num_folds), got {number}"
            )
        if max(folds) >= number:
            raise ValueError(f"folds are numbered from 0 to {number - 1}, got {max(folds)}")
    return folds


def _make_parser(command: Command) -> CommandParser:
    about = f"{_DESCRIPTIONS[command]} {HELP}"
    parser = CommandParser(prog=f"plstm-graph {command}", description=about, allow_abbrev=False)
    parser.checks_names = False  # later, as it imports what they are of
    parser.add_argument("--config", action="config", help="YAML file; several are merged in order.")
    parser.add_class_arguments(_Tune if command == "tune" else _Fit)
    parser.add_class_arguments(Training, "training")
    parser.add_argument("--trainer", type=dict[str, Any], default={}, help="Options of lightning.pytorch.Trainer.")
    return parser


_MOST = 10_000  # seeds or folds of one command


def parse_numbers(text: str, name: str, below: int) -> list[int]:
    """Numbers of a text such as ``"0-9"`` or ``"0,3,5-7"``, each once, in order.

    Args:
        text: Numbers and ranges (ends included), separated by commas.
        name: What they are, for messages.
        below: They are smaller than this.

    Raises:
        ValueError: If it is something else, or more than 10,000 numbers.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,18})(?:\s*-\s*([0-9]{1,18}))?\s*", part)
        if found is None:
            raise ValueError(f"{name} must be numbers and ranges such as 0-9 or 0,3,5-7, got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise ValueError(f"{name} {text!r}: the range {first}-{last} runs backwards; write {last}-{first}")
        if last >= below:
            raise ValueError(f"{name} are numbered from 0 to {below - 1}, got {text!r}")
        if last - first + len(numbers) >= _MOST:
            raise ValueError(f"{name} {text!r} are more than {_MOST:,}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


#: Options that name folders of one machine, and decide nothing.
_FOLDERS = ("--output", "--task.root", "--task.source")


def repeatable_command(arguments: Sequence[str]) -> str:
    """The command of a run as reports quote it, without folders of one machine such as ``--output``.

    Args:
        arguments: Of ``plstm-graph``, from the name of the command.
    """
    kept, skip = ["plstm-graph"], False
    for argument in arguments:
        if not skip and argument.partition("=")[0] not in _FOLDERS:
            kept.append(argument)
        skip = argument in _FOLDERS and not skip
    kept += [part for name in allowed_names() for part in (OPTION, name)]
    return shlex.join(kept)
