"""Image models: sizes of the paper, images of other sizes, bad input."""

import pytest
import torch

from plstm_graph.nn import PLSTMVision
from plstm_graph.nn.vision import SmallCNN, ViT
from plstm_graph.nn.vision.drop_path import DropPath
from plstm_graph.nn.vision.patches import ConvStem
from plstm_graph.nn.vision.plstm_vision import PLSTM2dBlock

TINY = {"image_size": 32, "patch_size": 8, "hidden_channels": 16, "num_layers": 4, "heads": 2}
EMPTY = {"stem": "conv", "norm": "batch_rms", "pool": "top", "positions": False}
MODELS = {
    "plstm": lambda **options: PLSTMVision(out_channels=3, **TINY, **options),
    "plstm, from few images": lambda: PLSTMVision(out_channels=3, **TINY, stem="conv", norm="batch", pool="mean"),
    "plstm, empty patches at zero": lambda: PLSTMVision(out_channels=3, **TINY, **EMPTY),
    "plstm, maximum": lambda: PLSTMVision(out_channels=3, **TINY, pool="max"),
    "plstm, attention": lambda: PLSTMVision(out_channels=3, **TINY, pool="attention"),
    "vit": lambda **options: ViT(out_channels=3, **TINY, **options),
    "vit, from few images": lambda: ViT(out_channels=3, **TINY, stem="conv", norm="batch", pool="mean"),
    "vit, maximum": lambda: ViT(out_channels=3, **TINY, pool="max"),
    "vit, attention": lambda: ViT(out_channels=3, **TINY, pool="attention"),
    "cnn": lambda: SmallCNN(channels=(4, 8), out_channels=3),
}


@pytest.mark.parametrize(("size", "millions"), [("T", 6), ("S", 23), ("B", 89)])
def test_parameter_counts_are_the_papers(size, millions):
    with torch.device("meta"):
        model = PLSTMVision.of_size(size)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert abs(count / (millions * 1e6) - 1) < 0.05


@pytest.mark.parametrize("name", MODELS)
def test_any_size_of_image(name):
    model = MODELS[name]().eval()
    for height, width in ((32, 32), (16, 40), (64, 64), (8, 8)):
        assert model(torch.rand(2, 3, height, width)).shape == (2, 3)


@pytest.mark.parametrize("name", MODELS)
def test_bytes_are_divided_by_255(name):
    model = MODELS[name]().eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(model(images), model(images / 255))


@pytest.mark.parametrize("name", MODELS)
def test_all_weights_are_trained(name):
    model = MODELS[name]()
    torch.nn.init.normal_(model.head.weight)
    model(torch.rand(4, 3, 32, 32)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["plstm", "vit"])
def test_positions(name):
    images = torch.rand(1, 3, 8, 8).repeat(1, 1, 4, 4)  # all patches are alike
    with_positions, without = MODELS[name](), MODELS[name](positions=False)
    assert without.positions is None
    assert with_positions.positions(with_positions.patches(images)).std(dim=(1, 2)).sum() > 0.1
    embedded = without.patches(images)
    assert (embedded - embedded[:, :1, :1]).abs().max() < 1e-5


def test_resized_positions_keep_their_shape():
    positions = MODELS["plstm"]().positions
    with torch.no_grad():
        positions.weight.copy_(torch.linspace(0, 1, 4)[:, None].expand(16, 4, 4))
    resized = positions(torch.zeros(1, 8, 8, 16))[0, :, :, 0]
    assert resized.shape == (8, 8)
    assert (resized.diff(dim=0) > 0).all()
    assert resized.diff(dim=1).abs().max() < 1e-5


def test_modes_and_corners_alternate():
    model = MODELS["plstm"]()
    gates = [layer.mixer.gate for layer in model.layers]
    assert "".join(gate.mode for gate in gates) == "PDPD"
    assert [gate.chirality for gate in gates if gate.mode == "D"] == ["L", "R"]
    assert {layer.mixer.gate.mode for layer in MODELS["plstm"](modes="D").layers} == {"D"}


@pytest.mark.parametrize("patch_size", [8, 16, 24, 32])
def test_convolutions_cut_as_many_patches(patch_size):
    images = torch.rand(2, 3, 2 * patch_size, 3 * patch_size)
    assert ConvStem(3, 8, patch_size).eval()(images).shape == (2, 2, 3, 8)


