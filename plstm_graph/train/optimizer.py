"""The optimiser and the learning rate of all trainings."""

import math
from collections.abc import Mapping
from itertools import compress
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from plstm_graph.nn.head_norm import MultiHeadRMSNorm
from plstm_graph.nn.neighbours import ChannelNeighbourInput

# Modules whose ``weight`` is a table of vectors, not a matrix.
_OF_VECTORS = (MultiHeadRMSNorm, ChannelNeighbourInput)


def make_adamw(
    model: nn.Module, lr: float, weight_decay: float, fused: bool = False, rates: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """AdamW without decay on biases, norms and other vectors.

    Args:
        model: Its trainable parameters are optimised.
        lr: Learning rate.
        weight_decay: Decay of weight matrices.
        fused: Update all parameters in one call, faster for small models; not with gradient scaling.
        rates: Learning rates of parameters that have another one, by their names.
    """
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    vectors = {id(module.weight) for module in model.modules() if isinstance(module, _OF_VECTORS)}
    given = rates or {}
    groups: list[dict[str, Any]] = []
    for rate in (lr, *sorted(set(given.values()) - {lr})):
        of_rate = [parameter for name, parameter in trainable.items() if given.get(name, lr) == rate]
        decays = [parameter.dim() >= 2 and id(parameter) not in vectors for parameter in of_rate]
        groups += [
            {"params": list(compress(of_rate, decays)), "weight_decay": weight_decay, "lr": rate},
            {"params": list(compress(of_rate, [not each for each in decays])), "weight_decay": 0.0, "lr": rate},
        ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, fused=fused)


def warmup_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: float, final_lr: float) -> LambdaLR:
    """A linear warm-up, then a cosine decay, step by step.

    Args:
        optimizer: Its learning rate is the peak, of each group of parameters its own.
        steps: Number of steps of the whole training.
        warmup: Part of all steps over which the learning rate rises.
        final_lr: Learning rate at the end, as a part of the peak.
    """
    return LambdaLR(optimizer, lambda step: warmup_cosine_factor(step, steps, warmup, final_lr))


def warmup_cosine_factor(step: int, steps: int, warmup: float, final_lr: float) -> float:
    """Learning rate of a step as a part of the peak. Arguments as in :func:`warmup_cosine`."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    done = min((step - rising) / max(steps - rising, 1), 1.0)
    return final_lr + (1 - final_lr) * 0.5 * (1 + math.cos(math.pi * done))
