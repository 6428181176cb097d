"""M-mode on chains: every form equals the naive one, the DAG and brute force over paths; streaming, depth, ties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.ops import plstm_max_plus_chain
from plstm_graph.ops.semiring_scan import semiring_scan
from plstm_graph.testing import assert_close
from tests.ops.dag.max_plus.test_forms import assert_same
from tests.ops.max_plus_regular import chain_on_dag, drawn, value_and_gradients
from tests.ops.test_layouts import permuted, reversed_axes, sliced
from tests.rounding import rounding

FORMS = ("auto", "recurrent", "scan")
NAMES = ("source", "transition", "mark", "direct")


def operands_of(length, channels=3, batch=(), **how):
    """With a state that enters."""
    shapes = dict.fromkeys(NAMES, (*batch, length, channels)) | {"initial_state": (*batch, channels)}
    return drawn(shapes, **how)


def both(form="naive", temperature=0.0, **operands):
    """Outputs and final state, one behind the other, ``[..., L + 1, C]``."""
    out, state = plstm_max_plus_chain(**operands, form=form, temperature=temperature, return_final_state=True)
    return torch.cat([out, state.unsqueeze(-2)], dim=-2)


@given(
    length=st.integers(0, 40),
    batch=st.sampled_from([(), (1,), (2,), (2, 1, 3), (0,)]),
    channels=st.integers(0, 3),
    ties=st.booleans(),
    closed=st.sampled_from([0.0, 0.3, 0.9]),
    temperature=st.sampled_from([0.0, 0.5]),
    layout=st.sampled_from([torch.clone, permuted, reversed_axes, sliced]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 999),
)
def test_forms_equal_the_naive_one(length, batch, channels, ties, closed, temperature, layout, threads, seed):
    operands = operands_of(length, channels, batch, ties=ties, closed=closed, seed=seed)
    expected = value_and_gradients(lambda **o: both(temperature=temperature, **o), operands)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for form in FORMS:
            laid_out = {name: layout(tensor) for name, tensor in operands.items()}
            actual = value_and_gradients(lambda form=form, **o: both(form, temperature, **o), laid_out)
            for name, tensor in actual.items():
                assert_same(tensor, expected[name], 1e-11, f"{form}: {name}")
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("form", ["naive", *FORMS])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("length", [1, 2, 3, 6, 17])
def test_a_chain_is_a_dag(length, temperature, form):
    for ties, closed in ((False, 0.0), (True, 0.0), (True, 0.4), (False, 0.4)):
        operands = operands_of(length, ties=ties, closed=closed, seed=length)
        expected = value_and_gradients(
            lambda **o: torch.cat([each.view(-1, 3) for each in chain_on_dag(**o, temperature=temperature)]), operands
        )
        actual = value_and_gradients(lambda **o: both(form, temperature, **o), operands)
        for name, tensor in actual.items():
            assert_same(tensor, expected[name], 1e-11, name)


@pytest.mark.parametrize("form", ["naive", *FORMS])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_brute_force_over_all_paths(form, temperature):
    length = 9
    operands = operands_of(length, closed=0.1)
    s, t, r, d, start = operands.values()
    expected = []
    for end in range(length + 1):
        last = r[end] if end < length else torch.zeros_like(start)
        sums = [start + t[:end].sum(dim=0) + last]
        sums += [s[begin] + t[begin + 1 : end].sum(dim=0) + last for begin in range(end)]
        terms = torch.stack(sums + ([d[end]] if end < length else []))
        expected.append(temperature * (terms / temperature).logsumexp(0) if temperature else terms.amax(dim=0))
    assert_same(both(form, temperature, **operands), torch.stack(expected), 1e-12, form)


@pytest.mark.parametrize("form", ["naive", *FORMS])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("cuts", [(0,), (20,), (1, 1), (3, 10, 19), tuple(range(1, 20))])
def test_pieces_give_what_the_whole_gives(cuts, temperature, form):
    operands = operands_of(20, batch=(2,), ties=True, closed=0.2)

    def in_pieces(initial_state, **o):
        outs, state = [], initial_state
        for begin, end in zip((0, *cuts), (*cuts, 20), strict=True):
            piece = {name: tensor[:, begin:end] for name, tensor in o.items()}
            out, state = plstm_max_plus_chain(
                **piece, form=form, temperature=temperature, initial_state=state, return_final_state=True
            )
            outs.append(out)
        return torch.cat([*outs, state.unsqueeze(-2)], dim=-2)

    expected = value_and_gradients(lambda **o: both(form, temperature, **o), operands)
    for name, tensor in value_and_gradients(in_pieces, operands).items():
        assert_same(tensor, expected[name], 1e-11, name)


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_without_an_initial_state_nothing_enters(form):
    operands = operands_of(5)
    operands["initial_state"] = torch.full_like(operands["initial_state"], -torch.inf)
    expected = both(form, **operands)
    del operands["initial_state"]
    assert torch.equal(both(form, **operands), expected)  # The same sums.
    assert torch.equal(plstm_max_plus_chain(**operands, form=form), expected[:-1])


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_a_gradient_is_1_over_ten_thousand_hops(form):
    length = 10_000
    closed = torch.full((length + 1, 1), -torch.inf)
    source = closed.index_fill(0, torch.tensor([0]), 3.0).requires_grad_()
    transition = torch.full((length + 1, 1), 0.5, requires_grad=True)
    out = plstm_max_plus_chain(source, transition, torch.zeros_like(closed), closed, form=form)
    assert out[-1].item() == 3.0 + 0.5 * (length - 1)  # Halves below 2^23 are exact in float32.
    grads = torch.autograd.grad(out[-1].sum(), [source, transition])
    # Ones are copied, or multiplied by ones.
    assert grads[0][0].item() == 1.0 and not grads[0][1:].any()
    assert (grads[1][1:-1] == 1.0).all() and grads[1][0] == 0 and grads[1][-1] == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_every_gradient_arrives_once_also_where_sums_are_rounded(form, temperature):
    """Each output is the sum of one source, direct or initial state with gates: their gradients add up to its own."""
    operands = operands_of(300, dtype=torch.float32)
    leaves = {name: tensor.requires_grad_() for name, tensor in operands.items()}
    out = both(form, temperature, **leaves)
    grads = dict(zip(leaves, torch.autograd.grad(out.sum(), list(leaves.values())), strict=True))
    total = sum(float(grads[name].double().sum()) for name in ("source", "direct", "initial_state"))
    # Hard gradients are sums of ones, exact in float32; soft ones are rounded at each of 300 places.
    assert abs(total - out.numel()) <= (0.0 if temperature == 0 else 300 * 2**-24 * out.numel())


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_ties_go_to_own_terms_first(form):
    zeros = {name: torch.zeros(4, 1) for name in NAMES} | {"initial_state": torch.zeros(1)}
    grads = value_and_gradients(lambda **o: plstm_max_plus_chain(**o, form=form), zeros)
    assert not grads["mark"].any() and not grads["source"].any()
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in zeros.items()}
    with torch.no_grad():
        leaves["direct"].fill_(-1.0)
    out = plstm_max_plus_chain(**leaves, form=form)
    found = dict(zip(leaves, torch.autograd.grad(out[3].sum(), list(leaves.values())), strict=True))
    assert found["mark"].flatten().tolist() == [0.0, 0.0, 0.0, 1.0]
    assert found["source"].flatten().tolist() == [0.0, 0.0, 1.0, 0.0]  # The last source before it, then no transition.
    assert not found["transition"].any() and not found["initial_state"].any()


@pytest.mark.parametrize("form", ["naive", *FORMS])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_where_nothing_enters_nothing_is_differentiated(form, temperature):
    closed = {name: torch.full_like(tensor, -torch.inf) for name, tensor in operands_of(7).items()}
    results = value_and_gradients(lambda **o: both(form, temperature, **o), closed)
    assert (results.pop("output") == -torch.inf).all()
    assert all(not gradient.any() for gradient in results.values())  # No NaN either: any() is true of it.


@pytest.mark.parametrize("form", ["naive", *FORMS])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("where", [*NAMES, "initial_state"])
def test_what_is_no_number_is_not_lost(where, temperature, form):
    operands = operands_of(40)
    operands[where][(3, 1) if where != "initial_state" else 1] = torch.nan
    lost = both(form, temperature, **operands).isnan()
    first = {"source": 4, "transition": 4, "mark": 3, "direct": 3, "initial_state": 0}[where]
    expected = torch.zeros_like(lost)
    expected[first if where in ("mark", "direct") else slice(first, None), 1] = True
    assert torch.equal(lost, expected)


def _with_out_grad(operands, out_grad, form):
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
    return torch.autograd.grad(both(form, **leaves), list(leaves.values()), out_grad)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", [*NAMES, "initial_state"])
def test_what_is_no_number_takes_the_gradient_as_the_largest(where, form):
    operands = operands_of(40, ties=True, closed=0.2)
    for place in (0, 3, 4, 20):
        operands[where][(place, 1) if where != "initial_state" else 1] = torch.nan
    out_grad = torch.arange(41 * 3.0, dtype=torch.float64).view(41, 3)
    both_forms = (_with_out_grad(operands, out_grad, each) for each in (form, "naive"))
    for name, got, wanted in zip(operands, *both_forms, strict=True):
        assert torch.equal(got, wanted), name  # Sums of whole numbers are exact.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("infinite", [torch.inf, -torch.inf, torch.nan])
def test_an_infinite_gradient_goes_where_it_belongs_alone(infinite, form):
    operands = operands_of(40, ties=True, closed=0.2)
    out_grad = torch.ones(41, 3, dtype=torch.float64)
    out_grad[17, 1] = infinite
    both_forms = (_with_out_grad(operands, out_grad, each) for each in (form, "naive"))
    for name, got, wanted in zip(operands, *both_forms, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True, msg=name)  # Sums of whole numbers.


@pytest.mark.parametrize("form", ["naive", *FORMS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_small_temperature_is_almost_none(form, dtype):
    """Terms over such a temperature are no finite numbers, their distances to the largest need not be."""
    operands = {name: 1e3 * tensor for name, tensor in operands_of(40, closed=0.2, dtype=dtype).items()}
    expected = value_and_gradients(lambda **o: both("naive", **o), operands)
    for name, tensor in value_and_gradients(lambda **o: both(form, 1e-37, **o), operands).items():
        assert_same(tensor, expected[name], rounding(dtype, 80), name)
    for temperature in (1e-39, 1e-320)[dtype == torch.float64 :]:
        with pytest.raises(ValueError, match="temperature must be 0 or at least"):
            both(form, temperature, **operands)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_gradcheck_in_both_modes(form, temperature):
    operands = operands_of(6, 2)
    run = lambda *t: both(form, temperature, **dict(zip(operands, t, strict=True)))  # noqa: E731
    leaves = [tensor.requires_grad_() for tensor in operands.values()]
    assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_second_derivatives_with_minus_infinity(form, temperature):
    operands = operands_of(9, closed=0.4)

    def second(form):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
        out = both(form, temperature, **leaves)
        total = out.masked_fill(out == -torch.inf, 0.0).square().sum()
        first = torch.autograd.grad(total, list(leaves.values()), create_graph=True)
        slope = sum((each * k).sum() for k, each in enumerate(first, 1))
        return torch.autograd.grad(slope, list(leaves.values()), materialize_grads=True)

    for name, got, wanted in zip(operands, second(form), second("naive"), strict=True):
        assert_close(got, wanted, 1e-10, name)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_compiles(form, temperature):
    torch._dynamo.reset()
    operands = operands_of(40, batch=(2,))
    compiled = torch.compile(lambda **o: both(form, temperature, **o), backend="aot_eager", fullgraph=True)
    expected = value_and_gradients(lambda **o: both(form, temperature, **o), operands)
    for name, tensor in value_and_gradients(compiled, operands).items():
        assert_close(tensor, expected[name], 1e-12, name)


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_half_precision_sums_in_float32(form):
    ones = torch.ones(3001, 1, dtype=torch.bfloat16)
    closed = torch.full_like(ones, -torch.inf)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, state = plstm_max_plus_chain(
            ones, ones, closed, closed, form=form, return_final_state=True, initial_state=torch.zeros(1)
        )
    assert out.dtype == torch.bfloat16 and state.dtype == torch.float32
    assert state.item() == 3001  # Sums of ones are exact in float32.


@pytest.mark.parametrize("length", range(20))
def test_a_scan_of_matrices_gives_what_steps_give(length):
    gate = torch.randint(-2, 3, (length, 2, 3, 3), generator=torch.Generator().manual_seed(length)).double()
    put, start = torch.arange(length * 6.0).view(length, 2, 3).double(), torch.ones(2, 3, dtype=torch.float64)
    step = lambda g, u, x: u + (g @ x.unsqueeze(-1)).squeeze(-1)  # noqa: E731
    states = [start]
    for g, u in zip(gate, put, strict=True):
        states.append(step(g, u, states[-1]))
    assert_close(semiring_scan(gate, put, start, torch.matmul, step), torch.stack(states), 1e-12, "states")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"source": torch.zeros(3, 3)}, ValueError, r"source must be \[..., L, C\] = \[4, 3\], got \[3, 3\]"),
        ({"transition": torch.zeros(3)}, ValueError, r"transition must be \[..., L, C\]"),
        ({"mark": torch.zeros(2, 4, 3)}, ValueError, r"mark must be \[..., L, C\]"),
        ({"direct": torch.zeros(3)}, ValueError, r"direct must be \[..., L, C\], got \[3\]"),
        ({"initial_state": torch.zeros(4, 3)}, ValueError, r"initial_state must be \[..., C\] = \[3\]"),
        ({"direct": torch.zeros(4, 3, dtype=torch.long)}, TypeError, "direct must be float64"),
        ({"temperature": -1.0}, ValueError, "temperature must be 0 or a positive number"),
        ({"form": "parallel"}, ValueError, "unknown form 'parallel'"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {name: torch.zeros(4, 3) for name in NAMES}
    with pytest.raises(error, match=message):
        plstm_max_plus_chain(**arguments | change)
