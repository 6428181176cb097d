"""Several models of one kind, trained side by side and averaged."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Independent copies of a graph model, each with weights of its own; their mean is the prediction.

    On small data sets, models that differ by their seed alone differ in what they get wrong; the mean errs less. The
    members train together on the same batches, each on its own loss, and share the structure of a batch.

    Args:
        model (torch.nn.Module): A graph model with ``reset_parameters()``, such as :class:`~plstm_graph.nn.PLSTM`.
        size (int): Number of members ``M``. (default: ``3``)

    Shapes:
        - **input:** as the model's
        - **output:** ``[M, B, T]`` while training, one prediction per member; their mean ``[B, T]`` in evaluation
    """

    def __init__(self, model: nn.Module, size: int = 3) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.members = nn.ModuleList([model, *(copy.deepcopy(model) for _ in range(size - 1))])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights of every member anew."""
        for member in self.members:
            member.reset_parameters()  # type: ignore[operator]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Predict with every member."""
        outputs = torch.stack([member(*args, **kwargs) for member in self.members])
        return outputs if self.training else outputs.mean(dim=0)


def members_of(model: nn.Module) -> list[nn.Module]:
    """The members of an ensemble; any other model alone."""
    return list(model.members) if isinstance(model, Ensemble) else [model]
