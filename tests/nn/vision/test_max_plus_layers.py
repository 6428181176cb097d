"""M-mode in the layers on chains and grids: equality with the operator, streaming, orientations, what it can learn."""

import pytest
import torch

from plstm_graph.nn import PLSTM1d, PLSTM2d, PLSTMConv, PLSTMVision
from plstm_graph.nn.vision.grid_gates import Grid2dGates
from plstm_graph.ops import ORIENTATIONS, plstm_max_plus_chain, plstm_max_plus_grid2d
from plstm_graph.testing import assert_close, assert_compiles_once
from tests.nn.vision.test_layers import excite


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("head_norm", ["rms", "log", "ratio"])
def test_a_layer_on_chains_equals_the_operator(bidirectional, head_norm):
    layer = excite(PLSTM1d(6, 8, heads=2, mode="M", bidirectional=bidirectional, head_norm=head_norm)).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    direct, source, mark, transition, *backward = layer.gate(x).chunk(7 if bidirectional else 4, dim=-1)
    read = plstm_max_plus_chain(source, transition, mark, direct, form="naive")
    if bidirectional:
        s, m, t = (each.flip(1) for each in backward)
        nothing = torch.full_like(s, -torch.inf)
        read = torch.maximum(read, plstm_max_plus_chain(s, t, m, nothing, form="naive").flip(1))
    expected = layer.lin_out(layer.norm(read.unflatten(-1, (2, 4))).flatten(-2))
    assert_close(layer(x), expected, 1e-12, "layer")
    assert layer.norm.weight.shape == (2, 4)  # No channel is spent on a normaliser.


@pytest.mark.parametrize("form", ["naive", "recurrent", "scan", "parallel", "chunkwise", "auto"])
def test_streaming_equals_one_pass_in_every_form(form):
    layer = excite(PLSTM1d(8, 8, heads=2, mode="M", form=form)).double()
    x = torch.randn(2, 11, 8, dtype=torch.float64)
    whole, final = layer(x, return_state=True)
    assert final.shape == (2, 8)
    outs, state = [], None
    for piece in x.split([4, 1, 6], dim=1):
        out, state = layer(piece, state, return_state=True)
        outs.append(out)
    assert_close(torch.cat(outs, dim=1), whole, 1e-12, "outputs")
    assert_close(state, final, 1e-12, "state")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_layer_on_chains_reads_what_it_may(bidirectional):
    layer = PLSTM1d(8, 12, heads=2, mode="M", bidirectional=bidirectional)
    x = torch.randn(1, 6, 8, requires_grad=True)
    out = layer(x)
    assert out.shape == (1, 6, 12)
    with torch.no_grad():
        changed = [(layer(x + torch.eye(6)[place].view(1, 6, 1) * 9.0) != out)[0, 2].any() for place in range(6)]
    assert [bool(each) for each in changed[3:]] == [bidirectional] * 3  # exact: nothing of it is computed anew
    assert all(changed[:3])


def _of_orientation(gates, o):
    return {name: gate.select(-2, o) for name, gate in vars(gates).items()}


@pytest.mark.parametrize("orientations", [1, 4])
@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (1, 5), (4, 1), (1, 1)])
def test_a_layer_on_grids_equals_the_operator(orientations, weights, shape):
    layer = excite(PLSTM2d(6, 8, heads=2, mode="M", orientations=orientations, gate_weights=weights)).double()
    x = torch.randn(2, *shape, 6, dtype=torch.float64)
    gates, direct = layer.gates(x)
    assert isinstance(gates, Grid2dGates) and direct.shape == (2, *shape, 8)
    assert all(gate.shape == (2, *shape, orientations, 8) for gate in vars(gates).values())
    read = [direct]
    for o, name in enumerate(ORIENTATIONS[:orientations]):
        axes = [axis for axis, way in ((1, "left"), (2, "up")) if way in name]
        turned = {name: gate.flip(axes) for name, gate in _of_orientation(gates, o).items()}
        nothing = torch.full_like(direct, -torch.inf)
        read.append(plstm_max_plus_grid2d(**turned, direct=nothing, form="naive").flip(axes))
    largest = torch.stack(read).amax(dim=0)
    expected = layer.lin_out(layer.norm(largest.unflatten(-1, (2, 4))).flatten(-2))
    assert_close(layer(x), expected, 1e-12, "layer")
    assert_close(layer(x[:1]), expected[:1], 1e-12, "one grid of the batch")


def test_directions_share_their_terms_and_transitions_are_sums_of_two():
    gates = vars(excite(PLSTM2d(6, 8, heads=2, mode="M")).double().gate(torch.randn(3, 3, 6).double())[0])
    at = {name: dict(zip(ORIENTATIONS, gate.unbind(-2), strict=True)) for name, gate in gates.items()}
    for name in ("source_right", "mark_left", "right_from_left"):
        assert torch.equal(at[name]["right-down"], at[name]["right-up"])  # exact: copies, or sums of copies
        assert not torch.equal(at[name]["right-down"], at[name]["left-down"])
    for name in ("source_down", "mark_up", "down_from_up"):
        assert torch.equal(at[name]["right-down"], at[name]["left-down"])
        assert not torch.equal(at[name]["right-down"], at[name]["right-up"])
    straight = gates["right_from_left"] + gates["down_from_up"]
    assert_close(straight, gates["down_from_left"] + gates["right_from_up"], 1e-12, "two ways to the same four terms")


