"""Which metrics targets have: of all of them, and of each by its name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from plstm_graph.tasks.metric_names import BETTER, DEFAULT, STANDARDISED, WITH_UNIT, Better, chosen_metrics, direction
from plstm_graph.tasks.metrics import RANKED, Kind, evaluate, to_prediction
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.task import Row

#: Between the name of a metric and that of the target that it is of, where there are several.
OF = " of "
#: Metrics that logits have as probabilities do.
_OF_LOGITS = {"binary": RANKED, "multilabel": RANKED, "multiclass": DEFAULT["multiclass"]}


@dataclass(frozen=True)
class Scores:
    """Metrics of targets.

    Of several targets of numbers, errors in units are not averaged as they are, for targets may have different ones:
    ``standardised_rmse`` is the mean of the ``rmse`` of each divided by the standard deviation of its training targets,
    and so for ``mae`` and ``max_error``.

    Attributes:
        kind (str): Of the targets.
        names (tuple[str, ...]): Of the metrics; the first selects.
        target_names (tuple[str, ...]): Of the targets.
        spread (tuple[float, ...], optional): Standard deviation of each target in training; of numbers.
    """

    kind: Kind
    names: tuple[str, ...]
    target_names: tuple[str, ...] = ()
    spread: tuple[float, ...] | None = None

    @classmethod
    def of_training(
        cls,
        kind: Kind,
        target_names: Sequence[str],
        targets: Tensor,
        metrics: Sequence[str] | None = None,
        metric: str | None = None,
    ) -> "Scores":
        """Metrics of targets whose training values are known.

        Args:
            kind: Of the targets.
            target_names: Their names.
            targets: Of the training part, ``[n, T]``; NaN where unknown.
            metrics: As of :func:`~plstm_graph.tasks.metric_names.chosen_metrics`.
            metric: Likewise.
        """
        spread = tuple(TargetScale.fit("standard", targets).std.tolist()) if kind == "regression" else None
        return cls(kind, chosen_metrics(kind, metrics, metric), tuple(target_names), spread)

    @property
    def monitor(self) -> dict[str, Better]:
        """Name of the metric that selects, and whether less or more of it is better."""
        return {self._shown(self.names[0]): direction(self.kind, self.names[0])}

    def _shown(self, name: str) -> str:
        """The name of a metric of all targets."""
        is_mean = len(self.target_names) > 1 and self.spread is not None and name in WITH_UNIT
        return STANDARDISED + name if is_mean else name

    def __call__(self, output: Tensor, y: Tensor) -> Row:
        """Metrics of all targets, and the one that selects of each of several.

        Args:
            output: What a model gives, numbers in their own unit or logits.
            y: ``[n, T]``; NaN where unknown.
        """
        probability = (
            output if set(self.names) <= set(_OF_LOGITS.get(self.kind, ())) else to_prediction(output, self.kind)
        )
        row = self._row(probability, y, output)
        return row | self._of_each(probability, y, output, self.names[:1])

    def of_predictions(self, prediction: Tensor, target: Tensor) -> Row:
        """All metrics of all targets and of each of several.

        Args:
            prediction: Numbers in their own unit, or probabilities.
            target: ``[n, T]``; NaN where unknown.
        """
        return self._row(prediction, target, prediction) | self.of_targets(prediction, target)

    def of_targets(self, prediction: Tensor, target: Tensor) -> Row:
        """All metrics of each of several targets; arguments as of :meth:`of_predictions`."""
        return self._of_each(prediction, target, prediction, self.names)

    def _row(self, prediction: Tensor, target: Tensor, ranked: Tensor) -> Row:
        unit = torch.tensor(self.spread) if self.spread is not None and len(self.target_names) > 1 else None
        found = self._evaluate(prediction, target, ranked, self.names, unit)
        return {self._shown(name): found[name] for name in self.names}

    def _of_each(self, prediction: Tensor, target: Tensor, ranked: Tensor, names: Sequence[str]) -> Row:
        if len(self.target_names) < 2:
            return {}
        row: Row = {}
        for number, target_name in enumerate(self.target_names):
            column = [number]
            found = self._evaluate(prediction[:, column], target[:, column], ranked[:, column], names)
            row |= {f"{name}{OF}{target_name}": found[name] for name in names}
        return row

    def _evaluate(
        self, prediction: Tensor, target: Tensor, ranked: Tensor, names: Sequence[str], unit: Tensor | None = None
    ) -> Row:
        """Metrics, of which some take what ranks as probabilities do."""
        by_rank = [name for name in names if name in RANKED]
        others = [name for name in names if name not in RANKED]
        row = evaluate(ranked, target, self.kind, by_rank) if by_rank else {}
        return row | (evaluate(prediction, target, self.kind, others, unit) if others else {})

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint, from which :func:`scores_of` makes them again."""
        return {"metrics": list(self.names), "spread": None if self.spread is None else list(self.spread)}


def scores_of(recipe: Mapping[str, Any]) -> Scores:
    """The metrics of the targets of a checkpoint; the usual ones where it says nothing of them.

    Args:
        recipe: With a ``"kind"`` and ``"target_names"`` that are known to be good.

    Raises:
        ValueError: If it says something else.
    """
    kind, names, plain = recipe["kind"], recipe["target_names"], recipe.get("scores")
    if plain is None:
        return Scores(kind, DEFAULT[kind], tuple(names))
    if not isinstance(plain, dict) or set(plain) != {"metrics", "spread"}:
        raise ValueError("its scores are no metrics")
    metrics, spread = plain["metrics"], plain["spread"]
    if not isinstance(metrics, list) or not metrics or any(name not in BETTER[kind] for name in map(str, metrics)):
        raise ValueError(f"its scores are none of {kind}: {metrics!s:.200}")
    if kind == "regression":
        good = isinstance(spread, list) and len(spread) == len(names)
        if not good or not all(isinstance(value, float) and 0 < value < math.inf for value in spread):
            raise ValueError("its targets have no standard deviations")
    elif spread is not None:
        raise ValueError("its classes have standard deviations")
    return Scores(kind, tuple(metrics), tuple(names), None if spread is None else tuple(spread))
