"""From all nodes of an image to one vector."""

from typing import Literal, get_args

from torch import Tensor, nn

NodePool = Literal["mean", "max", "attention", "top"]

#: How many nodes ``"top"`` reads in each channel: about as many as an object covers, few enough that larger images,
#: with more background, change little.
TOP = 8


class ImagePool(nn.Module):
    r"""Mean, maximum, a weighted mean of all nodes, or the mean of the largest few.

    What a few nodes know is diluted in the mean of a larger image. The maximum keeps it, but lets only a few nodes
    learn at first. Attention starts close to the mean: with scores :math:`S x` of a linear map, channel c is
    :math:`\sum_n \mathrm{softmax}_n((S x_n)_c)\, x_{nc}`; how much it dilutes is learned. ``"top"``, the mean of the
    :data:`TOP` largest values of each channel, keeps what more than one node knows, and dilutes nothing.

    Args:
        pool (str): ``"mean"``, ``"max"``, ``"attention"`` or ``"top"``.
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
        if self.pool == "top":
            return x.topk(min(TOP, x.size(1)), dim=1).values.mean(dim=1)
        return x.mean(dim=1) if self.pool == "mean" else x.amax(dim=1)


def check_pool(pool: str, own: str) -> None:
    """Check the name of a pooling.

    Args:
        pool: As given.
        own: What a model has beside those of :class:`ImagePool`.

    Raises:
        ValueError: If there is none of that name.
    """
    names = (own, *get_args(NodePool))
    if pool not in names:
        raise ValueError(f"pool must be one of {', '.join(map(repr, names))}, got {pool!r}")
