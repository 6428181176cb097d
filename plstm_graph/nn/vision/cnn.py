"""A small CNN, to compare with :class:`~plstm_graph.nn.PLSTMVision`."""

from collections.abc import Sequence

from torch import Tensor, nn

from plstm_graph.nn.vision.patches import check_images


class SmallCNN(nn.Module):
    """Strided convolutions with batch norm, then the mean over all places.

    Args:
        in_channels (int): Channels of the images. (default: ``3``)
        channels (list[int]): Channels after each stage; a stage halves height and width. (default:
            ``(16, 32, 64, 128, 128)``)
        out_channels (int): Number of outputs ``T``. (default: ``1000``)

    Shapes:
        - **input:** images ``[B, in_channels, height, width]``, float in [0, 1], or uint8, which is divided by 255
        - **output:** ``[B, T]``
    """

    def __init__(
        self, in_channels: int = 3, channels: Sequence[int] = (16, 32, 64, 128, 128), out_channels: int = 1000
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.smallest = 2 ** len(channels)
        stages: list[nn.Module] = []
        for before, after in zip([in_channels, *channels], channels, strict=False):
            stages += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            stages += [nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels[-1], out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images."""
        check_images(x, self.in_channels, 1)
        if min(x.shape[2:]) < self.smallest:
            raise ValueError(f"images must be at least {self.smallest} pixels wide and high, got {list(x.shape[2:])}")
        if not x.is_floating_point():
            x = x.to(self.head.weight.dtype) / 255
        return self.head(self.stages(x).mean(dim=(2, 3)))
