"""``plstm-graph tune``: a search over options by Optuna, on validation alone; any study is its objective."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.report.search import CHOICE, shown, write_search
from plstm_graph.train.arguments import Given, repeatable_command
from plstm_graph.train.choices import chosen, suggest
from plstm_graph.train.command import StudyOptions, begin, claimed, load, parse
from plstm_graph.train.progress import StudyProgress
from plstm_graph.train.run_folder import going_on
from plstm_graph.train.runner import Runner, check_model
from plstm_graph.train.study import Study
from plstm_graph.train.trial import Trial

if TYPE_CHECKING:
    import optuna

_JOURNAL, _BEST = "optuna.journal", "best.yaml"
_KEPT = ("task", "model", "training", "trainer")


def run_tune(arguments: list[str], machine: Callable[[], dict[str, Any]], given: Given | None = None) -> int:
    """Run the command: try options until so many trials are finished, report the best, write its configuration.

    Arguments as of :func:`~plstm_graph.train.command.run_command`.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If task, model or options cannot be used, or every trial failed.
        OSError: If data cannot be had or results cannot be written.
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ValueError("tune needs Optuna: pip install 'plstm_graph[tune]'") from error
    options, console = parse(arguments, "tune", given), Console(stderr=True)
    study, (model, *others) = options.study, options.study.models
    if others:
        raise ValueError(f"tune is of one model, and there are {', '.join([model, *others])}: name one by --only")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begin(options, console)
    task = load(study)
    (metric, direction), *_ = task.monitor.items()
    about: dict[str, Any] = {"command": repeatable_command(["tune", *arguments]), "machine": machine()}
    console.say(
        f"the search is kept in {study.folder}, so that {study.folder.name.removesuffix('-tune')} is left to fit"
    )
    with going_on("The same command goes on; finished trainings are not run again."), claimed(study, task):
        journal = JournalFileBackend(str(study.folder / _JOURNAL))
        search = optuna.create_study(
            storage=optuna.storages.JournalStorage(journal),
            study_name=model,
            direction="maximize" if direction == "max" else "minimize",
            load_if_exists=True,
        )
        # Another seed than that of the choices that are there, or they would be proposed once more.
        seed = study.seeds[0] + len(search.trials)
        search.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=options.resources.workers > 1)
        runner = Runner(options.resources, about["machine"]["revision"])
        _search(search, _Objective(study, model, metric, runner, console), options)
        report = write_search(study.folder, search, f"valid/{metric}", about)
        best = chosen(study.plain | {"model": study.plain["models"][model]}, search.best_trial.user_attrs[CHOICE])
        winner = {"name": f"{study.folder.name}-best"} | {name: best[name] for name in _KEPT if best[name]}
        winner |= {"init_from": study.plain["init_from"]["path"]} if "init_from" in study.plain else {}
        winner |= {"seeds": ",".join(map(str, study.seeds)), "threads": options.resources.threads}
        replace_text(study.folder / _BEST, yaml.safe_dump(winner, sort_keys=False))
    Console().say(report.rstrip())
    Console().say(f"\nplstm-graph fit --config {study.folder / _BEST}    # trains with the best options, and tests")
    return 0


@dataclass(frozen=True)
class _Objective:
    """What a choice of options is worth: the mean of a metric in validation over seeds and folds."""

    study: Study
    model: str
    metric: str
    runner: Runner
    console: Console

    def of_all(self, choices: Sequence[dict[str, Any]]) -> list[float | None]:
        """Train with each choice, all at the same time if there are workers; None for what cannot be trained."""
        trials = [[self.study.trial(self.model, choice, each) for each in self.study.repeats] for choice in choices]
        possible = [of_choice for of_choice in trials if self._fits(of_choice[0])]
        with StudyProgress(self.console, self.study.plain["training"]["epochs"], transient=True) as progress:
            for _ in self.runner.finished([trial for of_choice in possible for trial in of_choice], progress):
                pass
        return [self._mean(of_choice) for of_choice in trials]

    def _fits(self, trial: Trial) -> bool:
        try:
            check_model(trial, like=self.study.trial(self.model, {}, self.study.repeats[0]))
        except ValueError as error:
            self.console.say(f"{trial.title}: {error}")
            return False
        return True

    def _mean(self, trials: Sequence[Trial]) -> float | None:
        results = [trial.result for trial in trials]
        values = [math.nan if result is None else result["valid"].get(self.metric, math.nan) for result in results]
        mean = statistics.fmean(values)
        return mean if math.isfinite(mean) else None


def _search(search: "optuna.Study", objective: _Objective, options: StudyOptions) -> None:
    """Ask for options and say what they are worth, until there are enough trials."""
    from optuna.trial import TrialState

    for left in search.get_trials(states=[TrialState.RUNNING]):  # by a process that was killed
        search.tell(left.number, state=TrialState.FAIL)
        search.enqueue_trial(left.params)
    done = len(search.get_trials(states=[TrialState.COMPLETE]))
    while done < options.num_trials:
        asked = [search.ask() for _ in range(min(options.resources.workers, options.num_trials - done))]
        choices = [suggest(each, options.space) for each in asked]
        for each, choice in zip(asked, choices, strict=True):
            each.set_user_attr(CHOICE, choice)
        for each, choice, value in zip(asked, choices, objective.of_all(choices), strict=True):
            search.tell(each, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
            done += 1
            text = ", ".join(f"{name} {shown(of)}" for name, of in choice.items())
            worth = "failed" if value is None else f"valid/{objective.metric} {value:.5g}"
            objective.console.say(f"{done}/{options.num_trials}: {worth} with {text}")
    if not search.get_trials(states=[TrialState.COMPLETE]):
        objective.runner.raise_failures(objective.study.folder)
        raise ValueError("no choice of options could be trained; what was wrong with each stands above")
