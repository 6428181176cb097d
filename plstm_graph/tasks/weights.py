"""How much targets and classes count in training, as a configuration says it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.losses import Weighing
from plstm_graph.tasks.metrics import LABELS, Kind
from plstm_graph.text import meant

_BALANCED = "balanced"


@dataclass(frozen=True)
class WeightOptions:
    """Options on weights.

    Attributes:
        class_weights (str, list or dict, optional): ``"balanced"``, by which all classes of a target count alike,
            however many rows each has; or a weight for each class, in order or by its name (1 for those that are not
            named).
        pos_weight (float, list or dict, optional): Weight of label 1, where label 0 has 1: of all targets, of each in
            order, or by its name.
        target_weights (list or dict, optional): Weight of each of several targets, in order or by its name.
        balanced_batches (bool): Whether batches of training have graphs of all classes equally often.
    """

    class_weights: Any = None
    pos_weight: Any = None
    target_weights: Any = None
    balanced_batches: bool = False

    def check(self, kind: Kind) -> None:
        """Look for what does not go with a kind of targets, before they are read.

        Raises:
            ValueError: If an option does not.
        """
        if kind == "regression":
            for name in ("class_weights", "pos_weight", "balanced_batches"):
                if getattr(self, name):
                    raise ValueError(f"{name} is of classes, and the targets are numbers (kind: regression)")
        if isinstance(self.class_weights, str) and self.class_weights != _BALANCED:
            near = meant(self.class_weights, [_BALANCED])
            raise ValueError(
                f"class_weights must be balanced, a list or a mapping of names to weights, got {self.class_weights!r}"
                f"{near}"
            )
        if self.pos_weight is not None and kind not in LABELS:
            raise ValueError("pos_weight is of labels 0 and 1; class_weights takes the weights of several classes")
        if self.pos_weight is not None and self.class_weights is not None:
            raise ValueError("class_weights and pos_weight say the same in two ways: give one of them")
        if kind == "multilabel":
            if self.class_weights not in (None, _BALANCED):
                raise ValueError("class_weights of several labels is balanced; pos_weight takes a weight for each")
            if self.balanced_batches:
                raise ValueError(
                    "balanced_batches is of one target, and multilabel has several, whose rare labels stand in "
                    "different rows; class_weights: balanced weighs the labels of each"
                )

    def weighing(self, data: LabelledGraphs, kind: Kind) -> Weighing | None:
        """What the loss multiplies by, beside the weights of rows, which it divides by their mean in training.

        Args:
            data: With a training part.
            kind: Of its targets.

        Returns:
            None if all count alike.

        Raises:
            ValueError: If weights do not fit targets or classes, or those of all rows are 0.
        """
        targets, rows = data.train_targets, data.column("train", "weight")
        unit = 1.0
        if rows is not None:
            known = rows[targets.isfinite()].double()
            if not bool((known > 0).any()):
                raise ValueError(f"{data.title}: the weights of all rows of the training part are 0")
            unit = float(known.mean())
        names = data.target_names
        of_targets = None
        if self.target_weights is not None:
            of_targets = torch.tensor(_numbers("target_weights", self.target_weights, names, "targets"))
            if len(names) < 2:
                raise ValueError(f"target_weights is of several targets, and there is only {names[0]!r}")
        of_classes = self._of_classes(data, kind, targets)
        if rows is None and of_targets is None and of_classes is None:
            return None
        return Weighing(of_targets, of_classes, unit)

    def _of_classes(self, data: LabelledGraphs, kind: Kind, targets: Tensor) -> Tensor | None:
        """Weight of each class of each target, ``[T, C]``."""
        names = data.target_names
        if self.pos_weight is not None:
            given = self.pos_weight
            positive = [given] * len(names) if isinstance(given, int | float) else given
            found = _numbers("pos_weight", positive, names, "targets")
            return torch.tensor([[1.0, weight] for weight in found])
        if self.class_weights is None:
            return None
        count = data.problem.out_channels if kind == "multiclass" else 2
        if self.class_weights == _BALANCED:
            return torch.stack([_balanced(column, count) for column in targets.unbind(dim=1)])
        classes = data.classes[0] or [str(code) for code in range(count)]
        return torch.tensor([_numbers("class_weights", self.class_weights, classes, "classes")])


def _balanced(target: Tensor, count: int) -> Tensor:
    """Weights by which all classes that there are count alike, 1 in the mean over known rows, ``[C]``."""
    found = torch.bincount(target[target.isfinite()].long(), minlength=count).float()
    there = found > 0
    weights = found.sum() / (there.sum().clamp(min=1) * found)
    return torch.where(there, weights, 1.0)


def _numbers(option: str, given: Any, names: Sequence[str], of: str) -> list[float]:
    """Weights in the order of some names.

    Args:
        option: That has them.
        given: A list, or a mapping of names.
        names: Of targets or classes.
        of: Which of both.
    """
    if isinstance(given, Mapping):
        by_text = {str(name): value for name, value in given.items()}
        for name in by_text:
            if name not in names:
                raise ValueError(f"{option} names no {name!r}{meant(name, names)}: the {of} are {', '.join(names)}")
        given = [by_text.get(name, 1.0) for name in names]
    if not isinstance(given, list | tuple) or len(given) != len(names):
        shown = len(given) if isinstance(given, list | tuple) else repr(given)
        raise ValueError(f"{option} needs a weight for each of {len(names)} {of} ({', '.join(names)}), got {shown}")
    for value in given:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{option} must be numbers from 0, got {value!r}")
    if not any(given):
        raise ValueError(f"{option} must not all be 0")
    return [float(value) for value in given]
