"""One training of one model on a task: a seed, a choice of options; a folder that goes on where it stopped."""

import json
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric import seed_everything

from plstm_graph.datasets.storage.files import replace_file, replace_json
from plstm_graph.nn.parameters import count_parameters
from plstm_graph.tasks.confusion import plain_confusion
from plstm_graph.tasks.metrics import to_prediction
from plstm_graph.tasks.spread import members_mean
from plstm_graph.tasks.task import Row, Shard, Task
from plstm_graph.train.calibrate import Sureness, calibrate
from plstm_graph.train.checkpoint import FORMAT, KEY, load_weights, read_checkpoint
from plstm_graph.train.engine import outputs_of, outputs_of_members, train
from plstm_graph.train.freezing import check_head
from plstm_graph.train.training import Training
from plstm_graph.train.transfer import Taken, take_weights

_CONFUSION = "confusion"  # beside the names of tests in tests.json


@dataclass(frozen=True)
class Trial:
    """What one training is.

    Attributes:
        model (str): Name of the model in its study.
        spec (dict): ``class_path`` and ``init_args`` of the model.
        task (dict): Name and options of the task.
        training (Training): How it is trained.
        seed (int): Of weights, order and dropout.
        fold (int, optional): Of the task.
        init_from (dict, optional): Path and digest of the checkpoint whose weights it begins with.
        choice (dict): Options that this trial has in place of those of its study, by their dotted names.
        folder (Path): ``epochs.jsonl``, ``last.ckpt`` (to go on from, until finished), ``best.ckpt`` (weights of the
            epoch that validation picked), ``result.json`` (once finished), ``tests.json`` (once tested), and what the
            task draws of the tests.
    """

    model: str
    spec: Mapping[str, Any]
    task: Mapping[str, Any]
    training: Training
    seed: int
    folder: Path
    fold: int | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    init_from: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        """The trial in a few words."""
        choice = [f"{name} {value}" for name, value in self.choice.items()]
        fold = [] if self.fold is None else [f"fold {self.fold}"]
        return ", ".join([self.model, *choice, *fold, f"seed {self.seed}"])

    @property
    def result(self) -> dict[str, Any] | None:
        """What ``result.json`` says, if the training is finished."""
        return read_result(self.folder)

    @property
    def tests(self) -> dict[str, Row] | None:
        """Metrics of the tests by their names, if they were made."""
        return read_tests(self.folder)

    def recipe(self, model: nn.Module, task: Task) -> dict[str, Any]:
        """What rebuilds the model, and predicts with it, plain values."""
        plain = {"format": FORMAT, "task": dict(self.task), "model": dict(self.spec), "seed": self.seed}
        return plain | task.recipe(model, self.spec, self.training.members)

    def start(self, model: nn.Module, recipe: Mapping[str, Any]) -> Taken | None:
        """Give a new model the weights that it begins with, if those are of a checkpoint.

        Raises:
            OSError: If there is no checkpoint.
            ValueError: If it does not fit, or one cannot tell what is frozen.
        """
        if self.init_from is None:
            return None
        check_head(model, self.training)
        return take_weights(model, recipe, self.init_from)


def make_model(spec: Mapping[str, Any], task: Task, training: Training) -> nn.Module:
    """A new model that fits a task; several of them, side by side, if the training is of several members."""
    return task.make_model(spec, training.members)


