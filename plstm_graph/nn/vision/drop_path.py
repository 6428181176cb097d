"""Stochastic depth."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves out a residual branch for some samples of a batch in training, and scales it up for the others.

    `"Deep Networks with Stochastic Depth" <https://arxiv.org/abs/1603.09382>`_

    Args:
        rate (float): Probability that a sample loses the branch, in [0, 1).

    Shapes:
        - **input:** ``[B, ...]``
        - **output:** as the input
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of drop path must be in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop samples."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(x.size(0), *[1] * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * (kept / (1 - self.rate))

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return f"{self.rate:g}"
