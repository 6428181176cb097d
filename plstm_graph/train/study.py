"""Several trainings that are reported together: models, choices of options that validation makes, seeds.

And the models of a finished study, to be evaluated further.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch_geometric.data import Data

from plstm_graph.config.fitting import fitting
from plstm_graph.config.run_config import differences, read_configuration, refuse, write_configuration
from plstm_graph.tasks.batches import batches_in_order
from plstm_graph.tasks.task import Row, Shard, Task, rank
from plstm_graph.train.choices import check_choices, chosen, folder_name
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.run_folder import RUNNING, check_name
from plstm_graph.train.training import Training
from plstm_graph.train.trial import Trial, trained_model

#: Options that may change between commands of one study: choices may be added, files may move, steps be compiled.
_FREE = ("choose", "task.root", "task.source", "training.workers", "training.compile", "init_from.path")
_SCALE = "task.target_scale"


class Repeat(NamedTuple):
    """A seed, and a fold of tasks that have folds."""

    seed: int
    fold: int | None = None

    @property
    def places(self) -> list[str]:
        """Folders of its trial."""
        return [*([] if self.fold is None else [f"fold_{self.fold}"]), f"seed_{self.seed}"]


@dataclass(frozen=True)
class Study:
    """Models side by side on a task, under equal terms.

    Attributes:
        plain (dict): What decides the numbers: ``task``, ``models``, ``training``, ``trainer``, ``init_from``,
            path and digest of the checkpoint that all trainings begin from, and ``choose``, values of dotted options of
            which validation picks one for each model.
        models (list[str]): Names of the models that are trained.
        seeds (list[int]): In the order in which they run.
        folder (Path): Where all trials lie.
        baselines (bool): Whether simple models stand beside in the report.
        baselines_seconds (float): Time in which these are fitted, all together.
        folds (list[int]): Folds of the task, each trained with every seed; none for tasks without.
    """

    plain: dict[str, Any]
    models: Sequence[str]
    seeds: Sequence[int]
    folder: Path
    folds: Sequence[int] = ()
    baselines: bool = True
    baselines_seconds: float = 180.0

    @property
    def repeats(self) -> list[Repeat]:
        """How often each model is trained; the first of them tries all choices."""
        return [Repeat(seed, fold) for fold in (self.folds or (None,)) for seed in self.seeds]

    @property
    def choices(self) -> Iterator[dict[str, Any]]:
        """Every combination of the values to choose from; one without any if there is no choice."""
        names = list(self.plain["choose"])
        for values in itertools.product(*self.plain["choose"].values()):
            yield dict(zip(names, values, strict=True))

    def trial(self, model: str, choice: Mapping[str, Any], repeat: Repeat) -> Trial:
        """One training of the study."""
        plain = chosen(self.plain | {"model": self.plain["models"][model]}, choice)
        places = [f"{name.rpartition('.')[2]}_{folder_name(value)}" for name, value in choice.items()]
        return Trial(
            model=model,
            spec=plain["model"],
            task=plain["task"] | ({} if repeat.fold is None else {"fold": repeat.fold}),
            training=Training(**fitting(Training, plain["training"], "training")),
            seed=repeat.seed,
            fold=repeat.fold,
            folder=self.folder.joinpath(model, *places, *repeat.places),
            choice=choice,
            init_from=plain.get("init_from"),
        )

    def first_trials(self, model: str) -> list[Trial]:
        """Those of the first repeat, one for each choice."""
        return [self.trial(model, choice, self.repeats[0]) for choice in self.choices]

    def best_choice(self, model: str, monitor: Mapping[str, Any]) -> dict[str, Any] | None:
        """What validation picks for a model; None until all trials of the first repeat are finished.

        Where there is nothing to choose from, that is nothing, from the start.
        """
        if not self.plain["choose"]:
            return {}
        results = [trial.result for trial in self.first_trials(model)]
        finished = [result for result in results if result is not None]
        if len(finished) < len(results):
            return None
        return max(finished, key=lambda result: rank(result["valid"], monitor))["choice"]

    def claim(self) -> None:
        """Write the configuration into the folder, unless it holds a study of other data or another way of training.

        Models and choices may be added; a model that is there must stay as it is.

        Raises:
            ValueError: If the folder holds another study; it names the first differences.
            OSError: If the folder cannot be written.
        """
        plain, earlier = self.plain, read_configuration(self.folder)
        if earlier is None:
            others = [path for path in self.folder.iterdir() if path.name != RUNNING] if self.folder.is_dir() else []
            missing = ["it has no config.yaml"] if others else []
            refuse(self.folder, missing, "--name")
        else:
            there = earlier.get("models") or {}
            again = {name: plain["models"][name] for name in self.models if name in there}
            found = differences(completed(earlier), plain | {"models": there | again}, _FREE)
            refuse(self.folder, found + _other_order(earlier["task"], plain["task"]), "--name")
            plain = plain | {"models": there | plain["models"]}
        write_configuration(self.folder, plain)


def completed(plain: dict[str, Any]) -> dict[str, Any]:
    """A configuration of an earlier revision, with the defaults of options that it did not have yet."""
    return {"trainer": {}} | plain | {"training": vars(Training()) | (plain.get("training") or {})}


def _other_order(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Whether the same tests stand in another order, which is another choice of graphs: their seeds go by it."""
    old, new = (list(tests) if isinstance(tests, dict) else [] for tests in (earlier.get("tests"), now.get("tests")))
    if old == new or sorted(map(str, old)) != sorted(map(str, new)):
        return []
    return [f"task.tests are in the order {', '.join(map(str, new))}, were in {', '.join(map(str, old))}"]


