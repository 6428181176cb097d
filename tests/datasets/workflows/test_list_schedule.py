"""Schedules of tasks on machines, against every schedule of their kind and the bounds that hold for all."""

import itertools

import pytest
import torch

from plstm_graph.datasets.workflows.list_schedule import earliest_finish, list_schedule, makespan
from plstm_graph.graph import CycleError

#: Durations and edges of workflows by hand.
WORKFLOWS = {
    "a chain": ([3.0, 1.0, 2.0], [(0, 1), (1, 2)]),
    "a fork and its join": ([1.0, 4.0, 2.0, 2.0, 1.0], [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)]),
    "nothing waits": ([2.0, 3.0, 2.0, 3.0, 2.0], []),
    "two chains, numbered backwards": ([1.0, 2.0, 4.0, 3.0], [(3, 1), (2, 0)]),
    "tasks that take no time": ([0.0, 2.0, 0.0, 1.0], [(0, 1), (1, 2), (0, 3)]),
    "one edge twice": ([1.0, 1.0, 5.0], [(0, 1), (0, 1)]),
}


def _tensors(durations, edges):
    return torch.tensor(durations, dtype=torch.double), torch.tensor(edges, dtype=torch.long).view(-1, 2).t()


def _random(seed, size=7):
    generator = torch.Generator().manual_seed(seed)
    duration = torch.randint(0, 6, (size,), generator=generator).double()
    order = torch.randperm(size, generator=generator)
    pairs = torch.combinations(torch.arange(size)).t()
    return duration, order[pairs[:, torch.rand(pairs.size(1), generator=generator) < 0.3]]


CASES = [*(_tensors(*each) for each in WORKFLOWS.values()), *map(_random, range(20))]


def _paths(duration, edges):
    """The length of every path, by the node where it ends."""
    found = [[(node, float(duration[node])) for node in range(len(duration))]]
    while found[-1]:
        found.append(
            [
                (end, length + float(duration[end]))
                for at, length in found[-1]
                for s, end in edges.t().tolist()
                if s == at
            ]
        )
    return [entry for step in found for entry in step]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_finish_times_are_longest_of_all_paths(number):
    duration, edges = CASES[number]
    expected = [max(length for end, length in _paths(duration, edges) if end == node) for node in range(len(duration))]
    assert earliest_finish(duration, edges).tolist() == expected  # exact: sums of small whole numbers


def _by_the_clock(duration, edges, machines, rank):
    """The same rule, told by ticks of a clock: durations are whole numbers, and some are 0."""
    done, left, running, now = set(), set(range(len(duration))), [], 0
    before = {node: {s for s, e in edges.t().tolist() if e == node} for node in left}
    while left or running:
        done |= {task for end, task in running if end <= now}
        running = [(end, task) for end, task in running if end > now]
        ready = sorted((task for task in left if before[task] <= done), key=lambda task: (-rank[task], task))
        begun = ready[: machines - len(running)]
        left -= set(begun)
        running += [(now + int(duration[task]), task) for task in begun]
        if not any(end <= now for end, _ in running):
            now += 1
    return now - 1


@pytest.mark.parametrize("machines", [1, 2, 3, 8])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_schedules_keep_the_rules_and_bounds(number, machines):
    duration, edges = CASES[number]
    start, machine = list_schedule(duration, edges, machines)
    finish = start + duration
    assert bool((start[edges[1]] >= finish[edges[0]]).all())  # nothing begins before what it waits for is done
    for one, other in itertools.combinations(range(len(duration)), 2):  # no machine does two things at a time
        apart = finish[one] <= start[other] or finish[other] <= start[one]
        assert apart or machine[one] != machine[other]
    assert int(machine.max()) < machines
    rank = earliest_finish(duration, edges.flip(0)).tolist()
    found, work, critical = makespan(duration, edges, machines), float(duration.sum()), max(rank)
    # Whole numbers are exact; the bounds divide, which rounds once or twice.
    assert found == float(finish.max()) == _by_the_clock(duration, edges, machines, rank)
    assert max(critical, work / machines) <= found * (1 + 1e-12)
    assert found <= (work / machines + (1 - 1 / machines) * critical) * (1 + 1e-12)
    if machines >= len(duration):
        assert found == critical


@pytest.mark.parametrize("number", range(len(CASES)))
def test_no_order_of_priorities_is_missed(number):
    """The best list of all is as good as the best schedule that lets no machine wait, and no list beats the bounds."""
    duration, edges = CASES[number]
    if len(duration) > 5:
        duration, edges = duration[:5], edges[:, (edges < 5).all(dim=0)]
    spans = [
        makespan(duration, edges, 2, torch.tensor(order, dtype=torch.double))
        for order in itertools.permutations(range(len(duration)))
    ]
    assert min(spans) == _best_without_waiting(duration.tolist(), edges.t().tolist(), 2)
    assert min(spans) <= makespan(duration, edges, 2) <= max(spans)


