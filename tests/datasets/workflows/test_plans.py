"""What planners see of workflows, and what then happens: by hand, and by what must not matter."""

import math

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.datasets.workflows.list_schedule import earliest_finish, makespan
from plstm_graph.datasets.workflows.plans import MACHINES, Planner

GIGABIT = 125e6

#: Categories, runtimes, bytes read and written, edges.
WORKFLOWS = {
    "a chain": ([3, 1, 3], [10.0, 20.0, 5.0], [1e9, 0.0, 2e8], [0.0, 5e8, 1e6], [(0, 1), (1, 2)]),
    "a fork": ([0, 1, 1, 1, 2], [1.0, 9.0, 8.0, 7.0, 2.0], [0.0] * 5, [0.0] * 5, [(0, 1), (0, 2), (0, 3), (2, 4)]),
    "nothing waits": ([5] * 40, [float(n + 1) for n in range(40)], [1e8] * 40, [1e7] * 40, []),
}


def workflow(category, runtime, read, written, edges):
    return Data(
        x=torch.tensor(category).view(-1, 1),
        edge_index=torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous(),
        **{
            name: torch.tensor(values, dtype=torch.double)
            for name, values in (("runtime", runtime), ("read", read), ("written", written))
        },
    )


@pytest.fixture(params=WORKFLOWS)
def made(request):
    return workflow(*WORKFLOWS[request.param])


def test_makespan_of_what_happens(made):
    """Half of the speed of the network for reading, a quarter for writing; the list is that of the plan."""
    plan = Planner([1, 3], bias=0, noise=0).plan(made, 4)
    true = made.runtime + made.read / GIGABIT / 0.5 + made.written / GIGABIT / 0.25
    planned = made.runtime + (made.read + made.written) / GIGABIT
    rank = earliest_finish(planned, made.edge_index.flip(0))
    machines = int(plan.machines)
    expected = makespan(true, made.edge_index, machines, rank)
    assert float(plan.y * plan.unit) == pytest.approx(expected, rel=1e-6)  # stored in float32
    assert float(plan.planned * plan.unit) == pytest.approx(makespan(planned, made.edge_index, machines), rel=1e-12)
    assert float(plan.unit) == pytest.approx(float(planned.sum()) / machines, rel=1e-12)
    assert float(plan.informed) == pytest.approx(float(plan.y), rel=1e-6)  # nothing is left that it does not know
    assert float(plan.critical * plan.unit) == pytest.approx(float(earliest_finish(planned, made.edge_index).max()))


def test_finish_times_of_what_happens(made):
    plan = Planner([1, 3], "critical_path", bias=0, noise=0).plan(made, 4)
    true = made.runtime + made.read / GIGABIT / 0.5 + made.written / GIGABIT / 0.25
    expected = earliest_finish(true, made.edge_index)
    torch.testing.assert_close((plan.y * plan.unit).view(-1), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(plan.informed.float(), plan.y)
    assert expected[plan.is_last].tolist() == [float(expected.max())]
    assert plan.y.shape == plan.planned.shape == (made.num_nodes, 1)


def test_columns(made):
    """Of the times that the columns tell, the parts add up to the whole, whatever its unit."""
    plan = Planner([3], noise=0.1).plan(made, 0)
    of_mean, loads = plan.x[:, 1:4].double().sum(dim=1), plan.x[:, 4:7].double().sum(dim=1)
    assert float(of_mean.mean()) == pytest.approx(1, rel=1e-5)
    assert float(loads.sum()) == pytest.approx(int(plan.machines), rel=1e-5)
    torch.testing.assert_close(plan.x[:, 7].double(), of_mean.log(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plan.x[:, 8].double(), loads.log(), rtol=1e-5, atol=1e-5)
    assert plan.x[:, 9].unique().tolist() == [math.log2(int(plan.machines))]
    assert int(plan.machines) in MACHINES


def test_errors_of_a_category_are_the_same_everywhere():
    """Without noise, what is suggested over what it takes depends on the category alone."""
    ratios = {}
    for number, values in enumerate(WORKFLOWS.values()):
        made = workflow(*values)
        plan = Planner([], noise=0, seed=number).plan(made, number)
        suggested = plan.x[:, 4].double() * plan.unit.view(())
        for category, ratio in zip(made.x.view(-1).tolist(), (suggested / made.runtime).tolist(), strict=True):
            assert ratios.setdefault(category, ratio) == pytest.approx(ratio, rel=1e-6)
    assert len({round(ratio, 6) for ratio in ratios.values()}) == len(ratios) > 3


def test_the_informed_plan_errs_by_noise_alone():
    made = workflow(*WORKFLOWS["nothing waits"])
    for noise, bound in ((0.0, 1e-6), (0.01, 0.05), (0.1, 0.5)):
        plan = Planner([], bias=1.0, noise=noise).plan(made, 1)
        assert abs(float(plan.informed / plan.y) - 1) <= bound  # five standard deviations of a single task
    assert abs(float(plan.planned / plan.y) - 1) > bound  # the plan itself is off by the errors of its categories


@pytest.mark.parametrize("known", [[], [3], [0, 1, 2, 3, 5, 9], [1, 1]])
def test_categories_that_training_does_not_know(made, known):
    planner = Planner(known)
    seen = planner.plan(made, 0).x[:, 0].tolist()
    places = {category: place for place, category in enumerate(sorted(set(known)), start=1)}
    assert seen == [places.get(category, 0) for category in made.x.view(-1).tolist()]
    assert max(seen) < planner.num_categories == len(set(known)) + 1


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e6])
def test_the_unit_of_time_does_not_matter(made, factor):
    longer = made.clone()
    for name in ("runtime", "read", "written"):
        longer[name] = longer[name] * factor
    for target in ("makespan", "critical_path"):
        planner = Planner([1, 3], target, seed=3)
        one, other = planner.plan(made, 2), planner.plan(longer, 2)
        torch.testing.assert_close(one.x, other.x, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(one.y, other.y, rtol=1e-5, atol=0)
        assert float(other.unit / one.unit) == pytest.approx(factor)


def test_plans_depend_on_seed_and_number_alone(made):
    first = Planner([1], seed=1).plan(made, 5)
    assert torch.equal(first.x, Planner([1], seed=1).plan(made, 5).x)  # the same draws
    assert not torch.equal(first.x, Planner([1], seed=1).plan(made, 6).x)
    assert not torch.equal(first.x, Planner([1], seed=2).plan(made, 5).x)


@pytest.mark.parametrize(
    "arguments", [{"target": "cost"}, {"bias": -1.0}, {"noise": math.nan}, {"noise": math.inf}, {"seed": -1}]
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Planner([], **arguments)


@pytest.mark.parametrize("target", ["makespan", "critical_path"])
@pytest.mark.parametrize(("runtime", "bias"), [(0.0, 0.2), (0.0, 0.0), (1.0, 5e4)])
def test_a_workflow_without_a_unit_of_time_is_named(target, runtime, bias):
    """Of no time at all nothing is a part; and a bias may be so large that what is planned is no number."""
    made = workflow([0, 1], [runtime] * 2, [0.0, 0.0], [0.0, 0.0], [(0, 1)])
    with pytest.raises(ValueError, match=f"the 2 tasks of workflow 7 take .* bias={bias:g} and noise=0.05"):
        Planner([0], target, bias=bias).plan(made, 7)
