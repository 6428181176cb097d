"""Options that several commands share."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Training:
    """How a model is trained.

    Args:
        epochs: Number of epochs.
        batch_size: Graphs per batch.
        lr: Peak learning rate of AdamW.
        weight_decay: Decay of weight matrices.
        warmup: Part of all steps over which the learning rate rises; then it falls along a cosine.
        final_lr: Learning rate at the end, as a part of the peak.
        clip: Largest norm of the gradient.
        average: Evaluate weights averaged over about this many epochs; 0 for those of the last step.
        patience: Stop after this many epochs without a better validation metric; null for never.
    """

    epochs: int = 100
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    final_lr: float = 0.01
    clip: float = 1.0
    average: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.lr <= 0 or self.clip <= 0 or self.average < 0:
            raise ValueError(
                "epochs and batch_size must be at least 1, lr and clip positive, average not negative, got "
                f"epochs={self.epochs}, batch_size={self.batch_size}, lr={self.lr}, clip={self.clip}, "
                f"average={self.average}"
            )


def parse_seeds(text: str) -> list[int]:
    """Numbers of a text such as ``"0-9"`` or ``"0,3,5-7"``, each once, in order.

    Args:
        text: Numbers and ranges (ends included), separated by commas.

    Raises:
        ValueError: If it is something else.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise ValueError(f"seeds must be numbers and ranges such as 0-9 or 0,3,5-7, got {text!r}")
        seeds += range(first, last + 1)
    return sorted(set(seeds))


def learning_rates(given: float | list[float]) -> list[float]:
    """Candidates, of which validation picks one.

    Args:
        given: One learning rate or several.

    Raises:
        ValueError: If there is none, or one stands twice.
    """
    rates = given if isinstance(given, list) else [given]
    if not rates or len(set(rates)) != len(rates):
        raise ValueError(f"lr must be a learning rate or a list of different ones, got {given}")
    return rates


#: Options that name folders of one machine, and decide nothing.
_FOLDERS = ("--output", "--data.root", "--data.source")


def repeatable_command(arguments: Sequence[str]) -> str:
    """The command of a run as reports quote it, without folders of one machine such as ``--output``.

    Args:
        arguments: Of ``plstm-graph``, from the name of the command.
    """
    kept, skip = ["plstm-graph"], False
    for argument in arguments:
        if not skip and argument.partition("=")[0] not in _FOLDERS:
            kept.append(argument)
        skip = argument in _FOLDERS and not skip
    return shlex.join(kept)
