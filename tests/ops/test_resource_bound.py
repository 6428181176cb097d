"""The bound of a common resource, against all pairs of thresholds one by one, and against schedules."""

import pytest
import torch

from plstm_graph.datasets.workflows.list_schedule import earliest_finish, makespan
from plstm_graph.graph import random_dag
from plstm_graph.ops import resource_bound

SIZES = [(1,), (5, 1, 7), (0, 4, 0, 9), (30, 2)]


def given(sizes, channels=3, ties=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    drawn = torch.rand(3, len(batch), channels, generator=generator, dtype=torch.double)
    if ties:  # heads and tails of few different values, as of tasks side by side
        drawn[:2] = (drawn[:2] * 4).floor()
    return *drawn.unbind(), batch


def naive(head, tail, work, batch, graphs):
    """The definition, threshold by threshold."""
    rows = []
    for graph in range(graphs):
        of_graph = batch == graph
        row = []
        for h, t, w in zip(head[of_graph].t(), tail[of_graph].t(), work[of_graph].t(), strict=True):
            values = [a + b + w[inside].sum() for a in h for b in t if (inside := (h >= a) & (t >= b)).any()]
            row.append(torch.stack(values).max() if values else h.new_zeros(()))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("offset", [0.0, -10.0])
def test_equals_the_definition(sizes, ties, offset):
    *times, batch = given(sizes, ties=ties)
    times[0] += offset  # bounds below zero, too
    expected = [each.clone().requires_grad_() for each in times]
    actual = [each.clone().requires_grad_() for each in times]
    reference = naive(*expected, batch, len(sizes))
    bound = resource_bound(*actual, batch, len(sizes))
    torch.testing.assert_close(bound, reference, rtol=1e-12, atol=1e-12)
    weights = torch.randn(bound.shape, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    (bound * weights).sum().backward()
    (reference * weights).sum().backward()
    for own, other in zip(actual, expected, strict=True):
        if not ties:  # of equal ones anyone may take the gradient
            torch.testing.assert_close(own.grad, other.grad, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(own.grad.sum(), other.grad.sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 7, 29, 30])
def test_fewer_thresholds_bound_from_below(bins):
    *times, batch = given((40, 3, 30))
    few, all_of_them = (resource_bound(*times, batch, 3, each) for each in (bins, 40))
    assert (few <= all_of_them + 1e-12).all()
    everything = torch.stack([times[2][batch == graph].sum(0) for graph in range(3)])
    least = torch.stack([times[0][batch == graph].amin(0) + times[1][batch == graph].amin(0) for graph in range(3)])
    assert (few >= everything + least - 1e-12).all()
    torch.testing.assert_close(few[1], all_of_them[1]) if bins >= 3 else None


@pytest.mark.parametrize("machines", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_no_schedule_is_faster_and_one_machine_is_exact(seed, machines):
    generator = torch.Generator().manual_seed(seed)
    edges = random_dag(40, 60, generator=generator)
    duration = torch.rand(40, generator=generator, dtype=torch.double)
    finish = earliest_finish(duration, edges)
    left = earliest_finish(duration, edges.flip(0))
    head, tail = (finish - duration).view(-1, 1), (left - duration).view(-1, 1)
    batch = torch.zeros(40, dtype=torch.long)
    bound = float(resource_bound(head, tail, duration.view(-1, 1) / machines, batch))
    taken = makespan(duration, edges, machines)
    assert bound <= taken + 1e-9
    if machines == 1:
        assert bound == pytest.approx(taken, rel=1e-12)
    else:  # Graham: no list schedule takes longer than work over machines and the critical path
        assert bound >= taken - float(finish.max()) - 1e-9


def test_float32_and_a_batch_size_that_is_found():
    *times, batch = given((6, 4))
    wide = resource_bound(*times, batch)
    torch.testing.assert_close(resource_bound(*(each.float() for each in times), batch, 2), wide.float())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("bins", [3, 64])
@pytest.mark.parametrize("seed", range(3))
def test_nodes_stand_in_any_order(seed, bins, ties):
    *times, batch = given((5, 0, 9, 1, 12), ties=ties, seed=seed)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(seed))
    mixed = resource_bound(*(each[order] for each in times), batch[order], 5, bins)
    torch.testing.assert_close(mixed, resource_bound(*times, batch, 5, bins), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_adds_in_single(dtype):
    """Sums of 3,000 ones, which a sum in bfloat16 would end at 256."""
    nothing, batch = torch.zeros(3000, 2, dtype=dtype), torch.zeros(3000, dtype=torch.long)
    bound = resource_bound(nothing, nothing, torch.ones(3000, 2, dtype=dtype), batch)
    assert bound.dtype == dtype
    assert torch.equal(bound, torch.full((1, 2), 3000.0).to(dtype))  # whole numbers, exact in float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given | {"head": given["head"].long()}, "head must be float64"),
        (lambda given: given | {"tail": given["tail"][:, :1]}, r"tail must be \[N, C\]"),
        (lambda given: given | {"work": given["work"][:2]}, r"work must be \[N, C\]"),
        (lambda given: given | {"batch": given["batch"][:2]}, r"batch must be \[N\] = \[10\], got \[2\]"),
        (lambda given: given | {"bins": 0}, "bins must be a whole number of 1 or more, got 0"),
        (lambda given: given | {"bins": 2.5}, "bins must be a whole number of 1 or more, got 2.5"),
        (lambda given: given | {"bins": "8"}, "bins must be a whole number of 1 or more, got '8'"),
    ],
)
def test_refusals(change, message):
    head, tail, work, batch = given((6, 4))
    with pytest.raises((ValueError, TypeError), match=message):
        resource_bound(**change({"head": head, "tail": tail, "work": work, "batch": batch}))
