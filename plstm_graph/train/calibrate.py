"""Calibration of a trained model on the validation part, and its use on tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from plstm_graph.datasets.molecules.similarity import nearest_similarity
from plstm_graph.report.labelled import report_trial
from plstm_graph.report.reliability import Reliability, draw_reliability
from plstm_graph.tasks.calibration import CALIBRATION, Calibration
from plstm_graph.tasks.domain import DOMAIN, FINGERPRINTS, Domain, check_fingerprints, domain_of
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.spread import assess
from plstm_graph.tasks.sureness import sureness
from plstm_graph.tasks.task import Row, Task
from plstm_graph.train.checkpoint import KEY


class Calibrated(NamedTuple):
    """What a checkpoint and a report say of how sure predictions are.

    Attributes:
        plain (dict[str, Any]): Plain values for the recipe.
        tensors (dict[str, Tensor]): What stands beside it.
        notes (list[str]): For the report.
    """

    plain: dict[str, Any]
    tensors: dict[str, Tensor]
    notes: list[str]


def calibrate(task: Task, outputs: Callable[[str], tuple[Tensor, dict[str, Tensor]]]) -> Calibrated:
    """How sure the predictions of a trained model are, by the validation part.

    Args:
        task: What was learnt; only graphs with names, of which predictions are written, are calibrated.
        outputs: What each member gives for a part, ``[M, n, O]``, and the columns of the part, by its name.
    """
    if task.labelled is None:
        return Calibrated({}, {}, [])
    (members, _), targets = outputs("valid"), task.labelled.exact_targets("valid")
    calibration = Calibration.fit(members.cpu(), targets, task.kind, scale_of(task), is_gaussian(task))
    domain, fingerprints = domain_of(task.labelled)
    plain = {CALIBRATION: calibration.to_plain(), DOMAIN: domain.to_plain()}
    notes = calibration.described(task.labelled.target_names) + domain.described
    return Calibrated(plain, {} if fingerprints is None else {FINGERPRINTS: fingerprints}, notes)


@dataclass(frozen=True)
class Sureness:
    """How sure the predictions of a trained model are, by its checkpoint.

    Attributes:
        task (Task): What was learnt.
        calibration (Calibration, optional): Of the model; checkpoints of earlier versions have none.
        domain (Domain, optional): What it was trained on, likewise.
        fingerprints (Tensor, optional): Of its training molecules, likewise.
    """

    task: Task
    calibration: Calibration | None = None
    domain: Domain | None = None
    fingerprints: Tensor | None = None

    @classmethod
    def of_checkpoint(cls, checkpoint: dict[str, Any], task: Task) -> "Sureness":
        """By what a checkpoint says beside the weights.

        Raises:
            ValueError: If that is damaged.
        """
        recipe = checkpoint[KEY]
        if task.labelled is None or recipe.get(CALIBRATION) is None:
            return cls(task)
        calibration = Calibration.of_plain(recipe[CALIBRATION], task.kind, len(task.labelled.target_names))
        domain = None if recipe.get(DOMAIN) is None else Domain.of_plain(recipe[DOMAIN])
        fingerprints = check_fingerprints(checkpoint.get(FINGERPRINTS))
        return cls(task, calibration, domain, None if fingerprints is None else fingerprints.cpu())

    def scores(self, part: str, members: Tensor) -> Row:
        """Metrics of a part, see :func:`~plstm_graph.tasks.sureness.sureness`.

        Args:
            part: Name of the part.
            members: What each member gives for it, ``[M, n, O]``.
        """
        task = self.task
        if self.calibration is None or task.labelled is None:
            return {}
        known = task.kind, scale_of(task), self.calibration, task.labelled.target_names, is_gaussian(task)
        return sureness(members.cpu(), task.labelled.exact_targets(part), *known)

    def report(self, folder: Path, members: Tensor, epoch: int) -> None:
        """Write the test predictions of a trial, and its pictures.

        Args:
            folder: Of the trial.
            members: What each member gives for the test part, ``[M, n, O]``.
            epoch: The epoch that was kept, from 1.
        """
        task, outputs, similarity = self.task, members.cpu(), None
        if task.labelled is None:
            return
        scale, molecules = scale_of(task), task.labelled.fingerprints("test")
        if self.fingerprints is not None and molecules is not None:
            similarity = nearest_similarity(molecules, self.fingerprints)
        assessed = assess(outputs, task.kind, scale, self.calibration, gaussian=is_gaussian(task))
        report_trial(folder, task, assessed, epoch, similarity)
        if self.calibration is not None:
            known = outputs, task.labelled.exact_targets("test"), task.kind, scale, self.calibration
            more = task.labelled.target_names, similarity, self.domain, is_gaussian(task)
            draw_reliability(folder, Reliability(*known, *more))


def is_gaussian(task: Task) -> bool:
    """Whether models give variances of numbers, too."""
    return isinstance(task, GraphTask) and task.is_gaussian


def scale_of(task: Task) -> TargetScale | None:
    """The scale on which numbers are learnt."""
    return task.target if isinstance(task, GraphTask) else None