def run_trial(
    trial: Trial, task: Task, trainer: Mapping[str, Any], report: Callable[[Row], None], revision: str | None = None
) -> dict[str, Any]:
    """Train, or go on with a training that was interrupted. A finished one is not run again.

    Args:
        trial: What to train.
        task: Made of ``trial.task``.
        trainer: Options of :class:`lightning.pytorch.Trainer`.
        report: Called with the metrics of each epoch.
        revision: Of the code, for the record.

    Returns:
        What ``result.json`` says: validation metrics of the selected epoch, sizes, times and memory.

    Raises:
        ValueError: If the model does not fit the task.
        FloatingPointError: If a loss is not finite.
        KeyboardInterrupt: If it was stopped.
    """
    finished, last = trial.result, trial.folder / "last.ckpt"
    if finished is not None:
        last.unlink(missing_ok=True)  # if it was killed at the very end
        return finished
    seed_everything(trial.seed)
    model = make_model(trial.spec, task, trial.training)
    recipe = trial.recipe(model, task)
    taken = trial.start(model, recipe)
    names = () if taken is None else taken.names
    trained = train(task, model, trial.training, trial.folder, recipe, trainer, report, names)
    epoch = max(best.epoch for best in trained.best)
    validate = partial(_score, model.to(trained.device), task, trial.training, trainer.get("precision"))
    if len(trained.best) == 1 and not task.looks_again:
        row = trained.best[0].row
        valid = {name.removeprefix("valid/"): row[name] for name in row if name.startswith("valid/")}
    else:
        valid = validate("valid")
    seconds = [row["seconds"] for row in trained.rows]
    result = {
        "model": trial.model,
        "seed": trial.seed,
        "fold": trial.fold,
        "choice": dict(trial.choice),
        "parameters": count_parameters(model),
        "epoch": epoch + 1,
        "epochs": len(seconds),
        "seconds": sum(seconds),
        "seconds_per_epoch": statistics.median(seconds),
        "peak_memory_mib": _peak_memory(),
        "revision": revision,
        "valid": valid,
        "validations": {part: validate(part) for part in task.validations},
    }
    if trained.is_first:
        outputs = partial(_outputs, model, task, trial.training, trainer.get("precision"))
        calibrated = calibrate(task, outputs)
        result["sureness"] = calibrated.notes
        model.cpu()
        state = {KEY: recipe | calibrated.plain, "state_dict": model.state_dict(), **calibrated.tensors}
        replace_file(trial.folder / "best.ckpt", lambda path: torch.save(state, path))
        replace_json(trial.folder / "result.json", result)
        last.unlink(missing_ok=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()  # all processes go on with what this one has written
    return result


def test_trial(trial: Trial, task: Task, device: torch.device, precision: Any = None) -> dict[str, Row]:
    """Metrics of a finished trial on every test of its task; tests that were made already are read.

    Args:
        trial: The trial; ``skip_tests`` of its model names tests that are left out, for what a model cannot hold.
        task: Made of ``trial.task``.
        device: Where.
        precision: Of the trainer that trained it.
    """
    made = trial.tests
    if made is not None:
        return made
    model, checkpoint = _read_trained(trial, task, device)
    sureness = Sureness.of_checkpoint(checkpoint, task)
    tests: dict[str, Row] = {}
    outputs = {}
    for name in task.tests:
        if name in (trial.spec.get("skip_tests") or ()):
            continue
        started = time.perf_counter()
        members, columns = _outputs(model, task, trial.training, precision, name)
        output = members_mean(members)
        row = task.score(output, **columns) | task.part_scores(name, output)
        row |= sureness.scores(name, members)
        tests[name] = row | {"seconds": time.perf_counter() - started}
        outputs[name] = task.restored(output)
        finished = trial.result
        if name == "test" and task.labelled is not None and finished is not None:
            sureness.report(trial.folder, members, finished["epoch"])
    for picture, figure in task.pictures(outputs).items():
        replace_file(trial.folder / picture, partial(figure.savefig, format="png", dpi=130))
    replace_json(trial.folder / "tests.json", tests | _confused(task, outputs))
    return tests


def _confused(task: Task, outputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Which classes of graphs with names are taken for which in the test, for ``tests.json``."""
    labelled = task.labelled
    if labelled is None or "test" not in outputs or task.kind in ("regression", "sequence"):
        return {}
    predicted, target = to_prediction(outputs["test"], task.kind), labelled.targets("test")
    return {_CONFUSION: plain_confusion(predicted, target, task.kind, labelled.target_names, labelled.classes)}


def trained_model(trial: Trial, task: Task, device: torch.device) -> nn.Module:
    """The model of a finished trial, in evaluation mode.

    Raises:
        OSError: If it is not there.
        CheckpointError: If its weights are damaged, or those of another model.
    """
    return _read_trained(trial, task, device)[0]


def _read_trained(trial: Trial, task: Task, device: torch.device) -> tuple[nn.Module, dict[str, Any]]:
    """The model of a finished trial, and its checkpoint."""
    path = trial.folder / "best.ckpt"
    checkpoint = read_checkpoint(path, device)
    model = make_model(trial.spec, task, trial.training).to(device)
    load_weights(model, checkpoint["state_dict"], path, f"; remove the folder {trial.folder} to train it anew")
    return model.eval(), checkpoint


def _score(model: nn.Module, task: Task, training: Training, precision: Any, part: str) -> Row:
    """Metrics of a trained model on a part."""
    output, columns = outputs_of(model.eval(), _batches(model, task, training, part), task, precision)
    return task.score(output, **columns)


def _outputs(
    model: nn.Module, task: Task, training: Training, precision: Any, part: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """What each member of a trained model gives for a part, ``[M, n, ...]``, and the columns."""
    return outputs_of_members(model.eval(), _batches(model, task, training, part), task, precision)


def _batches(model: nn.Module, task: Task, training: Training, part: str) -> Iterator[Any]:
    device = next(model.parameters()).device
    return task.batches(part, task.needs(model), training.batch_size, device, Shard(), training.workers)


def read_result(folder: Path) -> dict[str, Any] | None:
    """What ``result.json`` in the folder of a trial says, see :func:`read_json`."""
    found = read_json(folder / "result.json")
    return found and found | {name: numbers(found[name]) for name in ("valid", "validations") if name in found}


def read_tests(folder: Path) -> dict[str, Row] | None:
    """What ``tests.json`` in the folder of a trial says, see :func:`read_json`."""
    found = numbers(read_json(folder / "tests.json"))
    return found and {name: row for name, row in found.items() if name != _CONFUSION}


def numbers(values: Any) -> Any:
    """Metrics, by any names, as they were before they became JSON, which has null for NaN."""
    if isinstance(values, Mapping):
        return {name: math.nan if value is None else numbers(value) for name, value in values.items()}
    return values


def read_json(path: Path) -> Any:
    """What a file of a trial says; None if there is none.

    Raises:
        ValueError: If it is damaged; it names the file.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to have it made anew") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged (it has no fields); remove it to have it made anew")
    return values


def _peak_memory() -> int:
    """Most memory that this process had, in MiB."""
    # KiB on Linux, bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
