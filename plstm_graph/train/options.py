"""Options that several commands share."""

import re
import shlex
from collections.abc import Sequence

from jsonargparse.typing import restricted_number_type

from plstm_graph.config.names import OPTION, allowed_names

#: CPU threads; more than anybody has would take the process down.
ThreadCount = restricted_number_type("ThreadCount", int, [(">=", 1), ("<=", 1024)])

_MOST = 10_000  # seeds or folds of one command


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