class TrainedModel(NamedTuple):
    """A trained model, and the task with targets on the scale that it learned."""

    name: str
    seed: int
    model: nn.Module
    task: Task

    def score(self, graphs: Sequence[Data], batch_size: int = 1) -> Row:
        """Metrics over graphs, prepared as those of the task."""
        batches = batches_in_order(graphs, batch_size, torch.device("cpu"), Shard(), self.task.needs(self.model))
        output, columns = outputs_of(self.model, batches, self.task)
        return self.task.score(output, **columns)


def reported_trials(folder: Path) -> list[Trial]:
    """The trials that the report of a study is of.

    Raises:
        OSError: If there is no report.
        ValueError: If it is no report of a study.
    """
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        config = {name: dict(report["config"][name]) for name in ("task", "models", "training")}
        config["choose"] = check_choices(report["config"]["choose"])
        found = [(name, row) for name, model in report["models"].items() for row in model["seeds"]]
        study = Study(config, list(config["models"]), [0], folder)
        for name in config["models"]:
            check_name(name)
        for _, row in found:
            numbers = [row["seed"], *([] if row.get("fold") is None else [row["fold"]])]
            if not all(type(number) is int for number in numbers) or row["choice"] not in list(study.choices):
                raise ValueError(f"there is no training such as {row}"[:200])
        trials = [study.trial(name, row["choice"], Repeat(row["seed"], row.get("fold"))) for name, row in found]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no report of a study: {type(error).__name__} {error}") from error
    if not trials:
        raise ValueError(f"{path} is no report of a study: it has no trainings")
    return trials


def trained_models(folder: str | Path, task: Task) -> Iterator[TrainedModel]:
    """The models that a study reports, one for each seed, ready to be evaluated on the CPU.

    Args:
        folder: Of the study, with ``report.json``.
        task: The task of that study.

    Raises:
        OSError: If there is no such study.
        ValueError: If weights do not fit.
    """
    for trial in reported_trials(Path(folder)):
        scale = trial.choice.get(_SCALE)
        scaled = task if scale is None else task.scaled(scale)
        yield TrainedModel(trial.model, trial.seed, trained_model(trial, scaled, torch.device("cpu")), scaled)
