"""``plstm-graph dags``: models side by side on a task of DAGs, over learning rates and seeds."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jsonargparse.typing import PositiveFloat

from plstm_graph.console import Console
from plstm_graph.datasets.digits import shown
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.train.claimed_folder import differences, read_configuration, refuse, write_configuration
from plstm_graph.train.command_parser import CommandParser
from plstm_graph.train.dag_tasks.folder import write_task
from plstm_graph.train.dag_tasks.report import markdown, summarise, write_report
from plstm_graph.train.dag_tasks.run import count_parameters, evaluate_training, make_model, run_training
from plstm_graph.train.dag_tasks.scaled_target import TargetKind
from plstm_graph.train.dag_tasks.task import DAGTask
from plstm_graph.train.dag_tasks.tasks import load_dag_task
from plstm_graph.train.going_on import going_on
from plstm_graph.train.inference import pick_device
from plstm_graph.train.options import ThreadCount, Training, learning_rates, parse_seeds, repeatable_command
from plstm_graph.train.registry import HELP
from plstm_graph.train.run_folder import check_name
from plstm_graph.train.selection import Row, rank

_DESCRIPTION = """Train several models on a task of DAGs under equal terms: the same encoders, batches, optimiser and
epochs; of several learning rates and scales of targets the first seed picks those with the best validation metric, for
each model. Each training is tested once, with the weights of the epoch that validation picked. The same command goes
on after an interruption; finished trainings are not run again."""

# Learning rates and scales may be added, data may move; and the name is that of the folder.
_OUTSIDE = ("lr", "target", "name", "data.root", "data.source")


@dataclass
class DAGOptions:
    """A parsed command.

    Attributes:
        plain (dict): What decides the numbers: ``data``, ``training``, ``lr``, ``target`` and ``models``.
        training (Training): The section ``training``.
        models (list[str]): Names of the models to train.
        seeds (list[int]): Seeds in the order in which they run.
        device (str): Where.
        threads (int): CPU threads.
        folder (Path): Folder of the run.
        tests (bool): Whether trainings are tested.
        written_to (str, optional): Folder of DAGs that the task is written to, in place of training.
        written_parts (list[str], optional): Parts that are written.
    """

    plain: dict[str, Any]
    training: Training
    models: list[str]
    seeds: list[int]
    device: str
    threads: int
    folder: Path
    tests: bool
    written_to: str | None
    written_parts: list[str] | None


def dags(arguments: list[str], machine: dict[str, Any]) -> int:
    """Run the command: train what is not finished, test, report.

    Args:
        arguments: Of ``plstm-graph dags``.
        machine: By :func:`plstm_graph.bench.machine.describe_machine`, for the report.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If data, a model or the folder of the run cannot be used.
        OSError: If data cannot be had or results cannot be written.
        FloatingPointError: If a loss is not finite.
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    options, console = parse(arguments), Console(stderr=True)
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    console.say(f"graphs of the task {options.plain['data'].get('name')} ...")  # which may take a minute
    task = load_dag_task(**options.plain["data"])
    if options.written_to is not None:
        kinds = options.plain["target"]
        if len(kinds) > 1:
            raise ValueError(f"a folder has its targets on one scale, got --target {', '.join(kinds)}")
        task = task.scaled(kinds[0]) if kinds else task
        parts = write_task(task, options.written_to, options.written_parts)
        console.say(f"{task.name}: {', '.join(parts)} written to {options.written_to}; nothing was trained")
        return 0
    models = options.plain["models"]
    for kind in options.plain["target"]:
        task.scaled(kind)  # Refused before anything is written.
    sizes = {name: count_parameters(make_model(models[name], task)) for name in options.models}
    text = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    console.say(f"{task.name}: {text} parameters, results in {options.folder}")
    with going_on("The same command goes on from the last whole epoch."):
        _claim(options)
        command = repeatable_command(["dags", *arguments])
        for seed_number in range(len(options.seeds)):
            for name in options.models:
                place = _train(options, task, name, options.seeds[: seed_number + 1], device, console)
                if seed_number == 0 and name == next(iter(models)):
                    _show(place, options.folder, console)
                write_report(options.folder, summarise(options.folder, task, command, machine))
        Console().say(markdown(summarise(options.folder, task, command, machine)).rstrip())
    return 0


def _train(
    options: DAGOptions, task: DAGTask, name: str, seeds: list[int], device: torch.device, console: Console
) -> Path:
    """Train and test the last of some seeds, and say where it lies; the first of them tries all learning rates."""
    spec, folder = options.plain["models"][name], options.folder / name

    def train(kind: TargetKind | None, lr: float, seed: int) -> _Trained:
        # Trainings on the task's own scale lie where they lie without a choice of scales.
        own = task.target is None or kind in (None, task.target.kind)
        scaled = task if own or kind is None else task.scaled(kind)
        place = (folder if own else folder / f"target_{kind}") / f"lr_{lr:g}" / f"seed_{seed}"
        title = f"{name}, {'' if kind is None else f'target {kind}, '}lr {lr:g}, seed {seed}"
        report = _progress(console, title, options.training.epochs)
        result = run_training(scaled, spec, options.training, lr, seed, place, report, device)
        return _Trained(scaled, kind, result, place)

    scales: list[TargetKind | None] = options.plain["target"] or [None]
    tried = [train(kind, lr, seeds[0]) for kind in scales for lr in options.plain["lr"]]
    best = max(tried, key=lambda each: rank(each.result["valid"], task.monitor))
    if len(seeds) > 1:
        best = train(best.kind, best.result["lr"], seeds[-1])
    if options.tests:
        evaluate_training(best.task, spec, options.training, best.place, device)
    return best.place


