"""Grids: every form against the general operator, in every orientation, and gates at their limits."""

import numpy as np
import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.ops import ORIENTATIONS, plstm, plstm_grid2d, plstm_grid2d_oriented
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import assert_close
from tests.ops.chain.test_plstm_chain import assert_same, results
from tests.rounding import rounding

FORMS = ["naive", "recurrent", "parallel", "chunkwise", "auto"]
FAST = ["recurrent", "parallel", "chunkwise", "auto"]
SIZES = [(1, 1), (1, 5), (6, 1), (2, 3), (5, 4), (4, 9), (13, 3)]


def operands(
    width, height, shape=(), orientations=(), heads=2, key_width=3, value_width=5, dtype=torch.float64, seed=0
):
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*shape, width, height, *size, generator=generator, dtype=dtype)

    features = {"query": normal(heads, key_width), "key": normal(heads, key_width), "value": normal(heads, value_width)}
    gates = {name: 0.7 * normal(*orientations, heads) for name in GATES}
    return features | gates | {"direct": normal(heads)}


def general(query, key, value, direct, **gates):
    """The general operator on the grid as a DAG: right edges first, then those down, each in the order of nodes."""
    width, height, heads = direct.shape
    grid = LineGraph.grid(width, height)
    start, end = grid.edge_index
    is_right = end - start == height if height > 1 else torch.ones_like(end, dtype=torch.bool)
    flat = {name: gate.flatten(0, 1) for name, gate in gates.items()}

    def of_edges(name_right, name_down, node):
        return torch.where(is_right[:, None], flat[name_right][node], flat[name_down][node])

    came, went = grid.pairs
    names = {
        (True, True): "right_from_left",
        (True, False): "down_from_left",
        (False, True): "right_from_up",
        (False, False): "down_from_up",
    }
    kinds = zip(is_right[came].tolist(), is_right[went].tolist(), end[came].tolist(), strict=True)
    chosen = [flat[names[a, b]][n] for a, b, n in kinds]
    transition = torch.stack(chosen) if chosen else direct.new_zeros(0, heads)
    out = plstm(
        *(tensor.flatten(0, 1) for tensor in (query, key, value)),
        of_edges("source_right", "source_down", start),
        transition,
        of_edges("mark_left", "mark_up", end),
        direct.flatten(0, 1),
        grid,
        form="naive",
    )
    return out.unflatten(0, (width, height))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_the_general_operator(form, size):
    inputs = operands(*size)
    assert_same(results(lambda **x: plstm_grid2d(**x, form=form), inputs), results(general, inputs))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gate", ["zeros", "ones", "both"])
def test_equals_the_general_operator_at_the_limits_of_gates(form, gate):
    inputs = operands(4, 5)
    generator = torch.Generator().manual_seed(0)
    for name in (*GATES, "direct"):
        shape = inputs[name].shape
        choice = {"zeros": torch.zeros(shape), "ones": torch.ones(shape)}
        choice["both"] = torch.randint(2, shape, generator=generator)
        inputs[name] = choice[gate].double()
    assert_same(results(lambda **x: plstm_grid2d(**x, form=form), inputs), results(general, inputs))


@pytest.mark.parametrize("form", FORMS)
def test_orientations_are_flipped_grids_summed(form):
    shape, batch = (5, 6), (2, 1)
    inputs = operands(*shape, batch, (4,))

    def one_by_one(query, key, value, direct, **gates):
        out = 0
        for o, name in enumerate(ORIENTATIONS):
            axes = [axis for axis, word in ((2, "left"), (3, "up")) if word in name]
            own = {key: gate[..., o, :].flip(axes) for key, gate in gates.items()}
            features = {"query": query.flip(axes), "key": key.flip(axes), "value": value.flip(axes)}
            own["direct"] = direct.flip(axes) if o == 0 else torch.zeros_like(direct)
            out = out + plstm_grid2d(**features, **own, form="naive").flip(axes)
        return out

    assert_same(results(lambda **x: plstm_grid2d_oriented(**x, form=form), inputs), results(one_by_one, inputs))


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize(
    "orientations", [("left-up",), ("right-up", "left-down", "right-down"), ("left-down", "left-up")], ids=str
)
def test_any_choice_of_orientations(form, orientations):
    inputs = operands(7, 4, orientations=(len(orientations),))

    def run(chosen):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=chosen, orientations=orientations), inputs)

    assert_same(run(form), run("naive"))


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("size", [(9, 10), (24, 5), (3, 33)], ids=str)
def test_larger_grids(form, size):
    inputs = operands(*size, orientations=(4,), heads=1, key_width=2, value_width=2)
    for name in GATES:
        inputs[name] = inputs[name].tanh() / 2  # other paths would multiply beyond what 1e-10 can resolve

    def run(chosen):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=chosen), inputs)

    assert_same(run(form), run("naive"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("case", range(4))
def test_golden_case(golden, case, mode, form):
    arrays = np.load(golden / f"grid2d_{case}_{mode}.npz")
    arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
    names = ("query", "key", "value", *GATES, "direct")
    leaves = {name: arrays[name].requires_grad_() for name in names}
    out = plstm_grid2d(**leaves, form=form)
    grads = torch.autograd.grad(out, list(leaves.values()), arrays["out_grad"], materialize_grads=True)
    assert_close(out, arrays["out"], 1e-10, "out")
    for name, grad in zip(names, grads, strict=True):
        assert_close(grad, arrays[f"grad_{name}"], 1e-10, f"gradient of {name}")


@pytest.mark.parametrize("form", ["parallel", "chunkwise"])
def test_gradient_is_that_of_finite_differences(form):
    inputs = operands(3, 4, orientations=(2,), heads=1, key_width=1, value_width=1)
    names = list(inputs)
    leaves = [tensor.requires_grad_() for tensor in inputs.values()]
    orientations = ("right-down", "left-up")
    assert torch.autograd.gradcheck(
        lambda *x: plstm_grid2d_oriented(**dict(zip(names, x, strict=True)), form=form, orientations=orientations),
        leaves,
    )


def test_other_dtypes_and_autocast_keep_float32_sums():
    inputs = operands(6, 7, dtype=torch.float32)
    expected = plstm_grid2d(**inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(plstm_grid2d(**inputs), expected, rounding(torch.float32, 6 * 7 * 3), "outputs")
    assert plstm_grid2d(**{name: tensor.bfloat16() for name, tensor in inputs.items()}).dtype == torch.bfloat16


@pytest.mark.parametrize("size", [(0, 4), (3, 0)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_empty_grids(form, size):
    inputs = operands(*size)
    assert plstm_grid2d(**inputs, form=form).shape == (*size, 2, 5)


def test_wrong_arguments_are_named():
    inputs = operands(3, 4, orientations=(4,))
    with pytest.raises(ValueError, match=r"mark_up must be \[..., X, Y, O, H\] = \[3, 4, 4, 2\], got \[3, 4, 2\]"):
        plstm_grid2d_oriented(**inputs | {"mark_up": torch.zeros(3, 4, 2)})
    with pytest.raises(ValueError, match="unknown orientation 'north'; choose from 'right-down'"):
        plstm_grid2d_oriented(**inputs, orientations=("right-down", "left-down", "right-up", "north"))
    with pytest.raises(ValueError, match="unknown form 'fast'; choose one of 'auto'"):
        plstm_grid2d(**operands(3, 4), form="fast")
    with pytest.raises(ValueError, match=r"query must be \[..., X, Y, H, K\]"):
        plstm_grid2d(**operands(3, 4) | {"query": torch.zeros(3, 4, 2)})
