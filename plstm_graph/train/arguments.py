"""Arguments of ``plstm-graph fit`` and ``tune``, read before anything that is slow to import."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
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


def read_arguments(arguments: list[str], command: Command) -> Given:
    """Parse the arguments of a command, and look for what is wrong with them at first sight.

    What they name is not looked up yet.

    Args:
        arguments: Without the name of the command.
        command: Its name.

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
    parser.add_argument(
        "--name", type=str | None, default=None, help="Name of the run. (default: of the task and its models)"
    )
    parser.add_argument("--only", type=str | None, default=None, help="Models to train, such as plstm,gin.")
    parser.add_argument("--seeds", type=str | int, default="0-2", help="Such as 0-4 or 0,2.")
    parser.add_argument(
        "--folds",
        type=str | int | None,
        default=None,
        help="Number of folds, 3 or more, each of which is tested once while the next one validates; or some of those "
        "that a task has, such as 0-1 or 0,3.",
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


#: CPU threads; more than anybody has would take the process down.
ThreadCount = restricted_number_type("ThreadCount", int, [(">=", 1), ("<=", 1024)])

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
