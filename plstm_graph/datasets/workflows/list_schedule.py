"""Tasks on machines: earliest finish times, and the schedule that a list of priorities gives."""

import heapq

import torch
from torch import Tensor

from plstm_graph.graph import longest_path_levels


def earliest_finish(duration: Tensor, edge_index: Tensor) -> Tensor:
    """When each task is done if there are machines for all: the longest path to it, with its own duration.

    Turned around (``edge_index.flip(0)``) these are the *upward ranks* of HEFT: longest paths from a task to the end.

    Args:
        duration: Of each task, ``[N]``, 0 or more.
        edge_index: A task that has to be done before another, and that other, ``[2, E]``.

    Returns:
        ``[N]``, float64; the largest is the length of the critical path.

    Raises:
        CycleError: If tasks wait for each other.
    """
    finish = duration.double().clone()
    level = longest_path_levels(edge_index, duration.numel())[edge_index[1]]
    order = torch.argsort(level, stable=True)
    for edges in order.split(torch.bincount(level).tolist()) if order.numel() else ():
        start, end = edge_index[:, edges]
        ready = torch.zeros_like(finish).scatter_reduce_(0, end, finish[start], "amax")
        tasks = torch.unique(end)
        finish[tasks] = ready[tasks] + duration[tasks]
    return finish


def list_schedule(
    duration: Tensor, edge_index: Tensor, machines: int, priority: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Whenever a machine is free, it takes the ready task of the highest priority, and of equal ones the first.

    Machines are alike, and a task that has begun is not interrupted. No schedule of this kind takes longer than
    ``work / machines + (1 - 1 / machines) * critical path`` (Graham 1969), and none at all less than either.

    Args:
        duration: How long each task takes, ``[N]``, 0 or more.
        edge_index: A task that has to be done before another, and that other, ``[2, E]``.
        machines: How many.
        priority: ``[N]``. (default: upward ranks, as HEFT has them where machines are alike)

    Returns:
        Start of each task, ``[N]`` float64, and its machine, ``[N]`` int64.

    Raises:
        ValueError: If there is no machine, or a duration is no number of 0 or more; it names the task.
        CycleError: If tasks wait for each other.
    """
    if machines < 1:
        raise ValueError(f"a schedule needs 1 machine or more, got {machines}")
    wrong = (~(duration >= 0) | duration.isinf()).nonzero().view(-1)
    if wrong.numel():
        raise ValueError(f"task {int(wrong[0])} has the duration {float(duration[wrong[0]])}, expected 0 or more")
    rank = earliest_finish(duration, edge_index.flip(0)) if priority is None else priority
    waiting = torch.bincount(edge_index[1], minlength=duration.numel()).tolist()
    after: list[list[int]] = [[] for _ in waiting]
    for before, behind in edge_index.t().tolist():
        after[before].append(behind)
    takes, urgency = duration.tolist(), (-rank).tolist()
    ready = [(urgency[task], task) for task, left in enumerate(waiting) if not left]
    heapq.heapify(ready)
    free, running, now = list(range(machines)), list[tuple[float, int]](), 0.0
    start, machine = [0.0] * len(waiting), [0] * len(waiting)
    while ready or running:
        while ready and free:
            task = heapq.heappop(ready)[1]
            start[task], machine[task] = now, heapq.heappop(free)
            heapq.heappush(running, (now + takes[task], task))
        now = running[0][0]
        # All that end at this moment, before anything else begins.
        while running and running[0][0] == now:
            task = heapq.heappop(running)[1]
            heapq.heappush(free, machine[task])
            for behind in after[task]:
                waiting[behind] -= 1
                if not waiting[behind]:
                    heapq.heappush(ready, (urgency[behind], behind))
    return torch.tensor(start, dtype=torch.double), torch.tensor(machine)


def makespan(duration: Tensor, edge_index: Tensor, machines: int, priority: Tensor | None = None) -> float:
    """When the last task of :func:`list_schedule` is done; arguments and errors are the same. 0 without tasks."""
    start, _ = list_schedule(duration, edge_index, machines, priority)
    return float((start + duration).max()) if start.numel() else 0.0
