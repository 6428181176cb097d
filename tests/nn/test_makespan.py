"""The model of plans: units, durations, exact cases, the critical path, and what it refuses."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from plstm_graph import LineGraph
from plstm_graph.datasets.workflows.list_schedule import earliest_finish, makespan
from plstm_graph.graph import random_dag
from plstm_graph.nn import MakespanPLSTM, predicted_path
from plstm_graph.nn.encoders import start_unknown


def plan(nodes=12, edges=18, seed=0):
    """A category, a number and two times of each task; edges."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(3, (nodes, 1), generator=generator)
    numbers, times = torch.randn(nodes, 1, generator=generator), torch.rand(nodes, 2, generator=generator)
    return torch.cat([kinds, numbers, times], dim=1), random_dag(nodes, edges, generator=generator)


def model(**options):
    torch.manual_seed(0)
    return MakespanPLSTM([3, 0, 0, 0], 8, times=[2, 3], **options)


def exact(machines, **options):
    """A model of one channel whose durations are the sums of both times, on machines that are alike."""
    made = MakespanPLSTM(4, 8, times=[2, 3], channels=1, bins=100, **options)
    with torch.no_grad():
        made.coefficients.weight.zero_()
        if made.shares is not None:
            made.shares[-1].weight.zero_()
            made.shares[-1].bias.copy_(torch.tensor([math.log(math.expm1(1 / machines)), -float("inf")]))
    return made


@pytest.mark.parametrize("predict", ["graph", "node"])
@pytest.mark.parametrize("factor", [0.01, 3.0, 1000.0])
def test_times_keep_their_unit(predict, factor):
    made, (x, edges) = model(predict=predict).double(), plan()
    x = x.double()
    changed = x.clone()
    changed[:, 2:] *= factor
    torch.testing.assert_close(made(changed, edges), factor * made(x, edges))


def test_logarithms_of_what_is_linear():
    x, edges = plan()
    torch.testing.assert_close(model(scale="log")(x, edges), model()(x, edges).log1p())


@pytest.mark.parametrize("seed", range(3))
def test_finish_times_are_longest_paths(seed):
    x, edges = plan(40, 90, seed)
    expected = earliest_finish(x[:, 2:].sum(1), edges).float().view(-1, 1)
    torch.testing.assert_close(exact(1, predict="node")(x, edges), expected)


@pytest.mark.parametrize("seed", range(3))
def test_one_machine_and_machines_for_all_are_exact(seed):
    x, edges = plan(40, 90, seed)
    duration = x[:, 2:].sum(1)
    for machines in (1, 10_000):
        taken = makespan(duration, edges, min(machines, 40))
        assert exact(machines)(x, edges).item() == pytest.approx(taken, rel=1e-5)


def test_graphs_of_a_batch_know_nothing_of_each_other():
    plans = [plan(9, 12, 1), plan(1, 0, 2), plan(15, 30, 3)]
    made = model().double()
    alone = torch.cat([made(x.double(), edges) for x, edges in plans])
    starts = [0, 9, 10]
    edges = torch.cat([edges + start for (_, edges), start in zip(plans, starts, strict=True)], dim=1)
    batch = torch.repeat_interleave(torch.arange(3), torch.tensor([9, 1, 15]))
    x = torch.cat([x for x, _ in plans]).double()
    torch.testing.assert_close(made(x, edges, batch=batch), alone)
    torch.testing.assert_close(made(x, edges, batch=batch, line_graph=LineGraph(edges, 25), batch_size=3), alone)


@pytest.mark.parametrize("predict", ["graph", "node"])
def test_gradients(predict):
    made, (x, edges) = model(predict=predict, out_channels=2).double(), plan(7, 9)
    times = x[:, 2:].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda times: made(torch.cat([x[:, :2].double(), times], dim=1), edges), times)


def test_every_parameter_learns():
    made = model(out_channels=2)
    many, few = plan(30, 5), plan(30, 60, 1)  # work over machines, and the critical path
    (made(*many) + made(*few)).sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("seed", range(4))
def test_the_critical_path_takes_as_long_as_any(seed):
    x, edges = plan(30, 70, seed)
    made = exact(2)
    path, last = made.critical_path(x, edges)
    walked = edges[:, path].t().tolist()
    assert all(before[1] == after[0] for before, after in pairwise(walked))
    duration = x[:, 2:].sum(1).double()
    taken = sum(float(duration[start]) for start, _ in walked) + float(duration[last])
    assert taken == pytest.approx(float(earliest_finish(duration, edges).max()), rel=1e-5)
    found = predicted_path(torch.nn.Sequential(made), lambda: made(x, edges))
    assert found.columns.tolist() == path.tolist()
    assert found.node == last
    to_start = predicted_path(made, lambda: made(x, edges), [int(edges[0, path[-1]])])
    assert to_start.columns.tolist() == path[:-1].tolist()


