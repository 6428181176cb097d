"""Whether two tasks validate and test on the same samples, so that their metrics may be compared."""

import hashlib

import torch

from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.task import Task

_MOST = 1000  # graphs of a part that are looked at


def check_comparable(task: Task, other: Task, options: str) -> None:
    """Refuse options that change what validates or is tested: of different samples, metrics say nothing of each other.

    Args:
        task: One of the tasks.
        other: The same with other options.
        options: These, for the error.

    Raises:
        ValueError: If parts differ.
    """
    parts = [name for name in task.parts if name != "train"]
    changed = [name for name in parts if _sum(task, name) != _sum(other, name)]
    changed += [name for name in other.parts if name not in task.parts]
    if changed:
        raise ValueError(
            f"{options} changes the samples of {', '.join(changed)}, so that there is nothing to compare; such options "
            "are for runs with names of their own"
        )


def _sum(task: Task, part: str) -> str:
    """A sum of the number of samples and of the targets of the first ones; empty for a part that is not there."""
    samples = task.parts.get(part)
    if samples is None:
        return ""
    found = hashlib.sha256(str(len(samples)).encode())
    if isinstance(task, GraphTask):
        for number in range(min(len(samples), _MOST)):
            found.update(torch.as_tensor(samples[number].y).double().cpu().numpy().tobytes())
    return found.hexdigest()
