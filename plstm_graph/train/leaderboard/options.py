"""The options of ``plstm-graph leaderboard``."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from jsonargparse.typing import PositiveInt
from torch import nn

from plstm_graph.config.names import HELP
from plstm_graph.config.parser import CommandParser
from plstm_graph.datasets.benchmark import load_benchmark
from plstm_graph.train.loop import COMPILE_HELP
from plstm_graph.train.options import ThreadCount, Training, parse_seeds
from plstm_graph.train.run_folder import check_name

_DESCRIPTION = """Train a model on a benchmark (OGB's ogbg-mol... sets and ogbg-code2, LRGB's peptides) with several
seeds, pick each seed's epoch by the official validation metric, and report what OGB's leaderboard form asks. The same
command goes on after an interruption; finished seeds are not run again. Everything can stand in a YAML file
(--config)."""


@dataclass
class Entry:
    """What OGB's form asks beyond the run itself.

    Args:
        method: Name of the method.
        external_data: Whether anything but the benchmark's training graphs was learned from.
        official: Whether authors of the method submit it.
        contact: Name and email address.
        code: Address of the public code.
        paper: Address of the paper or technical report.
    """

    method: str = "pLSTM"
    external_data: bool = False
    official: bool = False
    contact: str = ""
    code: str = ""
    paper: str = "https://arxiv.org/abs/2506.11997"


@dataclass
class Options:
    """A parsed command.

    Attributes:
        plain (dict): What decides the numbers: plain sections ``data``, ``model`` and ``training``, and ``device``.
        seeds (list[int]): Seeds in the order in which they run.
        entry (Entry): For the report.
        tuned (dict): Values tried of each tuned hyper-parameter; a star marks the selected one.
        output (str): Folder of the run.
        jobs (int): Seeds that run at the same time.
        threads (int): CPU threads of each.
        compile (bool): Whether training steps are compiled.
        export (str, optional): Where the best model goes.
    """

    plain: dict[str, Any]
    seeds: list[int]
    entry: Entry
    tuned: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    jobs: int = 1
    threads: int = 1
    compile: bool = False
    export: str | None = None


def parse(arguments: list[str]) -> Options:
    """Parse the arguments of ``plstm-graph leaderboard``.

    Args:
        arguments: Without the name of the command.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If values do not go together.
    """
    parser = make_parser()
    config = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(parser.dump(config, format="json", skip_unset=False))
    entry = Entry(**values["entry"])
    Training(**values["training"])  # checks its values before anything starts
    name = config.name or f"{config.data.name}-{entry.method}".lower()
    name = name if config.name else re.sub(r"[^a-z0-9]+", "-", name).strip("-")
    check_name(name)
    check_tuned(config.tuned)
    return Options(
        plain={key: values[key] for key in ("data", "model", "training", "device")},
        seeds=parse_seeds(str(config.seeds)),
        entry=entry,
        tuned=values["tuned"],
        output=config.output or f"runs/leaderboard/{name}",
        jobs=config.jobs,
        threads=int(config.threads),  # not the class of the parser
        compile=config.compile,
        export=config.export,
    )


def check_tuned(tuned: dict[str, list[Any]]) -> None:
    """Check that of the values tried of each hyper-parameter one is marked as selected.

    Args:
        tuned: Such as ``{"lr": ["0.001*", 0.01]}``.

    Raises:
        ValueError: If not exactly one value has a star.
    """
    for name, tried in tuned.items():
        if sum(str(value).endswith("*") for value in tried) != 1:
            raise ValueError(
                f"tuned.{name} must mark the selected value with a star, as in [0.001*, 0.01], got {tried}"
            )


def make_parser() -> CommandParser:
    """The parser of all options."""
    parser = CommandParser(prog="plstm-graph leaderboard", description=f"{_DESCRIPTION} {HELP}")
    parser.add_argument("--config", action="config", help="YAML file with options.")
    parser.add_argument(
        "--name", type=str | None, default=None, help="Name of the run (default: that of the data and the method)."
    )
    parser.add_argument("--seeds", type=str | int, default="0-9", help="Such as 0-9 or 0,3,5-7.")
    parser.add_argument("--jobs", type=PositiveInt, default=1, help="Seeds that run at the same time.")
    parser.add_argument("--threads", type=ThreadCount, default=1, help="CPU threads of each seed.")
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--output", type=str | None, default=None, help="Folder (default: runs/leaderboard/NAME).")
    parser.add_argument("--compile", type=bool, default=False, help=COMPILE_HELP)
    parser.add_argument(
        "--export", type=str | None, default=None, help="Best model, for predict (default: OUTPUT/best.ckpt)."
    )
    parser.add_function_arguments(load_benchmark, "data")
    parser.add_argument("--model", type=nn.Module, required=True, help="Class and arguments of the model.")
    parser.add_argument("--training", type=Training, default=Training())
    parser.add_argument("--entry", type=Entry, default=Entry(), help="What the form asks beyond the run.")
    parser.add_argument(
        "--tuned",
        type=dict[str, list[Any]],
        default={},
        help="Values tried of each tuned hyper-parameter, the selected one with a star.",
    )
    return parser
