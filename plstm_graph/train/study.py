"""Several trainings that are reported together: models, choices of options that validation makes, seeds."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from plstm_graph.config.fitting import fitting
from plstm_graph.config.run_config import differences, read_configuration, refuse, write_configuration
from plstm_graph.tasks.task import rank
from plstm_graph.train.choices import chosen, folder_name
from plstm_graph.train.run_folder import RUNNING
from plstm_graph.train.training import Training
from plstm_graph.train.trial import Trial

#: Options that may change between commands of one study: choices may be added, data may move, steps be compiled.
_FREE = ("choose", "task.root", "task.source", "training.workers", "training.compile")


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
        plain (dict): What decides the numbers: ``task``, ``models``, ``training``, ``trainer``, and ``choose``, values
            of dotted options of which validation picks one for each model.
        models (list[str]): Names of the models that are trained.
        seeds (list[int]): In the order in which they run.
        folder (Path): Where all trials lie.
        baselines (bool): Whether simple models stand beside in the report.
        folds (list[int]): Folds of the task, each trained with every seed; none for tasks without.
    """

    plain: dict[str, Any]
    models: Sequence[str]
    seeds: Sequence[int]
    folder: Path
    folds: Sequence[int] = ()
    baselines: bool = True

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