def test_durations_are_what_coefficients_make_of_times():
    made, (x, _) = model(channels=2), plan()
    encoded = made.networks(made.encoder(x[:, :2]))
    coefficients = F.softplus(math.log(math.e - 1) + made.coefficients(encoded)).view(12, 2, 2)
    torch.testing.assert_close(made.durations(x), x[:, 2:3] * coefficients[:, 0] + x[:, 3:] * coefficients[:, 1])


def test_learns_what_planned_times_leave_out():
    """Category 1 takes twice what is planned: it is learned from makespans alone, and holds on larger graphs."""
    torch.manual_seed(0)
    made = MakespanPLSTM([3, 0, 0, 0], 8, times=[2, 3], features=[0], channels=1)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.03)

    def question(nodes, seed):
        x, edges = plan(nodes, nodes // 2, seed)
        true = x[:, 2:].sum(1) * torch.where(x[:, 0] == 1, 2.0, 1.0)
        return x, edges, makespan(true, edges, 3)

    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 300)
    for step in range(300):
        x, edges, taken = question(15, step)
        optimizer.zero_grad()
        (made(x, edges) / taken - 1).abs().sum().backward()
        optimizer.step()
        slower.step()
    errors = [abs(float(made(x, edges).detach()) / taken - 1) for x, edges, taken in map(question, [90] * 5, range(5))]
    assert sum(errors) / 5 < 0.05


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("atom", {}, "has no columns of numbers"),
        ([3, 0, 0, 0], {"times": []}, r"times must be columns of x, from 0 to 3, got \[\]"),
        ([3, 0, 0, 0], {"times": [4]}, r"times must be columns of x, from 0 to 3, got \[4\]"),
        ([3, 0, 0, 0], {"times": [0]}, "column 0 has categories"),
        ([3, 0, 0, 0], {"machines": [7]}, r"machines must be columns of x, from 0 to 3, got \[7\]"),
        ([3, 0, 0, 0], {"features": [-1]}, r"features must be columns of x, from 0 to 3, got \[-1\]"),
        (2, {"times": [0, 1]}, r"features must be columns of x, from 0 to 1, got \[\]"),
        ([3, 0, 0, 0], {"times": [2, 3, 2]}, r"times must have each column of x once, got \[2, 3, 2\]"),
        ([3, 0, 0, 0], {"features": [1, 1]}, r"features must have each column of x once, got \[1, 1\]"),
        ([3, 0, 0, 0], {"times": ["2"]}, r"times must be columns of x, from 0 to 3, got \['2'\]"),
        ([3, 0, 0, 0], {"times": [2.0]}, r"times must be columns of x, from 0 to 3, got \[2.0\]"),
        ([3, 0, 0, 0], {"times": [True]}, r"times must be columns of x, from 0 to 3, got \[True\]"),
        ([3, 0, 0, 0], {"times": "23"}, "times must be a list of columns of x, got '23'"),
        ([3, 0, 0, 0], {"times": 2}, "times must be a list of columns of x, got 2"),
        (4, {"channels": 0}, "channels must be a whole number of 1 or more, got 0"),
        (4, {"hidden_channels": 0}, "hidden_channels must be a whole number of 1 or more, got 0"),
        (4, {"out_channels": -1}, "out_channels must be a whole number of 1 or more, got -1"),
        (4, {"num_layers": -1}, "num_layers must be a whole number of 0 or more, got -1"),
        (4, {"bins": 2.5}, "bins must be a whole number of 1 or more, got 2.5"),
        (4, {"bins": True}, "bins must be a whole number of 1 or more, got True"),
        ([3, 0, 0, 0], {"predict": "edge"}, "predict must be 'graph' or 'node', got 'edge'"),
        ([3, 0, 0, 0], {"scale": "cubic"}, "size_scale must be 'linear' or 'log', got 'cubic'"),
    ],
)
def test_refusals(given, options, message):
    with pytest.raises(ValueError, match=message):
        MakespanPLSTM(given, **{"times": [2], **options})


NAMES = ["kind", "size", "wait", "work"]


@pytest.mark.parametrize(("times", "features"), [(["wait", "work"], ["kind"]), (["work", 2], [0]), ([3], ["size"])])
def test_columns_by_name_are_those_of_their_numbers(times, features):
    def numbers(given):
        return [NAMES.index(each) if isinstance(each, str) else each for each in given]

    made = MakespanPLSTM([3, 0, 0, 0], 8, times=times, features=features, machines=["size"], column_names=NAMES)
    assert (made.times, made.features, made.machines) == (numbers(times), numbers(features), [1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"times": ["worc"]},
            "times must be columns of x, from 0 to 3, or among their names kind, size, wait, work, got",
        ),
        ({"times": ["work", 3]}, r"times must have each column of x once, got \['work', 3\]"),
        ({"times": ["work"], "column_names": ["work"]}, "column_names has 1 names, and x has 4 columns"),
        ({"times": ["work"], "column_names": ["work"] * 4}, "times must be columns of x"),  # which of them?
    ],
)
def test_names_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        MakespanPLSTM([3, 0, 0, 0], 8, **{"column_names": NAMES, **options})


