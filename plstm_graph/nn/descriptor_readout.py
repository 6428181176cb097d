"""Descriptors of whole graphs at the read-out: known numbers beside what a model makes of the structure."""

from torch import Tensor, nn


class DescriptorReadout(nn.Sequential):
    """Maps descriptors of a graph to a vector that stands beside its pooled nodes.

    A linear map, a norm and GELU: however many descriptors there are, and however large, the head gets a vector of the
    scale of pooled nodes. Dropout of single descriptors keeps the head from leaning on a few of them.

    Args:
        descriptors (int): Number of descriptors ``D``.
        channels (int): Size of the vector ``C``.
        dropout (float): Of descriptors, and of the vector.

    Shapes:
        - **input:** standardised descriptors, 0 where unknown, ``[B, D]``
        - **output:** ``[B, C]``
    """

    def __init__(self, descriptors: int, channels: int, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(descriptors, channels),
            nn.LayerNorm(channels),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.descriptors = descriptors

    def forward(self, input: Tensor) -> Tensor:
        """Map descriptors.

        Raises:
            ValueError: If there is another number of them.
        """
        if input.dim() != 2 or input.size(1) != self.descriptors:
            raise ValueError(f"descriptors must be [B, D] = [B, {self.descriptors}], got {list(input.shape)}")
        return super().forward(input)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in self:
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()
