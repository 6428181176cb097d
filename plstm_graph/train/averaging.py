"""An exponential average of weights, to evaluate and to keep in place of the last ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """Averages the weights of a model over its last steps; buffers, such as running statistics, with them.

    Early in training it looks back no further than the steps that there were, so that it never lags behind by more than
    a part of them.

    Args:
        model: The model.
        steps: Over about how many steps to average; the decay of each is ``1 - 1 / steps``.

    Raises:
        ValueError: If ``steps`` is less than 1.
    """

    def __init__(self, model: nn.Module, steps: float) -> None:
        if steps < 1:
            raise ValueError(f"weights must be averaged over at least 1 step, got {steps}")
        self.averaged = AveragedModel(model, multi_avg_fn=self._move, use_buffers=True)
        self.steps = steps

    @torch.no_grad()
    def _move(self, averages: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Tensor | int) -> None:
        share = max(1 / self.steps, 9 / (10 + int(num_averaged)))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, share)
            else:
                average.copy_(value)

    def update(self, model: nn.Module) -> None:
        """Take the weights after a step into the average."""
        self.averaged.update_parameters(model)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model has the averaged weights; behind, its own again."""
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(self.averaged.module.state_dict())
        try:
            yield
        finally:
            model.load_state_dict(own)
