"""Contact sheets."""

import pytest
import torch

from plstm_graph.datasets import ArrowPointing
from plstm_graph.viz import contact_sheet


def test_all_images_are_drawn(tmp_path):
    dataset = ArrowPointing(192, num_samples=7)
    images, labels = zip(*(dataset[number] for number in range(7)), strict=True)
    figure = contact_sheet(images, [dataset.classes[label] for label in labels], columns=3)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 7
    assert len(figure.axes) == 9
    assert drawn[0].get_title() == "points at the disc"
    assert (drawn[2].images[0].get_array() == images[2].permute(1, 2, 0).numpy()).all()
    figure.savefig(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_bad_images():
    with pytest.raises(ValueError, match="got 1 and 0"):
        contact_sheet([torch.zeros(1, 4, 4)], [])
    with pytest.raises(ValueError, match=r"image 1 must be \[1 or 3, height, width\], got \[2, 4, 4\]"):
        contact_sheet([torch.zeros(1, 4, 4), torch.zeros(2, 4, 4)], ["a", "b"])
