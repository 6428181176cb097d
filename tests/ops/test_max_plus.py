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
def test_levels_equal_the_naive_form_on_random_dags(graph, ties, closed, temperature, seed):
    operands = operands_of(graph, ties=ties, closed=closed, seed=seed)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    for name, tensor in value_and_gradients(operands, graph, temperature=temperature).items():
        assert_same(tensor, expected[name], 1e-11, name)


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
    for form in ("naive", "recurrent"):
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


def test_ties_go_to_own_terms_first_then_to_the_first_in_the_callers_order():
    # Two ways of the same length from 0 to 3, and a third that is its direct edge.
    edge_index = torch.tensor([[0, 0, 1, 2, 0], [1, 2, 3, 3, 3]])
    graph = LineGraph(edge_index, 4)
    operands = {
        "source": torch.tensor([[1.0], [1.0], [-5.0], [-5.0], [2.0]]),
        "transition": torch.ones(graph.num_pairs, 1),
        "mark": torch.zeros(5, 1),
        "direct": torch.full((4, 1), -9.0),
    }
    grads = value_and_gradients(operands, graph)
    assert grads["output"][3] == 2.0
    assert (grads["mark"][2:] != 0).flatten().tolist() == [True, False, False]
    operands["direct"][3] = 2.0
    assert (value_and_gradients(operands, graph)["mark"][2:] == 0).all()
    operands["direct"][3], operands["source"][2] = -9.0, 2.0
    grads = value_and_gradients(operands, graph)
    assert grads["source"][2] != 0 and not grads["transition"].any()


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_where_nothing_enters_nothing_is_differentiated(temperature):
    graph = LineGraph.grid(3, 3)
    closed = {name: torch.full_like(t, -torch.inf) for name, t in operands_of(graph).items()}
    results = value_and_gradients(closed, graph, temperature=temperature)
    assert (results.pop("output") == -torch.inf).all()
    assert all(not gradient.any() for gradient in results.values())  # No NaN either: any() is true of it.


@pytest.mark.parametrize(("nodes", "edges"), [(0, []), (1, []), (4, []), (2, [(1, 0)]), (2, [(0, 1), (0, 1)])])
@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_small_and_empty_graphs(nodes, edges, channels, temperature):
    graph = LineGraph(torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), nodes)
    operands = operands_of(graph, channels)
    expected = value_and_gradients(operands, graph, temperature=temperature, form="naive")
    for name, tensor in value_and_gradients(operands, graph, temperature=temperature).items():
        assert_same(tensor, expected[name], 1e-12, name)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_gradcheck_in_both_modes(temperature):
    graph = LineGraph(random_dag(6, 10, torch.Generator().manual_seed(0)), 6)
    operands = [tensor.requires_grad_() for tensor in operands_of(graph, closed=0.0).values()]
    run = lambda *t: plstm_max_plus(*t, graph, temperature=temperature)  # noqa: E731
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


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("reverse", [False, True])
def test_compiles_and_is_registered_soundly(temperature, reverse):
    torch._dynamo.reset()
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20).prepare()
    graph = graph.reverse() if reverse else graph
    operands = operands_of(graph, closed=0.0)
    compiled = torch.compile(
        lambda **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature), backend="aot_eager", fullgraph=True
    )
    assert_close(
        compiled(**operands), plstm_max_plus(**operands, line_graph=graph, temperature=temperature), 1e-12, "out"
    )


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


def test_renumbering_nodes_and_reordering_edges():
    edge_index = random_dag(20, 40, torch.Generator().manual_seed(0))
    graph, operands = LineGraph(edge_index, 20), operands_of(LineGraph(edge_index, 20))
    new_of_old = torch.randperm(20)
    renumbered = LineGraph(new_of_old[edge_index], 20, pairs=graph.pairs)
    moved = operands | {"direct": torch.empty_like(operands["direct"]).index_copy(0, new_of_old, operands["direct"])}
    out = plstm_max_plus(**operands, line_graph=graph)
    assert_same(plstm_max_plus(**moved, line_graph=renumbered)[new_of_old], out, 1e-12, "renumbered")
    order = torch.randperm(graph.num_pairs)
    shuffled = LineGraph(edge_index, 20, pairs=graph.pairs[:, order])
    turned = operands | {"transition": operands["transition"][order]}
    assert_same(plstm_max_plus(**turned, line_graph=shuffled), out, 1e-12, "other order of pairs")


@pytest.mark.parametrize("form", ["naive", "recurrent"])
def test_a_gradient_is_1_over_ten_thousand_hops(form):
    length = 10_000
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    closed = torch.full((length, 1), -torch.inf)
    source = closed.index_fill(0, torch.tensor([0]), 3.0).requires_grad_()
    transition = torch.full((length - 1, 1), 0.5, requires_grad=True)
    direct = torch.full((length + 1, 1), -torch.inf)
    out = plstm_max_plus(source, transition, torch.zeros(length, 1), direct, graph, form=form)
    assert out[-1].item() == 3.0 + 0.5 * (length - 1)  # Halves below 2^23 are exact in float32.
    grads = torch.autograd.grad(out[-1].sum(), [source, transition])
    assert grads[0][0].item() == 1.0 and (grads[1] == 1.0).all()  # Ones are copied, not computed.


def test_half_precision_sums_in_float32():
    length = 3000
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    ones = torch.ones(length, 1, dtype=torch.bfloat16)
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
