"""From all nodes of an image to one vector."""

from typing import Literal, get_args

from torch import Tensor, nn

NodePool = Literal["mean", "max", "attention"]


class ImagePool(nn.Module):
    r"""Mean, maximum or a weighted mean of all nodes.

    What a few nodes know is diluted in the mean of a larger image, but not in the other two. The maximum lets only a
    few nodes learn at first; attention starts close to the mean: with scores :math:`S x` of a linear map, channel c is
    :math:`\sum_n \mathrm{softmax}_n((S x_n)_c)\, x_{nc}`.

    Args:
        pool (str): ``"mean"``, ``"max"`` or ``"attention"``.
        channels (int): Size ``C`` of the nodes.

    Shapes:
        - **input:** ``[B, N, C]``
        - **output:** ``[B, C]``
    """

    def __init__(self, pool: NodePool, channels: int) -> None:
        super().__init__()
        self.pool = pool
        self.score = nn.Linear(channels, channels, bias=False) if pool == "attention" else None

    def forward(self, x: Tensor) -> Tensor:
        """Pool the nodes."""
        if self.score is not None:
            return (self.score(x).softmax(dim=1) * x).sum(dim=1)
        return x.mean(dim=1) if self.pool == "mean" else x.amax(dim=1)


def check_pool(pool: str, own: str) -> None:
    """Check the name of a pooling.

    Args:
        pool: As given.
        own: What a model has beside those of :class:`ImagePool`.

    Raises:
        ValueError: If there is none of that name.
    """
    if pool not in (own, *get_args(NodePool)):
        raise ValueError(f"pool must be {own!r}, 'mean', 'max' or 'attention', got {pool!r}")
