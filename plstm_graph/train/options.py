"""Options that several commands share."""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jsonargparse.typing import restricted_number_type

from plstm_graph.config.names import OPTION, allowed_names

#: CPU threads; more than anybody has would take the process down.
ThreadCount = restricted_number_type("ThreadCount", int, [(">=", 1), ("<=", 1024)])

_MOST = 10_000  # seeds or folds of one command


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
        check_training(self)


def check_training(options: Any) -> None:
    """Check the numbers that every training has.

    Args:
        options: Has the attributes of :class:`Training`.

    Raises:
        ValueError: If one makes no sense, as a learning rate that is NaN; it names all of them.
    """
    positive = all(0 < number < math.inf for number in (options.lr, options.clip))
    if options.epochs < 1 or options.batch_size < 1 or not positive or not 0 <= options.average < math.inf:
        raise ValueError(
            "epochs and batch_size must be at least 1, lr and clip positive, average not negative, got "
            f"epochs={options.epochs}, batch_size={options.batch_size}, lr={options.lr}, clip={options.clip}, "
            f"average={options.average}"
        )
    if not (0 <= options.warmup < 1 and 0 <= options.final_lr <= 1 and 0 <= options.weight_decay < math.inf):
        raise ValueError(
            "warmup must be in [0, 1), final_lr in [0, 1] and weight_decay at least 0, got "
            f"warmup={options.warmup}, final_lr={options.final_lr}, weight_decay={options.weight_decay}"
        )
    if options.patience is not None and options.patience < 1:
        raise ValueError(f"patience must be at least 1, or null for never, got {options.patience}")


def parse_seeds(text: str) -> list[int]:
    """Seeds of a text, see :func:`parse_numbers`."""
    return parse_numbers(text, "seeds", 2**32)


def parse_numbers(text: str, name: str, below: int) -> list[int]:
    """Numbers of a text such as ``"0-9"`` or ``"0,3,5-7"``, each once, in order.

    Args:
        text: Numbers and ranges (ends included), separated by commas.
        name: What they are, for messages.
        below: They are smaller than this.

    Raises:
        ValueError: If it is something else, or more than 10,000 numbers.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,18})(?:\s*-\s*([0-9]{1,18}))?\s*", part)
        if found is None:
            raise ValueError(f"{name} must be numbers and ranges such as 0-9 or 0,3,5-7, got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise ValueError(f"{name} {text!r}: the range {first}-{last} runs backwards; write {last}-{first}")
        if last >= below:
            raise ValueError(f"{name} are numbered from 0 to {below - 1}, got {text!r}")
        if last - first + len(numbers) >= _MOST:
            raise ValueError(f"{name} {text!r} are more than {_MOST:,}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def learning_rates(given: float | list[float]) -> list[float]:
    """Candidates, of which validation picks one.

    Args:
        given: One learning rate or several.

    Raises:
        ValueError: If there is none, or one stands twice.
    """
    rates = given if isinstance(given, list) else [given]
    if not rates or len(set(rates)) != len(rates) or not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"lr must be a positive learning rate or a list of different ones, got {given}")
    return rates


#: Options that name folders of one machine, and decide nothing.
_FOLDERS = ("--output", "--data.root", "--data.source", "--task.root", "--task.source")


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
    kept += [part for name in allowed_names() for part in (OPTION, name)]
    return shlex.join(kept)