def _best_without_waiting(duration, edges, machines):
    """Least makespan over all ways to choose among ready tasks whenever a machine is free."""

    def go_on(now, running, done, left):
        if not left:
            return max([now, *(end for end, _ in running)])
        ready = [task for task in left if all(s in done for s, e in edges if e == task)]
        if ready and len(running) < machines:
            return min(go_on(now, [*running, (now + duration[task], task)], done, left - {task}) for task in ready)
        now = min(end for end, _ in running)
        ended = {task for end, task in running if end == now}
        return go_on(now, [each for each in running if each[1] not in ended], done | ended, left)

    return go_on(0.0, [], set(), frozenset(range(len(duration))))


def _of_any_length(seed):
    """Sixty tasks of times that are no whole numbers, on DAGs from a chain to hardly an edge."""
    generator = torch.Generator().manual_seed(seed)
    size = 60
    duration = torch.rand(size, dtype=torch.double, generator=generator).mul(6).exp()
    order = torch.randperm(size, generator=generator)
    pairs = torch.combinations(torch.arange(size)).t()
    kept = torch.rand(pairs.size(1), generator=generator) < (0.9, 0.1, 0.03, 0.005)[seed % 4]
    return duration, order[pairs[:, kept]]


@pytest.mark.parametrize("machines", [1, 2, 5, 16])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("by_rank", [True, False])
def test_no_machine_waits_while_a_task_is_ready(seed, machines, by_rank):
    """The definition of a list schedule, looked up in the schedule itself."""
    duration, edges = _of_any_length(seed)
    size = len(duration)
    rank = earliest_finish(duration, edges.flip(0))
    if not by_rank:
        rank = torch.rand(size, generator=torch.Generator().manual_seed(seed)).double()
    start, machine = list_schedule(duration, edges, machines, None if by_rank else rank)
    finish = start + duration
    ready = torch.zeros(size, dtype=torch.double)
    for before, behind in edges.t().tolist():
        ready[behind] = max(ready[behind], finish[before])
    assert bool((start >= ready).all())  # exact: the schedule begins tasks at the very times when others end
    on_machine = sorted(zip(machine.tolist(), start.tolist(), finish.tolist(), strict=True))
    for (one, _, end), (other, begin, _) in itertools.pairwise(on_machine):
        assert one != other or end <= begin
    moments = torch.unique(torch.cat([start, finish]))
    for now in moments.tolist():
        running = int(((start <= now) & (now < finish)).sum())
        waiting = (ready <= now) & (start > now)
        assert running == machines or not waiting.any()
        assert running <= machines
        # What has just begun was no less urgent than anything that was left to wait.
        begun = start == now
        if begun.any() and waiting.any():
            assert rank[begun].min() >= rank[waiting].max()
    work, critical = float(duration.sum()), float(earliest_finish(duration, edges).max())
    # Sums of sixty numbers in another order.
    assert max(work / machines, critical) <= float(finish.max()) * (1 + 1e-12)
    assert float(finish.max()) <= (work / machines + (1 - 1 / machines) * critical) * (1 + 1e-12)
    assert makespan(duration, edges, machines, None if by_rank else rank) == float(finish.max())


def test_of_equal_tasks_the_first_begins():
    start, machine = list_schedule(*_tensors([1.0] * 5, []), machines=2)
    assert start.tolist() == [0, 0, 1, 1, 2] and machine.tolist() == [0, 1, 0, 1, 0]


def test_nothing_to_do_takes_no_time():
    assert makespan(*_tensors([], []), machines=3) == 0


@pytest.mark.parametrize("machines", [0, -1])
def test_without_machines(machines):
    with pytest.raises(ValueError, match=f"1 machine or more, got {machines}"):
        list_schedule(*_tensors([1.0], []), machines)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_durations_that_are_none(wrong):
    with pytest.raises(ValueError, match="task 1 has the duration"):
        list_schedule(*_tensors([1.0, wrong], [(0, 1)]), 1)


@pytest.mark.parametrize("edges", [[(0, 0)], [(0, 1), (1, 0)], [(0, 1), (1, 2), (2, 0)]])
def test_tasks_that_wait_for_each_other(edges):
    with pytest.raises(CycleError):
        list_schedule(*_tensors([1.0, 1.0, 1.0], edges), 2)