def _show(place: Path, folder: Path, console: Console) -> None:
    """Lay the pictures of a training's tests, if its task draws any, into the folder of the run."""
    for picture in sorted(place.glob("*.png")):
        replace_file(folder / picture.name, partial(shutil.copyfile, picture))
        console.say(f"a picture of the tests: {folder / picture.name}")


class _Trained(NamedTuple):
    """A finished training, and where it lies."""

    task: DAGTask
    kind: TargetKind | None
    result: dict[str, Any]
    place: Path


def parse(arguments: list[str]) -> DAGOptions:
    """Parse the arguments of ``plstm-graph dags``.

    Args:
        arguments: Without the name of the command.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If values do not go together.
    """
    parser = _make_parser()
    config = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(parser.dump(config, format="json", skip_unset=False))
    rates = learning_rates(values["lr"])
    known = values["models"]
    names = list(known) if config.only is None else config.only.split(",")
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise ValueError(f"there is no model {', '.join(missing) or 'at all'} in the configuration: {', '.join(known)}")
    for name in (config.name, *names):
        check_name(name)
    return DAGOptions(
        plain={
            "data": values["data"],
            "training": values["training"],
            "lr": rates,
            "target": _scales(values["target"]),
            "models": known,
        },
        training=parser.instantiate(config).training,
        models=names,
        seeds=parse_seeds(str(config.seeds)),
        device=config.device,
        threads=int(config.threads),  # not the class of the parser
        folder=Path(config.output or f"runs/dags/{config.name}"),
        tests=config.tests,
        written_to=config.folder,
        written_parts=None if config.folder_parts is None else config.folder_parts.split(","),
    )


def _scales(given: str | list[str] | None) -> list[str]:
    """Scales of targets to try; none for that of the task."""
    scales = given if isinstance(given, list) else [] if given is None else [given]
    if len(set(scales)) < len(scales) or given == []:
        raise ValueError(f"target must be a scale or a list of different ones, got {given}")
    return scales


def _make_parser() -> CommandParser:
    parser = CommandParser(prog="plstm-graph dags", description=f"{_DESCRIPTION} {HELP}", allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file; several are merged in order.")
    parser.add_argument("--name", type=str, required=True, help="Name of the run.")
    parser.add_argument("--only", type=str | None, default=None, help="Models to train, such as plstm,gin.")
    parser.add_argument("--seeds", type=str | int, default="0-2", help="Such as 0-4 or 0,2.")
    parser.add_argument(
        "--lr",
        type=PositiveFloat | list[PositiveFloat],
        default=1e-3,
        help="Peak learning rate, or several, of which validation picks one for each model.",
    )
    parser.add_argument(
        "--target",
        type=TargetKind | list[TargetKind] | None,
        default=None,
        help="Scale on which targets are learnt: raw, standard (mean 0, standard deviation 1), log (of 1 + target, "
        "then standard) or log1p (that logarithm itself), or several, of which validation picks one for each model, "
        "together with the learning rate. Metrics are of outputs brought back from it, so that they can be compared. "
        "(default: that of the task)",
    )
    parser.add_argument(
        "--tests",
        type=bool,
        default=True,
        help="Whether to test. Without, models are compared in validation, and no test is touched: for choices.",
    )
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=ThreadCount, default=2, help="CPU threads.")
    parser.add_argument("--output", type=str | None, default=None, help="Folder (default: runs/dags/NAME).")
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
    parser.add_argument("--data", type=dict[str, Any], required=True, help="Name of the task, and its options.")
    parser.add_argument("--models", type=dict[str, dict], required=True, help="Class and arguments of each model.")
    parser.add_class_arguments(Training, "training")
    return parser


def _claim(options: DAGOptions) -> None:
    """Write the configuration into the folder, unless it holds a run of other data or another way of training.

    Models and learning rates may be added; a model that is there must stay as it is.
    """
    plain, earlier = options.plain, read_configuration(options.folder)
    if earlier is not None:
        earlier = _make_parser().complete(earlier | {"name": options.folder.name})
        there = earlier["models"]
        again = {name: plain["models"][name] for name in options.models if name in there}
        found = differences(earlier, plain | {"models": there | again}, _OUTSIDE)
        refuse(options.folder, found + _other_order(earlier["data"], plain["data"]), "--name")
        plain = plain | {"models": there | plain["models"]}
    write_configuration(options.folder, plain)


def _other_order(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Whether the same tests stand in another order, which is another choice of graphs: their seeds go by it."""
    old, new = (list(tests) if isinstance(tests, dict) else [] for tests in (earlier.get("tests"), now.get("tests")))
    if old == new or sorted(map(str, old)) != sorted(map(str, new)):
        return []
    return [f"data.tests are in the order {', '.join(map(str, new))}, were in {', '.join(map(str, old))}"]


def _progress(console: Console, title: str, epochs: int) -> Callable[[Row], None]:
    """Prints a line for each epoch."""

    def report(row: Row) -> None:
        parts = [f"{name} {shown(value)}" for name, value in row.items() if name not in ("epoch", "lr", "seconds")]
        text = f"{title}, epoch {int(row['epoch']) + 1}/{epochs}: {', '.join(parts)}, {row['seconds']:.1f} s"
        console.say(text)

    return report