@pytest.mark.parametrize("predict", ["graph", "node"])
@pytest.mark.parametrize(("node", "column", "value"), [(0, 2, -1e-6), (7, 3, -0.5), (11, 2, float("-inf"))])
def test_times_are_not_negative(predict, node, column, value):
    """As those of standardised features are; a longest way over them would begin anywhere."""
    made, (x, edges) = model(predict=predict), plan()
    x[:, 1] = -5.0  # numbers that are no times may be
    made(x, edges)
    x[node, column] = value
    for call in (made, made.critical_path):
        with pytest.raises(ValueError, match=f"column {column} of x is {value:g} at node {node}"):
            call(x, edges)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"x": x[:, :3]}, r"x must be \[N, 4\], got \[12, 3\]"),
        (lambda x: {"x": torch.cat([x, x], dim=1)}, r"x must be \[N, 4\], got \[12, 8\]"),
        (lambda x: {"x": x[:, 0]}, r"x must be \[N, 4\], got \[12\]"),
        (lambda x: {"batch": torch.zeros(5, dtype=torch.long)}, r"batch must be \[N\] = \[12\], got \[5\]"),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    x, edges = plan()
    with pytest.raises(ValueError, match=message):
        model()(**({"x": x, "edge_index": edges} | change(x)))


@pytest.mark.parametrize("nodes", [[12], [-1], [99]])
def test_paths_end_at_a_node(nodes):
    made, (x, edges) = model(predict="node"), plan()
    with pytest.raises(ValueError, match=f"there is no node {nodes[0]} among 12"):
        predicted_path(made, lambda: made(x, edges), nodes)


def test_no_path_through_no_tasks():
    made, (x, edges) = model(), plan()
    assert predicted_path(made, lambda: made(x[:0], edges[:, :0])) is None
    assert predicted_path(made, lambda: torch.zeros(1)) is None  # which does not depend on it
    with pytest.raises(ValueError, match="there is no node at all among 0"):
        made.critical_path(x[:0], edges[:, :0])
    found = predicted_path(made, lambda: made(x, edges[:, :0]))
    assert found.columns.tolist() == [] and found.node in range(12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", ["alone", "chain"])
def test_thousands_of_tasks_in_half_precision(dtype, shape):
    x = torch.zeros(2000, 4)
    x[:, 2:] = 0.5
    edges = torch.stack([torch.arange(1999), torch.arange(1, 2000)])[:, : 0 if shape == "alone" else 1999]
    expected = model()(x, edges).item()
    half = model().to(dtype)(x.to(dtype), edges)
    assert half.dtype == dtype and half.item() == pytest.approx(expected, rel=0.01)  # 0.4% are a step of bfloat16
    with torch.autocast("cpu", dtype=dtype):
        assert model()(x, edges).item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("order", [[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 0]])
def test_nodes_of_a_batch_stand_in_any_order(order):
    batch = torch.tensor(order).repeat(3)
    made, (x, _) = model(), plan()
    edges = torch.tensor([[0, 1, 2], [4, 5, 6]])  # within a graph each
    alone = []
    for graph in (0, 1):
        nodes = (batch == graph).nonzero().view(-1)
        place = torch.full((12,), -1).scatter(0, nodes, torch.arange(len(nodes)))
        alone.append(made(x[nodes], place[edges[:, batch[edges[0]] == graph]]))
    torch.testing.assert_close(made(x, edges, batch=batch), torch.cat(alone))


@pytest.mark.parametrize(("features", "machines"), [([0], [1]), ([1], [0]), ([0], [0]), ([0, 1], [0, 1])])
def test_columns_act_where_they_are_said_to(features, machines):
    torch.manual_seed(0)
    made = MakespanPLSTM([3, 0, 0, 0], 8, times=[2, 3], features=features, machines=machines)
    (x, edges), changed = plan(30, 5), plan(30, 5)[0]
    changed[:, 1] += 5
    assert torch.equal(made.durations(x), made.durations(changed)) == (1 not in features)
    assert torch.equal(made(x, edges), made(changed, edges)) == (1 not in features + machines)


def test_what_nothing_is_known_of_takes_what_was_planned():
    made = MakespanPLSTM([3, 0, 0, 0], 8, times=[2, 3], features=[0])
    x, _ = plan()
    start_unknown(made)
    unknown = x[:, 0] == 0
    torch.testing.assert_close(made.durations(x)[unknown, 0], x[unknown, 2:].sum(1))
    assert not torch.allclose(made.durations(x)[~unknown, 0], x[~unknown, 2:].sum(1), rtol=1e-3)
