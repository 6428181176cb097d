"""M-mode on grids: every form equals the naive one, the DAG of each orientation and brute force over paths."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.ops import ORIENTATIONS, plstm_max_plus, plstm_max_plus_grid2d, plstm_max_plus_grid2d_oriented
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import assert_close
from tests.ops.dag.max_plus.test_forms import assert_same
from tests.ops.max_plus_regular import drawn, grid_on_dag, grid_shapes, value_and_gradients
from tests.ops.test_layouts import permuted, reversed_axes, sliced
from tests.rounding import rounding

SIZES = [(1, 1), (1, 2), (2, 1), (1, 5), (4, 1), (2, 2), (3, 4), (5, 2)]


def oriented(form="auto", temperature=0.0, orientations=ORIENTATIONS, **operands):
    return plstm_max_plus_grid2d_oriented(**operands, form=form, temperature=temperature, orientations=orientations)


@given(
    size=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    batch=st.sampled_from([(), (1,), (2,), (2, 1, 2), (0,)]),
    channels=st.integers(0, 3),
    chosen=st.lists(st.sampled_from(ORIENTATIONS), max_size=5) | st.just(list(ORIENTATIONS)),
    ties=st.booleans(),
    closed=st.sampled_from([0.0, 0.3, 0.9]),
    temperature=st.sampled_from([0.0, 0.5]),
    layout=st.sampled_from([torch.clone, permuted, reversed_axes, sliced]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 999),
)
def test_forms_equal_the_naive_one(size, batch, channels, chosen, ties, closed, temperature, layout, threads, seed):
    operands = drawn(grid_shapes((*batch, *size), channels, len(chosen)), ties=ties, closed=closed, seed=seed)
    expected = value_and_gradients(lambda **o: oriented("naive", temperature, chosen, **o), operands)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        laid_out = {name: layout(tensor) for name, tensor in operands.items()}
        for form in ("auto", "recurrent"):
            actual = value_and_gradients(lambda form=form, **o: oriented(form, temperature, chosen, **o), laid_out)
            for name, tensor in actual.items():
                assert_same(tensor, expected[name], 1e-11, f"{form}: {name}")
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("form", ["naive", "recurrent"])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("size", SIZES)
def test_a_grid_is_a_dag(size, temperature, form):
    for ties, closed in ((False, 0.0), (True, 0.0), (True, 0.3), (False, 0.3)):
        operands = drawn(grid_shapes(size, 2), ties=ties, closed=closed)
        expected = value_and_gradients(lambda **o: grid_on_dag(**o, temperature=temperature), operands)
        actual = value_and_gradients(
            lambda **o: plstm_max_plus_grid2d(**o, temperature=temperature, form=form), operands
        )
        for name, tensor in actual.items():
            assert_same(tensor, expected[name], 1e-11, name)


@pytest.mark.parametrize("form", ["naive", "recurrent"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("size", [(1, 4), (3, 3), (4, 2)])
def test_each_orientation_is_a_dag(size, orientation, form):
    for ties, temperature in itertools.product((False, True), (0.0, 0.5)):
        operands = drawn(grid_shapes(size, 2), ties=ties, closed=0.2)
        expected = value_and_gradients(
            lambda t=temperature, **o: grid_on_dag(**o, orientation=orientation, temperature=t), operands
        )
        actual = value_and_gradients(
            lambda t=temperature, **o: oriented(
                form, t, [orientation], **{n: v if n == "direct" else v.unsqueeze(-2) for n, v in o.items()}
            ),
            operands,
        )
        for name, tensor in actual.items():
            assert_same(tensor, expected[name], 1e-11, name)


@pytest.mark.parametrize("form", ["naive", "recurrent"])
def test_orientations_combine_by_their_maximum_and_direct_counts_once(form):
    operands = drawn(grid_shapes((3, 4), 2, 4), closed=0.1)
    direct = operands.pop("direct")
    nothing = torch.full_like(direct, -torch.inf)
    single = [
        grid_on_dag(direct=nothing, orientation=name, **{k: gate[..., o, :] for k, gate in operands.items()})
        for o, name in enumerate(ORIENTATIONS)
    ]
    out = oriented(form, direct=direct, **operands)
    assert torch.equal(out, torch.stack([direct, *single]).amax(dim=0))  # The same sums, term by term.
    soft = [
        grid_on_dag(
            direct=nothing, orientation=name, temperature=0.5, **{k: gate[..., o, :] for k, gate in operands.items()}
        )
        for o, name in enumerate(ORIENTATIONS)
    ]
    expected = 0.5 * (torch.stack([direct, *soft]) / 0.5).logsumexp(dim=0)
    assert_close(oriented(form, 0.5, direct=direct, **operands), expected, 1e-12, "soft")


def test_the_grid_of_a_line_graph_numbers_its_edges_likewise():
    """The helper of these tests builds its own edges: here those of ``LineGraph.grid`` are the yardstick."""
    operands = drawn(grid_shapes((2, 2), 1))
    graph = LineGraph.grid(2, 2)
    assert graph.edge_index.tolist() == [[0, 1, 0, 2], [2, 3, 1, 3]]
    assert graph.pairs.tolist() == [[0, 2], [3, 1]]
    o = operands
    out = plstm_max_plus(
        torch.stack([o["source_right"][0, 0], o["source_right"][0, 1], o["source_down"][0, 0], o["source_down"][1, 0]]),
        torch.stack([o["down_from_left"][1, 0], o["right_from_up"][0, 1]]),
        torch.stack([o["mark_left"][1, 0], o["mark_left"][1, 1], o["mark_up"][0, 1], o["mark_up"][1, 1]]),
        o["direct"].flatten(0, 1),
        graph,
    )
    assert torch.equal(plstm_max_plus_grid2d(**operands).view(4, 1), out)  # The same sums.


def _ways(width, height):
    """Every path of a grid as nodes and steps between them, ``"right"`` or ``"down"``."""

    def extend(nodes, steps):
        yield nodes, steps
        x, y = nodes[-1]
        if x + 1 < width:
            yield from extend([*nodes, (x + 1, y)], [*steps, "right"])
        if y + 1 < height:
            yield from extend([*nodes, (x, y + 1)], [*steps, "down"])

    for start in itertools.product(range(width), range(height)):
        yield from (way for way in extend([start], []) if way[1])


@pytest.mark.parametrize("form", ["naive", "recurrent"])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("size", [(1, 5), (3, 4), (4, 3)])
def test_brute_force_over_all_paths(size, temperature, form):
    operands = drawn(grid_shapes(size, 2), closed=0.1)
    turn = {
        ("right", "right"): "right_from_left",
        ("down", "down"): "down_from_up",
        ("right", "down"): "down_from_left",
        ("down", "right"): "right_from_up",
    }
    terms = {node: [operands["direct"][node]] for node in itertools.product(*map(range, size))}
    for nodes, steps in _ways(*size):
        total = operands[f"source_{steps[0]}"][nodes[0]]
        for node, both in zip(nodes[1:-1], itertools.pairwise(steps), strict=True):
            total = total + operands[turn[both]][node]
        terms[nodes[-1]].append(total + operands["mark_left" if steps[-1] == "right" else "mark_up"][nodes[-1]])
    stacked = [torch.stack(each) for each in terms.values()]
    expected = [temperature * (t / temperature).logsumexp(0) if temperature else t.amax(dim=0) for t in stacked]
    out = plstm_max_plus_grid2d(**operands, temperature=temperature, form=form)
    assert_same(out.flatten(0, 1), torch.stack(expected), 1e-12, form)


@pytest.mark.parametrize("form", ["naive", "recurrent"])
def test_ties_go_to_own_terms_then_to_the_left_then_up_then_to_the_first_orientation(form):
    shapes = grid_shapes((3, 3), 1, 2)
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items()}

    def gradients(**changes):
        leaves = {name: (tensor + changes.get(name, 0.0)).requires_grad_() for name, tensor in zeros.items()}
        out = oriented(form, orientations=["left-up", "right-down"], **leaves)
        grads = torch.autograd.grad(out[1, 1].sum(), list(leaves.values()), materialize_grads=True)
        return {name: grad.nonzero().tolist() for name, grad in zip(leaves, grads, strict=True) if grad.any()}

    assert gradients() == {"direct": [[1, 1, 0]]}
    # In the orientation left-up, what comes from x + 1 is named left.
    assert gradients(direct=-1.0) == {"mark_left": [[1, 1, 0, 0]], "source_right": [[2, 1, 0, 0]]}
    assert gradients(direct=-1.0, mark_left=-0.5) == {"mark_up": [[1, 1, 0, 0]], "source_down": [[1, 2, 0, 0]]}
    closed = {"direct": -1.0, "source_right": -9.0}
    # At the corner (2, 2) nothing arrives, so the edge left from (2, 1) takes what came from there.
    assert gradients(**closed, mark_up=-1.0) == {
        "mark_left": [[1, 1, 0, 0]],
        "right_from_up": [[2, 1, 0, 0]],
        "source_down": [[2, 2, 0, 0]],
    }


@pytest.mark.parametrize("form", ["naive", "recurrent"])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_where_nothing_enters_nothing_is_differentiated(form, temperature):
    closed = {name: torch.full(shape, -torch.inf) for name, shape in grid_shapes((3, 4), 2, 4).items()}
    results = value_and_gradients(lambda **o: oriented(form, temperature, **o), closed)
    assert (results.pop("output") == -torch.inf).all()
    assert all(not gradient.any() for gradient in results.values())  # No NaN either: any() is true of it.


@pytest.mark.parametrize("form", ["naive", "recurrent"])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("where", [*GATES, "direct"])
def test_what_is_no_number_is_not_lost(where, temperature, form):
    operands = drawn(grid_shapes((4, 4), 2))
    operands[where][1, 1, 0] = torch.nan
    lost = plstm_max_plus_grid2d(**operands, temperature=temperature, form=form).isnan()
    behind = torch.zeros_like(lost)
    if where == "direct" or where.startswith("mark"):
        behind[1, 1, 0] = True
    else:
        first = (2, 1) if where in ("source_right", "right_from_left", "right_from_up") else (1, 2)
        behind[first[0] :, first[1] :, 0] = True
    assert torch.equal(lost, behind)


def _with_out_grad(operands, out_grad, form):
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
    return torch.autograd.grad(oriented(form, **leaves), list(leaves.values()), out_grad)


@pytest.mark.parametrize("where", [*GATES, "direct"])
def test_what_is_no_number_takes_the_gradient_as_the_largest(where):
    operands = drawn(grid_shapes((4, 5), 2, 4), ties=True, closed=0.2)
    operands[where][1, 1, ..., 0] = torch.nan
    operands[where][2, 1, ..., 0] = torch.nan
    out_grad = torch.arange(40.0, dtype=torch.float64).view(4, 5, 2)
    both_forms = (_with_out_grad(operands, out_grad, form) for form in ("recurrent", "naive"))
    for name, got, wanted in zip(operands, *both_forms, strict=True):
        assert torch.equal(got, wanted), name  # Sums of whole numbers are exact.


@pytest.mark.parametrize("infinite", [torch.inf, -torch.inf, torch.nan])
def test_an_infinite_gradient_goes_where_it_belongs_alone(infinite):
    operands = drawn(grid_shapes((4, 5), 2, 4), ties=True, closed=0.2)
    out_grad = torch.ones(4, 5, 2, dtype=torch.float64)
    out_grad[2, 3, 1] = infinite
    both_forms = (_with_out_grad(operands, out_grad, form) for form in ("recurrent", "naive"))
    for name, got, wanted in zip(operands, *both_forms, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True, msg=name)  # Sums of whole numbers.


@pytest.mark.parametrize("form", ["naive", "recurrent"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_small_temperature_is_almost_none(form, dtype):
    """Terms over such a temperature are no finite numbers, their distances to the largest need not be."""
    operands = {name: 1e3 * t for name, t in drawn(grid_shapes((4, 5), 2, 4), closed=0.2, dtype=dtype).items()}
    expected = value_and_gradients(lambda **o: oriented("naive", **o), operands)
    for name, tensor in value_and_gradients(lambda **o: oriented(form, 1e-37, **o), operands).items():
        assert_same(tensor, expected[name], rounding(dtype, 40), name)


@pytest.mark.parametrize("size", [(1, 10_000), (5_000, 2)])
def test_a_gradient_is_1_over_thousands_of_hops(size):
    operands = {name: torch.full((*size, 1), -torch.inf) for name in GATES}
    ahead, along = ("source_down", "down_from_up") if size[0] == 1 else ("source_right", "right_from_left")
    operands[ahead][0, 0] = 3.0
    for name in (along, "right_from_up", "down_from_left", "mark_up", "mark_left"):
        operands[name].fill_(0.5)
    leaves = {name: tensor.requires_grad_() for name, tensor in operands.items()}
    out = plstm_max_plus_grid2d(**leaves, direct=torch.full((*size, 1), -torch.inf))
    hops = sum(size) - 2
    assert out[-1, -1].item() == 3.0 + 0.5 * hops  # Halves below 2^23 are exact in float32.
    grads = dict(zip(leaves, torch.autograd.grad(out[-1, -1].sum(), list(leaves.values())), strict=True))
    assert grads[ahead][0, 0].item() == 1.0  # Ones are multiplied by ones.
    transitions = sum(grads[name] for name in GATES[2:6])
    assert transitions.sum().item() == hops - 1 and transitions.max().item() == 1.0


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_gradcheck_in_both_modes(temperature):
    operands = drawn(grid_shapes((3, 2), 1, 2))
    leaves = [tensor.requires_grad_() for tensor in operands.values()]

    def run(*tensors):
        named = dict(zip(operands, tensors, strict=True))
        return oriented("recurrent", temperature, ["right-down", "left-up"], **named)

    assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_second_derivatives_with_minus_infinity(temperature):
    operands = drawn(grid_shapes((3, 4), 2, 4), closed=0.4)

    def second(form):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
        out = oriented(form, temperature, **leaves)
        total = out.masked_fill(out == -torch.inf, 0.0).square().sum()
        first = torch.autograd.grad(total, list(leaves.values()), create_graph=True)
        slope = sum((each * k).sum() for k, each in enumerate(first, 1))
        return torch.autograd.grad(slope, list(leaves.values()), materialize_grads=True)

    for name, got, wanted in zip(operands, second("recurrent"), second("naive"), strict=True):
        assert_close(got, wanted, 1e-10, name)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_compiles(temperature):
    torch._dynamo.reset()
    operands = drawn(grid_shapes((2, 4, 3), 2, 4))
    compiled = torch.compile(lambda **o: oriented("auto", temperature, **o), backend="aot_eager", fullgraph=True)
    expected = value_and_gradients(lambda **o: oriented("auto", temperature, **o), operands)
    for name, tensor in value_and_gradients(compiled, operands).items():
        assert_close(tensor, expected[name], 1e-12, name)


@pytest.mark.parametrize("form", ["naive", "recurrent"])
def test_half_precision_sums_in_float32(form):
    ones = {name: torch.ones(1, 301, 1, dtype=torch.bfloat16) for name in GATES}
    direct = torch.zeros(1, 301, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = plstm_max_plus_grid2d(**ones, direct=direct, form=form)
    assert out.dtype == torch.float32 and out[0, -1].item() == 301  # Sums of ones are exact, but not in bfloat16.


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"source_right": torch.zeros(3, 3, 1)}, ValueError, r"source_right must be \[..., X, Y, C\] = \[4, 3, 1\]"),
        ({"right_from_up": torch.zeros(4, 3)}, ValueError, r"right_from_up must be \[..., X, Y, C\]"),
        ({"direct": torch.zeros(3, 1)}, ValueError, r"direct must be \[..., X, Y, C\], got \[3, 1\]"),
        ({"direct": torch.zeros(4, 3, 1, dtype=torch.long)}, TypeError, "direct must be float64"),
        ({"mark_up": torch.zeros(4, 3, 1, dtype=torch.bool)}, TypeError, "mark_up must be float64"),
        ({"temperature": float("inf")}, ValueError, "temperature must be 0 or a positive number"),
        ({"form": "parallel"}, ValueError, "unknown form 'parallel'"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        plstm_max_plus_grid2d(**{name: torch.zeros(4, 3, 1) for name in (*GATES, "direct")} | change)


def test_bad_orientations_are_named():
    operands = {name: torch.zeros(shape) for name, shape in grid_shapes((4, 3), 1, 4).items()}
    with pytest.raises(ValueError, match=r"source_right must be \[..., X, Y, O, C\] = \[4, 3, 1, 1\]"):
        oriented(orientations=["right-down"], **operands)
    with pytest.raises(ValueError, match="unknown orientation 'up'"):
        oriented(orientations=["right-down", "left-down", "right-up", "up"], **operands)
