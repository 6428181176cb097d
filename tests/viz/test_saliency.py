"""Saliency of pixels, and accuracy against image size."""

import pytest
import torch
from torch import nn

from plstm_graph.nn import PLSTMVision
from plstm_graph.viz import draw_accuracy_by_distance, draw_accuracy_by_size, draw_saliency, saliency


class Corner(nn.Module):
    """Looks at one pixel only."""

    def forward(self, x):
        return torch.stack([x[:, 0, 2, 3], -2 * x[:, 0, 2, 3]], dim=1)


def test_only_pixels_that_are_looked_at():
    maps = saliency(Corner(), torch.rand(2, 3, 8, 8), blur=1)
    expected = torch.zeros(2, 8, 8)
    expected[:, 2, 3] = 1
    assert torch.equal(maps, expected)  # exact: zeros, and a number divided by itself
    spread = saliency(Corner(), torch.rand(1, 3, 8, 8), blur=3)[0]
    assert torch.equal(spread > 0, (nn.functional.max_pool2d(expected[:1], 3, 1, 1) > 0)[0])


def test_real_model_is_left_as_it_was():
    model = PLSTMVision(
        hidden_channels=8, num_layers=2, out_channels=3, image_size=16, patch_size=8, heads=2, drop_path=0.5
    )
    images = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        maps = saliency(model, images, torch.tensor([0, 2]))
    assert maps.shape == (2, 16, 24)
    assert torch.equal(maps.amax(dim=(1, 2)), torch.ones(2))  # exact: numbers divided by themselves
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(ValueError, match="odd and positive, got 4"):
        saliency(model, images, blur=4)


def test_drawings(tmp_path):
    images, maps = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
    figure = draw_saliency(list(images), list(maps), ["a", "b"], [((1, 1), (6, 9)), ((0, 0), (3, 3))])
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert all(len(axes.images) == 2 and len(axes.lines) == 1 for axes in figure.axes)
    figure.savefig(tmp_path / "saliency.png")


def test_accuracy_by_size():
    figure = draw_accuracy_by_size({"pLSTM": {384: [0.7, 0.9], 192: [0.95, 0.97]}, "ViT": {192: [0.9]}}, 192)
    (axes,) = figure.axes
    first = axes.lines[0]
    assert first.get_xdata().tolist() == [192, 384]
    assert first.get_ydata().tolist() == pytest.approx([0.96, 0.8])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["pLSTM", "ViT"]
    with pytest.raises(ValueError, match="no accuracy"):
        draw_accuracy_by_size({}, 192)


def test_accuracy_by_distance():
    distances, labels = torch.tensor([50.0, 300, 100, 60, 200, 70, 80, 90]), torch.tensor([1, 1, 1, 1, 0, 0, 0, 0])
    right = {"pLSTM": torch.tensor([1, 0, 1, 0.5, 1, 1, 0, 0]), "ViT": labels == 1}
    figure = draw_accuracy_by_distance(right, distances, labels, ["elsewhere", "at the disc"], bins=2)
    elsewhere, at = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["elsewhere", "at the disc"]
    assert at.lines[0].get_xdata().tolist() == [50, 100] and elsewhere.lines[0].get_xdata().tolist() == [70, 90]
    assert at.lines[0].get_ydata().tolist() == [0.75, 0.5] and elsewhere.lines[0].get_ydata().tolist() == [0.5, 0.5]
    assert at.lines[1].get_ydata().tolist() == [1, 1] and elsewhere.lines[1].get_ydata().tolist() == [0, 0]
    with pytest.raises(ValueError, match="4 images of 'elsewhere' are too few for 6 bins"):
        draw_accuracy_by_distance(right, distances, labels, ["elsewhere", "at the disc"])
    with pytest.raises(ValueError, match="CNN has 3 answers for 8 images"):
        draw_accuracy_by_distance({"CNN": torch.ones(3)}, distances, labels, ["elsewhere", "at the disc"], bins=2)
