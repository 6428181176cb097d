"""A class at each of several positions, such as the words of a name."""

from typing import Any

from torch import Tensor, nn


class SequenceHead(nn.Module):
    """Reads the output of a graph model as scores of the classes at each of several positions.

    Args:
        model (torch.nn.Module): A graph model with ``length * C`` output channels for ``C`` classes.
        length (int): Number of positions ``L``.

    Shapes:
        - **input:** as the model's
        - **output:** ``[B, L, C]``

    Raises:
        ValueError: If ``length`` is less than 1, or does not divide the output channels.
    """

    def __init__(self, model: nn.Module, length: int) -> None:
        super().__init__()
        channels = getattr(model, "out_channels", length)
        if length < 1 or channels % length:
            raise ValueError(f"length must be at least 1 and divide the {channels} output channels, got {length}")
        self.model = model
        self.length = length

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        self.model.reset_parameters()  # type: ignore[operator]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Scores of each class at each position."""
        return self.model(*args, **kwargs).unflatten(-1, (self.length, -1))