def test_nodes_that_hear_nothing_stay_small_with_a_large_eps():
    faint = torch.randn(1, 4, 4, 8) * 1e-3
    loud, quiet = (PLSTM2dBlock(8, 2, "P", norm="batch", norm_eps=eps).eval() for eps in (1e-5, 1.0))
    quiet.load_state_dict(loud.state_dict())
    mixed = [block.mixer(faint).abs().mean() for block in (loud, quiet)]
    assert mixed[1] < 0.1 * mixed[0]
    assert all(layer.mixer.norm.eps == 0.5 for layer in PLSTMVision(out_channels=3, **TINY, norm_eps=0.5).layers)


def test_batch_norm_takes_away_what_all_nodes_share():
    """Neighbours decide about a background that is the same everywhere: alone it would fill every sum."""
    block = PLSTM2dBlock(8, 2, "P", norm="batch")
    x = torch.randn(2, 3, 3, 8)
    torch.testing.assert_close(block(x + 5) - 5, block(x))


@pytest.mark.parametrize("pool", ["top", "max"])
def test_more_background_changes_nothing_where_empty_patches_are_zero(pool):
    images = torch.zeros(2, 3, 64, 64)
    images[:, :, 24:40, 24:40] = torch.rand(2, 3, 16, 16)  # further from the edges than convolutions see
    larger = torch.nn.functional.pad(images, (32, 64, 0, 32))
    change = {}
    for norm in ("batch_rms", "batch"):
        model = PLSTMVision(out_channels=3, **TINY, **EMPTY | {"norm": norm, "pool": pool})
        torch.nn.init.normal_(model.head.weight)
        model(images)  # running statistics are no longer those of the start
        change[norm] = (model.eval()(larger) - model(images)).abs().max()
    assert change["batch_rms"] < 1e-5
    assert change["batch"] > 1e-3


@pytest.mark.parametrize("option", ["stem", "norm", "pool"])
@pytest.mark.parametrize("model", [PLSTMVision, ViT])
def test_unknown_options_are_named(model, option):
    with pytest.raises(ValueError, match=f"{option} must be .*, got 'other'"):
        model(3, **TINY, **{option: "other"})


def test_sizes_that_convolutions_cannot_embed():
    with pytest.raises(ValueError, match="multiple of 8, got 12"):
        ConvStem(3, 16, 12)


def test_drop_path_leaves_out_samples_and_keeps_the_mean():
    drop = DropPath(0.25)
    x = torch.ones(4000, 2, 3)
    dropped = drop(x)
    kept = dropped.amax(dim=(1, 2))
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    # Exact: all ones of a sample are multiplied by one number.
    assert torch.equal(dropped, kept[:, None, None].expand_as(x))
    assert kept.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)
    with pytest.raises(ValueError, match=r"must be in \[0, 1\), got 1"):
        DropPath(1)


@pytest.mark.parametrize("name", ["plstm", "vit"])
def test_compiles_without_graph_breaks(name):
    model = MODELS[name]().eval()
    images = torch.rand(2, 3, 32, 32)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images), model(images))


@pytest.mark.parametrize("name", MODELS)
def test_bad_images(name):
    model = MODELS[name]()
    with pytest.raises(ValueError, match=r"images must be \[B, 3, height, width\], got \[2, 1, 32, 32\]"):
        model(torch.rand(2, 1, 32, 32))
    images = torch.rand(3, 3, 32, 32)
    images[1, 0, 5, 5] = float("nan")
    with pytest.raises(ValueError, match="image 1 of the batch has pixels that are not finite"):
        model(images)
    with pytest.raises(ValueError, match=r"got 4 x 32|got \[2, 2\]"):
        model(torch.rand(1, 3, 4, 32) if name != "cnn" else torch.rand(1, 3, 2, 2))


def test_bad_sizes():
    with pytest.raises(ValueError, match="patch size, 8, got 12 x 32"):
        MODELS["plstm"]()(torch.rand(1, 3, 12, 32))
    with pytest.raises(ValueError, match=r"image_size must be a multiple of the patch size, 16, .* got 100 x 100"):
        PLSTMVision(out_channels=2, image_size=100)
    with pytest.raises(ValueError, match="letters P, D and M"):
        PLSTMVision(out_channels=2, modes="X")
    with pytest.raises(ValueError, match="size must be one of 'T', 'S', 'B', got 'L'"):
        PLSTMVision.of_size("L")


def test_wrong_position_embedding_in_a_checkpoint():
    other = PLSTMVision(out_channels=3, **TINY | {"image_size": 64})
    with pytest.raises(ValueError, match=r"stored position embedding is \[16, 8, 8\], that of this model \[16, 4, 4\]"):
        MODELS["plstm"]().load_state_dict(other.state_dict())
