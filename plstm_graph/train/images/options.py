"""The options of ``plstm-graph images`` and the folder of its results."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveFloat
from torch import nn

from plstm_graph.datasets.images.task import load_image_task
from plstm_graph.train.claimed_folder import claim_folder
from plstm_graph.train.command_parser import CommandParser
from plstm_graph.train.images.run import ImageTraining
from plstm_graph.train.options import ThreadCount, learning_rates, parse_seeds
from plstm_graph.train.registry import HELP
from plstm_graph.train.run_folder import check_name

_DESCRIPTION = """Train an image classifier (arrow pointing, Fashion-MNIST, CIFAR-10, ImageNet-1k) with several seeds,
and test it. Of several learning rates, the first seed picks the one with the best validation accuracy, for all seeds.
The same command goes on after an interruption; finished trainings are not run again. Everything can stand in YAML
files (--config, merged in order)."""
# Options that change where things lie or how fast they go, but not what comes out of a training.
_OUTSIDE = ("lr", "data.root", "training.workers")


@dataclass
class ImageOptions:
    """A parsed command.

    Attributes:
        plain (dict): What decides the numbers: plain sections ``data``, ``model``, ``training`` and ``lr``.
        training (ImageTraining): The section ``training``.
        seeds (list[int]): Seeds in the order in which they run.
        device (str): Where.
        threads (int): CPU threads.
        folder (Path): Folder of the run.
    """

    plain: dict[str, Any]
    training: ImageTraining
    seeds: list[int]
    device: str
    threads: int
    folder: Path

    @property
    def learning_rates(self) -> list[float]:
        """Candidates, of which validation picks one."""
        return self.plain["lr"]


def parse(arguments: list[str]) -> ImageOptions:
    """Parse the arguments of ``plstm-graph images``.

    Args:
        arguments: Without the name of the command.

    Raises:
        SystemExit: If they are not understood, after a message on stderr.
        ValueError: If values do not go together.
    """
    parser = _make_parser()
    config = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(parser.dump(config, format="json", skip_unset=False))
    training = parser.instantiate(config).training
    rates = learning_rates(values["lr"])
    name = config.name or f"{config.data.name}-{config.model.class_path.rpartition('.')[2]}".lower()
    check_name(name)
    return ImageOptions(
        plain={"data": values["data"], "model": values["model"], "training": values["training"], "lr": rates},
        training=training,
        seeds=parse_seeds(str(config.seeds)),
        device=config.device,
        threads=int(config.threads),  # not the class of the parser
        folder=Path(config.output or f"runs/images/{name}"),
    )


def claim(options: ImageOptions) -> None:
    """Write the configuration into the folder of the run, unless it holds a run of another one.

    Learning rates may be added; the number of loading processes and the place of the data do not matter.

    Raises:
        ValueError: If data, model or training differ; it names the first differences.
    """
    claim_folder(options.folder, options.plain, _make_parser(), _OUTSIDE, "--name")


def _make_parser() -> CommandParser:
    parser = CommandParser(prog="plstm-graph images", description=f"{_DESCRIPTION} {HELP}", allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file; several are merged in order.")
    parser.add_argument(
        "--name", type=str | None, default=None, help="Name of the run (default: that of the data and the model)."
    )
    parser.add_argument("--seeds", type=str | int, default="42-44", help="Such as 42-46 or 42,44.")
    parser.add_argument(
        "--lr",
        type=PositiveFloat | list[PositiveFloat],
        default=1e-3,
        help="Peak learning rate, or several, of which validation picks one.",
    )
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=ThreadCount, default=2, help="CPU threads.")
    parser.add_argument("--output", type=str | None, default=None, help="Folder (default: runs/images/NAME).")
    parser.add_function_arguments(load_image_task, "data")
    parser.add_argument("--model", type=nn.Module, required=True, help="Class and arguments of the model.")
    parser.add_class_arguments(ImageTraining, "training")
    return parser
