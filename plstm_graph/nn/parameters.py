"""How large a network is."""

from torch import nn


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, trained or not.

    Args:
        model: Any module.
    """
    return sum(parameter.numel() for parameter in model.parameters())
