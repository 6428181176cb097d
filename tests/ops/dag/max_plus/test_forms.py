"""M-mode: every form equals the naive one and brute force over paths; ties, minus infinity, depth, transforms."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import forward_ad

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm_max_plus
from plstm_graph.testing import assert_close, random_dag
from tests.ops.catalogue import native_and_torch, native_code
from tests.strategies import line_graphs

NAMES = ("source", "transition", "mark", "direct")


def operands_of(graph, channels=3, *, ties=False, closed=0.3, seed=0, dtype=torch.float64):
    """Random operands; ``closed`` is the share of minus infinity, ``ties`` makes many sums equal."""
    generator = torch.Generator().manual_seed(seed)
    operands = {}
    for name, rows in zip(NAMES, (graph.num_edges, graph.num_pairs, graph.num_edges, graph.num_nodes), strict=True):
        tensor = torch.randn(rows, channels, dtype=dtype, generator=generator)
        if ties:
            tensor = tensor.round()
        hidden = torch.rand(tensor.shape, generator=generator) < closed
        operands[name] = tensor.masked_fill(hidden, -torch.inf)
    return operands


def assert_same(actual, expected, tolerance, what):
    """As ``assert_close``, with minus infinity in the same places."""
    assert torch.equal(actual == -torch.inf, expected == -torch.inf), what
    finite = expected > -torch.inf
    assert_close(actual[finite], expected[finite], tolerance, what)


def value_and_gradients(operands, graph, **options):
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = plstm_max_plus(**leaves, line_graph=graph, **options)
    out_grad = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(out, list(leaves.values()), out_grad, materialize_grads=True)
    return {"output": out.detach(), **dict(zip(leaves, grads, strict=True))}


@given(line_graphs(), st.booleans(), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.5]), st.integers(0, 999))
def test_every_form_equals_the_naive_one_on_random_dags(graph, ties, closed, temperature, seed):
    operands = operands_of(graph, ties=ties, closed=closed, seed=seed)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    for native in (True, False):
        with native_code(native):
            actual = value_and_gradients(operands, graph, temperature=temperature)
        for name, tensor in actual.items():
            assert_same(tensor, expected[name], 1e-11, f"{name}, {'native' if native else 'torch'}")


@given(line_graphs(), st.sampled_from([0.0, 0.5]), st.sampled_from([0.05, 0.3]), st.integers(0, 999))
def test_not_a_number_and_infinity_spread_alike_in_every_form(graph, temperature, share, seed):
    """Not a number is larger than every number; of two the first takes the gradient, as everywhere."""
    operands, generator = operands_of(graph, closed=0.2, seed=seed), torch.Generator().manual_seed(seed)
    for value in (torch.nan, torch.inf):
        for name, tensor in operands.items():
            operands[name] = tensor.masked_fill(torch.rand(tensor.shape, generator=generator) < share, value)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    for native in (True, False):
        with native_code(native):
            actual = value_and_gradients(operands, graph, temperature=temperature)
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11, equal_nan=True)


@native_and_torch
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_not_a_number_reaches_whoever_follows_and_nobody_else(native, temperature):
    graph = LineGraph(torch.tensor([[0, 1, 1, 4], [1, 2, 3, 5]]), 6)
    for name, edge, reached in (("source", 0, [1, 2, 3]), ("mark", 1, [2]), ("direct", 4, [4]), ("source", 3, [5])):
        operands = operands_of(graph, 2, closed=0.0)
        operands[name][edge] = torch.nan
        for form in ("naive", "auto"):
            with native_code(native):
                out = plstm_max_plus(**operands, line_graph=graph, temperature=temperature, form=form)
            assert out.isnan().all(dim=1).nonzero().flatten().tolist() == reached


@native_and_torch
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_an_output_of_minus_infinity_hands_on_no_gradient_however_large(native, temperature, value):
    """The square of such an output, say, has the gradient minus infinity."""
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(0)), 9)
    operands = operands_of(graph, closed=0.7)
    results = []
    for form in ("naive", "auto"):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
        with native_code(native):
            out = plstm_max_plus(**leaves, line_graph=graph, temperature=temperature, form=form)
        nothing = out == -torch.inf
        assert 0 < nothing.sum() < out.numel()
        grad = torch.ones_like(out).masked_fill(nothing, value)
        results.append(torch.autograd.grad(out, list(leaves.values()), grad))
        assert all(gradient.isfinite().all() for gradient in results[-1])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@native_and_torch
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", ["smallest", 1e-30, 1e-6, 1e6, 1e30])
def test_no_temperature_is_too_small_or_large_to_divide_by(native, dtype, temperature):
    smallest = torch.finfo(dtype).tiny
    temperature = smallest if temperature == "smallest" else temperature
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(0)), 9)
    operands = {name: 1e6 * tensor for name, tensor in operands_of(graph, dtype=dtype).items()}
    hard = plstm_max_plus(**operands, line_graph=graph)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    with native_code(native):
        actual = value_and_gradients(operands, graph, temperature=temperature)
    for name, tensor in expected.items():
        # At high temperatures a value is the temperature times the logarithm of a number of paths.
        tolerance = 200 * torch.finfo(dtype).eps
        assert_same(actual[name], tensor, tolerance, name)
        assert not tensor.isnan().any()
    if temperature < 1e-5:
        assert_same(actual["output"], hard, 20 * torch.finfo(dtype).eps, "the maximum itself")
    if smallest / 2 > 0:
        with pytest.raises(ValueError, match="temperature must be 0 or at least"):
            plstm_max_plus(**operands, line_graph=graph, temperature=smallest / 2)


def _paths(graph):
    """Every sequence of pairs, as lists of (edges, pairs)."""
    following = {edge: [] for edge in range(graph.num_edges)}
    for pair, (e, f) in enumerate(graph.pairs.t().tolist()):
        following[e].append((pair, f))

    def extend(edges, pairs):
        yield edges, pairs
        for pair, edge in following[edges[-1]]:
            yield from extend([*edges, edge], [*pairs, pair])

    return itertools.chain.from_iterable(extend([edge], []) for edge in following)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_brute_force_over_all_paths(seed, reverse, temperature):
    graph = LineGraph(random_dag(7, 11, torch.Generator().manual_seed(seed)), 7)
    graph = graph.reverse() if reverse else graph
    operands = operands_of(graph, closed=0.1, seed=seed)
    sums = [[own] for own in operands["direct"]]
    for edges, pairs in _paths(graph):
        total = operands["source"][edges[0]] + operands["transition"][pairs].sum(dim=0) + operands["mark"][edges[-1]]
        sums[int(graph.edge_index[1, edges[-1]])].append(total)
    terms = [torch.stack(each) for each in sums]
    expected = torch.stack(
        [temperature * (t / temperature).logsumexp(0) if temperature else t.max(dim=0).values for t in terms]
    )
    for form, native in (("naive", False), ("recurrent", False), ("recurrent", True)):
        with native_code(native):
            actual = plstm_max_plus(**operands, line_graph=graph, temperature=temperature, form=form)
        assert_same(actual, expected, 1e-12, form)


def test_longest_and_shortest_ways_agree_with_networkx():
    networkx = pytest.importorskip("networkx")
    edge_index = random_dag(30, 70, torch.Generator().manual_seed(2))
    graph = LineGraph(edge_index, 30)
    weight = torch.randint(1, 9, (graph.num_edges, 1)).double()
    root = int((graph.level == 0).nonzero()[0])
    # A way starts at the root alone: source is the weight there, and nothing elsewhere.
    source = torch.full_like(weight, torch.inf).where((edge_index[0] != root)[:, None], weight)
    transition, mark = weight[graph.pairs[1]], torch.zeros_like(weight)
    direct = torch.full((30, 1), torch.inf, dtype=torch.float64).index_fill(0, torch.tensor([root]), 0.0)
    shortest = -plstm_max_plus(-source, -transition, -mark, -direct, graph).squeeze(-1)
    nx = networkx.DiGraph()
    nx.add_nodes_from(range(30))
    for (u, v), w in zip(edge_index.t().tolist(), weight[:, 0].tolist(), strict=True):
        nx.add_edge(u, v, weight=min(w, nx.get_edge_data(u, v, {"weight": w})["weight"]))
    expected = networkx.single_source_dijkstra_path_length(nx, root)
    for node in range(30):
        assert shortest[node] == expected.get(node, torch.inf)  # Sums of whole numbers are exact.


@native_and_torch
def test_ties_go_to_own_terms_first_then_to_the_first_in_the_callers_order(native):
    # Two ways of the same length from 0 to 3, and a third that is its direct edge.
    edge_index = torch.tensor([[0, 0, 1, 2, 0], [1, 2, 3, 3, 3]])
    graph = LineGraph(edge_index, 4)
    operands = {
        "source": torch.tensor([[1.0], [1.0], [-5.0], [-5.0], [2.0]]),
        "transition": torch.ones(graph.num_pairs, 1),
        "mark": torch.zeros(5, 1),
        "direct": torch.full((4, 1), -9.0),
    }

    def run():
        with native_code(native):
            return value_and_gradients(operands, graph)

    grads = run()
    assert grads["output"][3] == 2.0
    assert (grads["mark"][2:] != 0).flatten().tolist() == [True, False, False]
    operands["direct"][3] = 2.0
    assert (run()["mark"][2:] == 0).all()
    operands["direct"][3], operands["source"][2] = -9.0, 2.0
    grads = run()
    assert grads["source"][2] != 0 and not grads["transition"].any()


@native_and_torch
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_where_nothing_enters_nothing_is_differentiated(native, temperature):
    graph = LineGraph.grid(3, 3)
    closed = {name: torch.full_like(t, -torch.inf) for name, t in operands_of(graph).items()}
    with native_code(native):
        results = value_and_gradients(closed, graph, temperature=temperature)
    assert (results.pop("output") == -torch.inf).all()
    assert all(not gradient.any() for gradient in results.values())  # No NaN either: any() is true of it.


@native_and_torch
@pytest.mark.parametrize(("nodes", "edges"), [(0, []), (1, []), (4, []), (2, [(1, 0)]), (2, [(0, 1), (0, 1)])])
@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_small_and_empty_graphs(native, nodes, edges, channels, temperature):
    graph = LineGraph(torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), nodes)
    operands = operands_of(graph, channels)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    with native_code(native):
        actual = value_and_gradients(operands, graph, temperature=temperature)
    for name, tensor in actual.items():
        assert_same(tensor, expected[name], 1e-12, name)


@native_and_torch
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_gradcheck_in_both_modes(native, temperature):
    graph = LineGraph(random_dag(6, 10, torch.Generator().manual_seed(0)), 6)
    operands = [tensor.requires_grad_() for tensor in operands_of(graph, closed=0.0).values()]
    run = lambda *t: plstm_max_plus(*t, graph, temperature=temperature)  # noqa: E731
    with native_code(native):
        assert torch.autograd.gradcheck(run, operands, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(run, operands)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_tangents_and_vmap(temperature):
    graph = LineGraph(random_dag(8, 14, torch.Generator().manual_seed(0)), 8)
    primals, tangents = (list(operands_of(graph, closed=0.0, seed=seed).values()) for seed in (0, 1))

    def run(form, *tensors):
        return plstm_max_plus(*tensors, graph, temperature=temperature, form=form)

    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*both) for both in zip(primals, tangents, strict=True)]
        actual, expected = (forward_ad.unpack_dual(run(form, *duals)).tangent for form in ("recurrent", "naive"))
    assert_close(actual, expected, 1e-12, "tangent")
    mapped = torch.func.vmap(lambda *t: run("recurrent", *t))(
        *(torch.stack(b) for b in zip(primals, tangents, strict=True))
    )
    for out, operands in zip(mapped, (primals, tangents), strict=True):
        assert_close(out, run("naive", *operands), 1e-12, "vmap")


@native_and_torch
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("reverse", [False, True])
def test_compiles_and_is_registered_soundly(native, temperature, reverse):
    torch._dynamo.reset()
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20).prepare()
    graph = graph.reverse() if reverse else graph
    operands = operands_of(graph, closed=0.0)
    results = []
    with native_code(native):
        compiled = torch.compile(
            lambda **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature),
            backend="aot_eager",
            fullgraph=True,
        )
        for run in (compiled, lambda **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature, form="naive")):
            leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
            out = run(**leaves)
            results.append([out, *torch.autograd.grad(out.square().sum(), list(leaves.values()))])
    for name, got, wanted in zip(("output", *operands), *results, strict=True):
        assert_close(got, wanted, 1e-12, name)


def test_a_soft_maximum_tends_to_the_maximum_from_above():
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20)
    operands = operands_of(graph, closed=0.0)
    hard = plstm_max_plus(**operands, line_graph=graph)
    distances = []
    for temperature in (1.0, 0.1, 0.01, 0.001):
        soft = plstm_max_plus(**operands, line_graph=graph, temperature=temperature)
        assert (soft >= hard - 1e-12).all()
        distances.append(float((soft - hard).max()))
    assert distances == sorted(distances, reverse=True) and distances[-1] < 1e-2


@native_and_torch
def test_renumbering_nodes_and_reordering_edges_and_pairs(native):
    edge_index = random_dag(20, 40, torch.Generator().manual_seed(0))
    graph, operands = LineGraph(edge_index, 20), operands_of(LineGraph(edge_index, 20))
    new_of_old, order, edge_order = torch.randperm(20), torch.randperm(graph.num_pairs), torch.randperm(40)
    renumbered = LineGraph(new_of_old[edge_index], 20, pairs=graph.pairs)
    moved = operands | {"direct": torch.empty_like(operands["direct"]).index_copy(0, new_of_old, operands["direct"])}
    shuffled = LineGraph(edge_index, 20, pairs=graph.pairs[:, order])
    turned = operands | {"transition": operands["transition"][order]}
    place = torch.empty_like(edge_order).index_copy(0, edge_order, torch.arange(40))
    reordered = LineGraph(edge_index[:, edge_order], 20, pairs=place[graph.pairs])
    sorted_ = operands | {name: operands[name][edge_order] for name in ("source", "mark")}
    with native_code(native):
        out = plstm_max_plus(**operands, line_graph=graph)
        assert_same(plstm_max_plus(**moved, line_graph=renumbered)[new_of_old], out, 1e-12, "renumbered")
        assert_same(plstm_max_plus(**turned, line_graph=shuffled), out, 1e-12, "other order of pairs")
        assert_same(plstm_max_plus(**sorted_, line_graph=reordered), out, 1e-12, "other order of edges")


@pytest.mark.parametrize("form", ["naive", "native", "torch"])
def test_a_gradient_is_1_over_ten_thousand_hops(form):
    length = 10_000
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    closed = torch.full((length, 1), -torch.inf)
    source = closed.index_fill(0, torch.tensor([0]), 3.0).requires_grad_()
    transition = torch.full((length - 1, 1), 0.5, requires_grad=True)
    direct = torch.full((length + 1, 1), -torch.inf)
    with native_code(form == "native"):
        given = "naive" if form == "naive" else "auto"
        out = plstm_max_plus(source, transition, torch.zeros(length, 1), direct, graph, form=given)
    assert out[-1].item() == 3.0 + 0.5 * (length - 1)  # Halves below 2^23 are exact in float32.
    grads = torch.autograd.grad(out[-1].sum(), [source, transition])
    assert grads[0][0].item() == 1.0 and not grads[0][1:].any()
    assert (grads[1] == 1.0).all()  # Ones are copied, not computed.


@native_and_torch
def test_one_path_among_two_to_the_ten_thousandth_has_the_gradient(native):
    """Two rails with all rungs: sums of whole numbers are exact, and one edge of each rung is on the path."""
    depth = 10_000
    here = torch.arange(depth)
    ends = [(2 * here + a, 2 * here + 2 + b) for a in (0, 1) for b in (0, 1)]
    graph = LineGraph(torch.cat([torch.stack(pair) for pair in ends], dim=1), 2 * depth + 2)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(0, 9, (graph.num_edges, 1), generator=generator).double()
    first = graph.edge_index[0] < 2
    source = torch.full_like(weight, -torch.inf).where(~first[:, None], weight).requires_grad_()
    transition = weight[graph.pairs[1]].requires_grad_()
    direct = torch.full((graph.num_nodes, 1), -torch.inf, dtype=torch.float64)
    with native_code(native):
        out = plstm_max_plus(source, transition, torch.zeros_like(weight), direct, graph)
        grads = torch.autograd.grad(out[-1].sum(), [source, transition])
    best = torch.zeros(2, dtype=torch.float64)
    for rung in weight.view(2, 2, depth).unbind(-1):
        best = (best[:, None] + rung).amax(dim=0)
    assert out[-1].item() == best[1].item()
    assert grads[0].sum().item() == 1.0 and grads[1].sum().item() == depth - 1
    assert sorted(torch.cat(grads).unique().tolist()) == [0.0, 1.0]


@native_and_torch
def test_half_precision_sums_in_float32(native):
    length = 3000
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    ones = torch.ones(length, 1, dtype=torch.bfloat16)
    with native_code(native):
        out = plstm_max_plus(ones, ones[1:], torch.zeros_like(ones), torch.zeros(length + 1, 1), graph)
    assert out[-1].item() == length


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": torch.zeros(3, 2)}, r"source must be \[E, C\] = \[2, 2\]"),
        ({"transition": torch.zeros(1, 3)}, r"transition must be \[P, C\] = \[1, 2\]"),
        ({"mark": torch.zeros(2)}, r"mark must be \[E, C\]"),
        ({"direct": torch.zeros(3)}, r"direct must be \[N, C\]"),
        ({"direct": torch.zeros(4, 2)}, r"direct must be \[N, C\] = \[3, 2\]"),
        ({"temperature": -1.0}, "temperature must be 0 or a positive number"),
        ({"temperature": float("nan")}, "temperature must be 0 or a positive number"),
        ({"form": "parallel"}, "unknown form 'parallel'"),
    ],
)
def test_bad_arguments_are_named(change, message):
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]), 3)
    arguments = {"source": torch.zeros(2, 2), "transition": torch.zeros(1, 2), "mark": torch.zeros(2, 2)}
    with pytest.raises(ValueError, match=message):
        plstm_max_plus(**arguments | {"direct": torch.zeros(3, 2)} | change, line_graph=graph)
