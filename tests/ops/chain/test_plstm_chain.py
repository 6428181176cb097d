"""Chains: every form against the general operator, streaming, and gates at their limits."""

import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm, plstm_chain
from plstm_graph.ops.chain.chunkwise import chain_chunkwise, states_between
from plstm_graph.ops.chain.native import has_native_chains
from plstm_graph.ops.segment_products import segment_products
from plstm_graph.testing import OPERANDS, assert_close
from tests.rounding import rounding

needs_compiler = pytest.mark.skipif(
    not has_native_chains(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)
FORMS = ["naive", "recurrent", "parallel", "chunkwise", "scan", pytest.param("native", marks=needs_compiler), "auto"]


def operands(length, shape=(2,), heads=2, key_width=3, value_width=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    wide = {"query": key_width, "key": key_width, "value": value_width}
    gates = dict.fromkeys(("source", "transition", "mark", "direct"), ())
    return {
        name: torch.randn(*shape, length, heads, *([last] if last else []), generator=generator, dtype=dtype)
        for name, last in (wide | gates).items()
    }


def results(function, inputs, seed=1):
    """Outputs and the gradient of a random combination of them for each input, by name."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in inputs.items()}
    outputs = function(**leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(out.shape, generator=generator, dtype=out.dtype) for out in outputs]
    grads = torch.autograd.grad(outputs, list(leaves.values()), weights, materialize_grads=True)
    named = {f"output {i}": out.detach() for i, out in enumerate(outputs)}
    return named | {f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def assert_same(actual, expected, tolerance=1e-10):
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.isfinite(actual[name]).all(), name
        assert_close(actual[name], tensor, tolerance, name)


def general(query, key, value, source, transition, mark, direct):
    """The general operator on the chain as a DAG, for one sequence."""
    length = query.size(0)
    nodes = torch.arange(length)
    chain = LineGraph(torch.stack([nodes[:-1], nodes[1:]]), length)
    inner = transition[1:-1][chain.pairs[0]] if length > 2 else transition[:0]
    return plstm(query, key, value, source[:-1], inner, mark[1:], direct, chain, form="naive")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [1, 2, 3, 17, 40])
def test_equals_the_general_operator(form, length):
    inputs = operands(length, shape=())
    assert_same(results(lambda **x: plstm_chain(**x, form=form), inputs), results(general, inputs))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [1, 15, 16, 33, 70])
def test_with_states(form, length):
    inputs = operands(length, shape=(2, 1))
    inputs["initial_state"] = torch.randn(2, 1, 2, 3, 5, dtype=torch.float64)

    def run(chosen):
        return results(lambda **x: plstm_chain(**x, form=chosen, return_final_state=True), inputs)

    assert_same(run(form), run("naive"))


@pytest.mark.parametrize("form", FORMS[2:])
@pytest.mark.parametrize("gate", ["zeros", "ones", "negative", "mixed", "tiny"])
def test_gates_at_their_limits(form, gate):
    inputs = operands(50)
    shape = inputs["transition"].shape
    choices = {
        "zeros": torch.zeros(shape),
        "ones": torch.ones(shape),
        "negative": -torch.rand(shape),
        "mixed": torch.tensor([0.0, 1.0, -1.0])[torch.randint(3, shape)],
        "tiny": torch.full(shape, 1e-300, dtype=torch.float64),
    }
    inputs["transition"] = choices[gate].double()
    for name in ("source", "mark"):
        inputs[name][..., ::3, :] = 0
        inputs[name][..., 1::3, :] = 1
    assert_same(
        results(lambda **x: plstm_chain(**x, form=form), inputs),
        results(lambda **x: plstm_chain(**x, form="naive"), inputs),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", [1, 16, 29, 59])
def test_streaming_in_pieces_gives_the_whole(form, split):
    inputs = operands(60)
    whole, last = plstm_chain(**inputs, return_final_state=True)
    first, state = plstm_chain(
        **{name: tensor[:, :split] for name, tensor in inputs.items()}, form=form, return_final_state=True
    )
    second, end = plstm_chain(
        **{name: tensor[:, split:] for name, tensor in inputs.items()},
        form=form,
        initial_state=state,
        return_final_state=True,
    )
    assert_close(torch.cat([first, second], dim=1), whole, 1e-10, "outputs")
    assert_close(end, last, 1e-10, "final state")


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_any_chunk_size(size):
    inputs = operands(45)
    flat = [inputs[name].transpose(1, 2).flatten(0, 1) for name in OPERANDS]
    out, state = chain_chunkwise(*flat, torch.zeros(4, 3, 5, dtype=torch.float64), size)
    expected, last = plstm_chain(**inputs, form="naive", return_final_state=True)
    assert_close(out, expected.transpose(1, 2).flatten(0, 1), 1e-10, "outputs")
    assert_close(state, last.flatten(0, 1), 1e-10, "final state")


@pytest.mark.parametrize("size", [2, 3, 32])
def test_states_of_long_chains(size):
    generator = torch.Generator().manual_seed(0)
    transition = torch.randn(3, 200, generator=generator, dtype=torch.float64)
    put = torch.randn(3, 200, 4, generator=generator, dtype=torch.float64)
    state = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    expected = [state]
    for t, u in zip(transition.unbind(1), put.unbind(1), strict=True):
        expected.append(t[:, None] * expected[-1] + u)
    assert_close(states_between(transition, put, state, size), torch.stack(expected, dim=1), 1e-10, "states")


def test_segment_products_and_their_gradient():
    gate = torch.tensor([[2.0, -3.0, 0.0, 5.0, 0.0, 7.0]], dtype=torch.float64, requires_grad=True)
    products = segment_products(gate)
    for i in range(6):
        for j in range(6):
            # Exact: small integers.
            assert products[0, i, j] == (gate[0, j + 1 : i].prod() if j < i else 0)
    assert torch.autograd.gradcheck(segment_products, (gate,))


def test_float32_keeps_long_range():
    """At transitions of 1 nothing decays: a value is read 20,000 steps later as it was put in."""
    length = 20_000
    inputs = {name: torch.zeros(1, length, 1, 4) for name in ("query", "key", "value")}
    inputs |= {name: torch.ones(1, length, 1) for name in ("source", "transition", "mark", "direct")}
    inputs["key"][0, 0, 0, 0] = inputs["query"][0, -1, 0, 0] = 1
    inputs["value"][0, 0, 0] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    # Exact: everything else that is added is 0, and all factors are 1.
    assert torch.equal(plstm_chain(**inputs)[0, -1, 0], inputs["value"][0, 0, 0])


def test_half_precision_and_autocast_keep_float32_states():
    inputs = operands(40, dtype=torch.float32)
    expected = plstm_chain(**inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(plstm_chain(**inputs), expected, rounding(torch.float32, 40), "outputs")
    half = {name: tensor.bfloat16() for name, tensor in inputs.items()}
    out, state = plstm_chain(**half, return_final_state=True)
    assert out.dtype == torch.bfloat16
    assert state.dtype == torch.float32


def test_empty_sequence_hands_the_state_on():
    state = torch.randn(2, 2, 3, 5, dtype=torch.float64)
    out, last = plstm_chain(**operands(0), initial_state=state, return_final_state=True)
    assert out.shape == (2, 0, 2, 5)
    assert torch.equal(last, state)  # nothing is computed


def test_gradient_is_that_of_finite_differences():
    inputs = operands(7, shape=(), heads=1, key_width=2, value_width=2)
    leaves = [tensor.requires_grad_() for tensor in inputs.values()]
    assert torch.autograd.gradcheck(lambda *x: plstm_chain(*x, form="chunkwise"), leaves)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("key", (2, 9, 2, 4), r"key must be \[..., L, H, K\]"),
        ("value", (2, 8, 2, 5), r"value must be \[..., L, H, V\]"),
        ("mark", (2, 9, 3), r"mark must be \[..., L, H\] = \[2, 9, 2\], got \[2, 9, 3\]"),
    ],
)
def test_wrong_shapes_are_named(name, shape, message):
    with pytest.raises(ValueError, match=message):
        plstm_chain(**operands(9) | {name: torch.zeros(shape)})


def test_wrong_state_and_form_are_named():
    with pytest.raises(ValueError, match=r"initial_state must be \[..., H, K, V\] = \[2, 2, 3, 5\]"):
        plstm_chain(**operands(9), initial_state=torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match="unknown form 'fast'; choose one of 'auto'"):
        plstm_chain(**operands(9), form="fast")
