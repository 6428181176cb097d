"""The command line of ``plstm-graph crossval`` and the folder of its results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt

from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.datasets.storage.plain_values import load_yaml
from plstm_graph.train.claimed_folder import claim_folder, differences_to, write_configuration
from plstm_graph.train.command_parser import CommandParser
from plstm_graph.train.crossval.fold import NUM_FOLDS, FoldOptions, GraphOptions, ModelFactory
from plstm_graph.train.loop import COMPILE_HELP
from plstm_graph.train.options import parse_numbers
from plstm_graph.train.registry import HELP

_DESCRIPTION = """Cross-validate a graph classifier on a set of the TU Dortmund collection by the paper's protocol: ten
stratified folds, one ninth of the rest to validate, the best validation epoch tested once. Everything can stand in a
YAML file (--config); options given after it override it. The same command goes on after an interruption."""

#: Short names of models. PLSTM has its own place in the package.
MODELS = {
    "plstm": "plstm_graph.nn.PLSTM",
    "gcn": "plstm_graph.nn.baselines.GCN",
    "gat": "plstm_graph.nn.baselines.GAT",
    "gin": "plstm_graph.nn.baselines.GIN",
    "mpnn": "plstm_graph.nn.baselines.MPNN",
    "lstm-gnn": "plstm_graph.nn.baselines.LSTMGNN",
}
# Options that change where things lie or how fast they go, but not what comes out.
_OUTSIDE = ("config", "folds", "jobs", "output", "device", "compile", "data.source", "data.root")


def make_parser() -> CommandParser:
    """The parser of all options."""
    parser = CommandParser(prog="plstm-graph crossval", description=f"{_DESCRIPTION} {HELP}", allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file; several are merged in order.")
    parser.add_argument("--folds", type=str, default=f"0-{NUM_FOLDS - 1}", help="Folds, such as 0-9 or 0,3.")
    parser.add_argument("--jobs", type=PositiveInt, default=2, help="Folds that run at the same time, a thread each.")
    parser.add_argument(
        "--output", type=str | None, default=None, help="Folder of the results. (default: runs/crossval/SET-MODEL)"
    )
    parser.add_argument("--device", type=str, default="cpu", help="cpu, cuda, ..., or auto.")
    parser.add_argument("--compile", type=bool, default=False, help=COMPILE_HELP)
    parser.add_argument(
        "--model",
        type=ModelFactory,
        default={"class_path": MODELS["plstm"]},
        help=f"{', '.join(MODELS)}, or the class of a model called as model(targets, node features, edge features).",
    )
    parser.add_class_arguments(GraphOptions, "data")
    parser.add_class_arguments(FoldOptions, "training")
    return parser


def expand(arguments: Sequence[str]) -> list[str]:
    """Arguments with short names of models replaced by their classes and ``--seed`` by ``--training.seed``."""
    expanded: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if expanded and expanded[-1] == "--model" and argument.lower() in MODELS:
            argument = MODELS[argument.lower()]
        elif name == "--model" and value.lower() in MODELS:
            argument = f"--model={MODELS[value.lower()]}"
        elif name in ("--seed", "--split_seed"):
            argument = f"--training.{name[2:]}{equals}{value}"
        expanded.append(argument)
    return expanded


def parse_folds(text: str) -> list[int]:
    """Numbers of folds from ``"0-9"`` or ``"0,3,5-7"``.

    Raises:
        ValueError: If it is something else.
    """
    return parse_numbers(text, "folds", NUM_FOLDS)


def plain_config(parser: CommandParser, config: Any) -> dict[str, Any]:
    """All options as plain values."""
    return load_yaml(parser.dump(config, skip_unset=False))


def open_folder(output: str | None, plain: dict[str, Any]) -> Path:
    """The folder of the results of a configuration, new or with the folds that are finished already.

    Args:
        output: As the user gave it.
        plain: All options.

    Raises:
        ValueError: If the folder holds results of another configuration; it names the differences.
    """
    parser = make_parser()
    if output is not None:
        folder = Path(output)
        claim_folder(folder, plain, parser, _OUTSIDE, "--output")
        return folder
    name = f"{plain['data']['name']}-{plain['model']['class_path'].rpartition('.')[2]}"
    runs, number = Path("runs/crossval"), 1
    folder = runs / name
    while differences_to(folder, plain, parser, _OUTSIDE):
        number += 1
        folder = runs / f"{name}-{number}"
    write_configuration(folder, plain)
    return folder


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Results of the finished folds, in their order.

    Raises:
        ValueError: If a line cannot be read.
    """
    path = folder / "results.jsonl"
    if not path.is_file():
        return []
    results = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number} is not JSON ({error}); remove it to run its fold again") from error
    return sorted(results, key=lambda result: result["fold"])


def write_results(folder: Path, results: list[dict[str, Any]]) -> None:
    """Write the results of the finished folds, a line each, all or nothing."""
    text = "".join(json.dumps(result) + "\n" for result in results)
    replace_text(folder / "results.jsonl", text)