@pytest.mark.parametrize("make", [lambda: PLSTM1d(8, 8, heads=2, mode="M"), lambda: PLSTM2d(8, 8, heads=2, mode="M")])
def test_all_weights_are_trained_and_drawn_anew(make):
    layer = make()
    layer(torch.randn(4, 5, 6, 8)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    before = {name: parameter.detach().clone() for name, parameter in excite(layer).named_parameters()}
    layer.reset_parameters()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in layer.named_parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", [lambda: PLSTM1d(8, 8, heads=2, mode="M"), lambda: PLSTM2d(8, 8, heads=2, mode="M")])
def test_half_precision_and_autocast(make, dtype):
    layer, x = make(), torch.randn(2, 5, 6, 8)
    assert layer.to(dtype)(x.to(dtype)).dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.float()(x).isfinite().all()


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (PLSTM1d(8, 8, heads=2, mode="M", bidirectional=True), [(2, 40, 8), (3, 57, 8), (2, 90, 8)]),
        (PLSTM2d(8, 8, heads=2, mode="M"), [(2, 5, 6, 8), (3, 7, 4, 8), (2, 9, 3, 8)]),
    ],
)
def test_compiles_once_for_all_sizes(layer, shapes):
    # Backward passes are traced in tests/ops, which takes most of the time.
    assert_compiles_once(layer, [((torch.randn(shape),), {}) for shape in shapes], backend="eager")
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("modes", ["M", "PM", "PDM"])
def test_images(modes):
    model = PLSTMVision(
        hidden_channels=8, num_layers=3, out_channels=3, image_size=16, patch_size=4, heads=2, modes=modes
    )
    images = torch.rand(2, 3, 16, 12)
    out = model(images)
    assert out.shape == (2, 3)
    assert_close(model(images[:1]), out[:1], 1e-5, "one image of the batch")
    out.sum().backward()
    assert all(layer.mixer.gate.mode == modes[i % len(modes)] for i, layer in enumerate(model.layers))


def test_weights_set_by_hand_give_the_largest_sum_of_any_run():
    """Of the steps up to each one, whatever the length."""
    layer = PLSTM1d(1, 1, heads=1, mode="M").double()
    with torch.no_grad():
        # Direct, Source, Mark, Transition of the step itself; sums begin anywhere.
        layer.gate.weight.copy_(torch.tensor([[1.0], [1.0], [1.0], [1.0]]))
    x = torch.randint(-3, 4, (1, 500, 1), generator=torch.Generator().manual_seed(0)).double()
    direct, source, mark, transition = layer.gate(x).chunk(4, dim=-1)
    best, expected = -torch.inf, []
    for step in x.flatten().tolist():
        best = max(step, best + step)
        expected.append(best)
    found = plstm_max_plus_chain(source, transition, mark, direct)
    assert found.flatten().tolist() == expected  # Sums of whole numbers are exact.


def test_bad_input():
    with pytest.raises(ValueError, match="mode must be 'P' or 'M', got 'D'"):
        PLSTM1d(8, 8, mode="D")
    with pytest.raises(ValueError, match=r"channels \(9\) must be divisible by heads \(2\)"):
        PLSTM2d(9, 8, heads=2, mode="M")
    with pytest.raises(ValueError, match="orientations must be 1 or 4, got 2"):
        PLSTM2d(8, 8, heads=2, mode="M", orientations=2)
    with pytest.raises(ValueError, match="cannot be streamed"):
        PLSTM1d(8, 8, mode="M", bidirectional=True)(torch.randn(2, 3, 8), return_state=True)
    with pytest.raises(ValueError, match=r"initial_state must be \[..., C\] = \[2, 8\], got \[2, 4, 2, 2\]"):
        PLSTM1d(8, 8, mode="M")(torch.randn(2, 3, 8), torch.zeros(2, 4, 2, 2))
    with pytest.raises(ValueError, match="letters P, D and M"):
        PLSTMVision(out_channels=3, modes="PX")


@pytest.mark.parametrize("form", ["scam", "", "Auto"])
def test_a_form_that_nobody_has_is_named(form):
    x, edges = torch.randn(4, 8), torch.tensor([[0, 1, 2], [1, 2, 3]])
    calls = [
        lambda: PLSTMConv(8, 8, mode="M", form=form)(x, edges),
        lambda: PLSTM1d(8, 8, mode="M", form=form)(x),
        lambda: PLSTM2d(8, 8, mode="M", form=form)(x.view(1, 2, 2, 8)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"unknown form '{form}'; choose one of 'auto', 'naive'"):
            call()


@pytest.mark.parametrize("mode", ["P", "D", "M"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalization": "rows"}, "normalization must be 'column' or 'row', got 'rows'"),
        ({"matrix_kind": "sign"}, "matrix_kind must be 'householder' or 'signed', got 'sign'"),
        ({"heads": 0}, "heads and head_channels must be at least 1, got 0 and None"),
        ({"head_channels": 0}, "heads and head_channels must be at least 1, got 4 and 0"),
    ],
)
def test_wrong_options_are_named_where_they_mean_nothing_too(mode, options, message):
    with pytest.raises(ValueError, match=message):
        PLSTMConv(8, 8, mode=mode, **options)
