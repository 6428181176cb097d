"""Arguments of ``plstm-graph fit`` and ``tune``, read before anything that is slow to import."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt, restricted_number_type

from plstm_graph.config.names import HELP, OPTION, allowed_names
from plstm_graph.config.parser import CommandParser
from plstm_graph.config.written import check_arguments
from plstm_graph.datasets.table import parse_table
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
also with more --trials; it ends with a table, a picture and best.yaml, a configuration for fit."""
_DESCRIPTIONS: dict[Command, str] = {"fit": _FIT, "tune": _TUNE}

#: The values as the parser has them, and as plain values.
Given = tuple[Namespace, dict[str, Any]]

_SMALL = 5_000_000  # bytes of a table that is read in a moment


@dataclass
class _Fit:
    """What is trained, and where.

    Args:
        task: Name of the task, and its options.
        name: Name of the run. (default: of the task and its models)
        only: Models to train, such as plstm,gin.
        seeds: Such as 0-4 or 0,2.
        folds: Number of folds, 3 or more, each of which is tested once while the next one validates; or some of those
            that a task has, such as 0-1 or 0,3.
        choose: Values of options, of which validation picks one for each model, such as {training.lr: [0.001, 0.01],
            task.target_scale: [raw, log], model.num_layers: [1, 2]}. Metrics are of outputs in the unit of the targets.
        tests: Whether to test. Without, models are compared in validation, and no test is touched: for choices.
        baselines: Whether simple models are fitted for the report, where there are any.
        device: cpu, cuda, cuda:1, ...
        threads: CPU threads of each process.
        workers: Trainings that run at the same time.
        cluster: Let the workers of a Dask cluster train, which see the same folders: dask://HOST:PORT of its scheduler,
            or dask://FILE that it wrote.
        output: Folder (default: runs/NAME).
        folder: Write the graphs of the task to this folder for check, fit, predict and explain, and train nothing.
        folder_parts: Parts to write, such as train,valid,test_tiles. (default: train, valid and the first test)
        model: Class and arguments of a model; --model.KEY VALUE sets one of its arguments.
        models: Those of several models, by their names.
        entry: What OGB's form asks of each model of a benchmark beyond its trainings: method, external_data, official,
            contact, code, paper, and tuned, values tried of options with a star at the selected one.
    """

    task: dict[str, Any]
    name: str | None = None
    only: str | None = None
    seeds: str | int = "0-2"
    folds: str | int | None = None
    choose: dict[str, Any] = field(default_factory=dict)
    tests: bool = True
    baselines: bool = True
    device: str = "auto"
    threads: ThreadCount = 2  # type: ignore[valid-type]
    workers: PositiveInt = 1
    cluster: str | None = None
    output: str | None = None
    folder: str | None = None
    folder_parts: str | None = None
    model: dict | str | None = None
    models: dict[str, dict] = field(default_factory=dict)
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


def read_arguments(arguments: list[str], command: Command) -> Given:
    """Parse the arguments of a command, and look for what is wrong with them at first sight.

    What they name is not looked up yet.

    Returns:
        The values as the parser has them, and as plain values.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If a value is out of range, or a table of molecules lacks a column.
    """
    parser = _make_parser(command)
    config = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(parser.dump(config, format="json", skip_unset=False))
    Training(**values["training"])  # checks its values before anything starts
    check_arguments([values["model"], values["models"]])
    _check_columns(values["task"])
    return config, values


def _check_columns(task: Mapping[str, Any]) -> None:
    """Look for the columns of a small table of molecules; all else that may be wrong shows when it is loaded."""
    path, columns = task.get("path"), task.get("target_columns")
    if task.get("name") != "molecules" or not isinstance(path, str) or not Path(path).is_file():
        return
    if Path(path).stat().st_size > _SMALL:
        return
    table, _ = parse_table(Path(path).read_bytes(), Path(path))
    names = [task.get("smiles_column", "smiles"), *(columns if isinstance(columns, list) else [])]
    for name in [*names, task.get("group_column")]:
        if isinstance(name, str):
            table.position(name)


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


def parse_seeds(text: str) -> list[int]:
    """Seeds of a text, see :func:`parse_numbers`."""
    return parse_numbers(text, "seeds", 2**32)


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
