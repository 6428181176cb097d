"""Keep the weights of the epoch that validation likes best, of an ensemble each member's own; or those of the last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from torch import Tensor, nn

from plstm_graph.nn.ensemble import Ensemble
from plstm_graph.tasks.rows import Direction, Row, rank


@dataclass
class BestEpoch:
    """The epoch that validation selected.

    Attributes:
        epoch (int): Its number, from 0; of an ensemble, the latest of its members' epochs.
        row (dict[str, float]): Its metrics; of an ensemble, those of the members' mean.
        state_dict (dict[str, Tensor]): Weights after it.
    """

    epoch: int
    row: Row
    state_dict: dict[str, Tensor]


class Selection:
    """Watches the validation metrics of a training and keeps the best weights.

    Members of an ensemble do not overfit at the same time, so each is judged, and kept, by itself.

    Args:
        model: The model in training.
        monitor: Metrics that select the epoch, see :func:`~plstm_graph.tasks.rows.rank`; of equal epochs the first is
            kept.
        last: Keep the last epoch, whatever its metrics.
    """

    def __init__(self, model: nn.Module, monitor: dict[str, Direction], last: bool = False) -> None:
        self.model, self.monitor, self.last = model, monitor, last
        self.members: Sequence[nn.Module] = list(model.members) if isinstance(model, Ensemble) else [model]
        self.best: list[BestEpoch] = []

    @property
    def epoch(self) -> int | None:
        """The latest epoch from which weights are kept; None before the first."""
        return max(best.epoch for best in self.best) if self.best else None

    def update(self, epoch: int, rows: Sequence[Row]) -> Row:
        """Keep what is better than before.

        Args:
            epoch: Number of the epoch.
            rows: Metrics after it, of each member.

        Returns:
            Means of the metrics over the members.
        """
        self.best = [
            BestEpoch(epoch, row, _weights(member))
            if self.last or number >= len(self.best) or self._is_better(row, self.best[number].row)
            else self.best[number]
            for number, (member, row) in enumerate(zip(self.members, rows, strict=True))
        ]
        return {name: fmean(row[name] for row in rows) for name in rows[0]}

    def _is_better(self, row: Row, than: Row) -> bool:
        return rank(row, self.monitor) > rank(than, self.monitor)

    def load_best(self) -> None:
        """Give the model the weights that were kept, each member its own.

        Raises:
            ValueError: If there was no epoch.
            FloatingPointError: If the metric that selects was finite in none of them.
        """
        if not self.best:
            raise ValueError("epochs must be at least 1, got 0")
        name = next(iter(self.monitor))
        lacking = [best for best in self.best if not math.isfinite(best.row[name])]
        if lacking and not self.last:
            raise FloatingPointError(
                f"{name} was {lacking[0].row[name]} in every epoch, so none could be selected: the validation part "
                "does not define it, or the model diverged"
            )
        for member, best in zip(self.members, self.best, strict=True):
            member.load_state_dict(best.state_dict)

    def state_dict(self) -> list[dict[str, Any]]:
        """What was kept so far, as plain values and tensors."""
        return [vars(best) for best in self.best]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.best = [BestEpoch(**best) for best in state]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers, which training does not reach."""
    return {name: value.clone() for name, value in model.state_dict().items()}
