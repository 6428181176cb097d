"""Arrow pointing: bit-equal to known images, labels that geometry confirms, the paper's splits."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from plstm_graph.datasets import ArrowPointing
from plstm_graph.datasets.images.arrow_pointing import _SPLITS, _Scene


def test_golden_images(golden):
    """Pixels are black or white, by integers: another processor's last bit of a coordinate moves none of them."""
    cases = json.loads((golden / "arrow_pointing.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 10
    for case in cases:
        image, label = ArrowPointing(case["image_size"], case["seed"]).render(case["index"])
        assert image.dtype == np.uint8
        assert image.shape == (case["image_size"], case["image_size"], 3)
        assert label == case["label"]
        assert hashlib.sha256(image.tobytes()).hexdigest() == case["sha256"]


def test_one_image_is_known_without_other_files():
    image, label = ArrowPointing(192, 42).render(0)
    assert label == 1
    assert hashlib.sha256(image.tobytes()).hexdigest().startswith("f35ba5aa9c03991f")


@pytest.mark.parametrize("image_size", [128, 192, 384])
def test_labels_are_what_geometry_says(image_size):
    for number in range(300):
        scene = _Scene(np.random.default_rng(number), image_size)
        across, along = scene.disc_x - scene.arrow_x, scene.disc_y - scene.arrow_y
        assert abs(across) >= 2 * scene.radius - 1e-9
        assert abs(along) >= 2 * scene.radius - 1e-9
        ahead = across * math.cos(scene.heading) + along * math.sin(scene.heading)
        beside = abs(across * math.sin(scene.heading) - along * math.cos(scene.heading))
        assert scene.label == (ahead > 0 and beside <= scene.radius)
        for place in (scene.disc_x, scene.disc_y):
            assert scene.radius <= place <= image_size - scene.radius


def test_items_are_the_rendered_images_in_any_process():
    dataset = ArrowPointing(192, seed=3, num_samples=6)
    loader = DataLoader(dataset, batch_size=6, num_workers=2)
    images, labels = next(iter(loader))
    assert images.dtype == torch.uint8
    for number in range(6):
        image, label = dataset.render(number)
        assert np.array_equal(images[number].permute(1, 2, 0).numpy(), image)
        assert labels[number] == label


def test_length_does_not_change_images():
    short, long = ArrowPointing(num_samples=5), ArrowPointing(num_samples=50)
    assert np.array_equal(short.render(3)[0], long.render(3)[0])
    assert np.array_equal(short.render(-1)[0], short.render(4)[0])


def test_splits_are_the_papers():
    sets = {name: ArrowPointing.split(name) for name in _SPLITS}
    assert {name: (len(each), each.image_size, each.seed) for name, each in sets.items()} == {
        "train": (100_000, 192, 42),
        "valid": (5_120, 192, 100_042),
        "valid_ext": (5_120, 384, 100_043),
        "test": (10_240, 192, 200_042),
        "test_ext": (10_240, 384, 200_043),
    }
    assert ArrowPointing.split("train", seed=44).seed == 44
    assert ArrowPointing.split("test", seed=44).seed == 200_042
    assert len(ArrowPointing.split("test", num_samples=7)) == 7


def test_bad_arguments():
    with pytest.raises(ValueError, match="image_size must be at least 120, got 96"):
        ArrowPointing(96)
    with pytest.raises(ValueError, match="must not be negative"):
        ArrowPointing(num_samples=-1)
    with pytest.raises(ValueError, match=r"split must be one of 'train', .*, got 'val'"):
        ArrowPointing.split("val")
    with pytest.raises(IndexError, match="image 5 of 5"):
        ArrowPointing(num_samples=5).render(5)


def test_distance_is_that_of_the_drawing():
    dataset = ArrowPointing(192, seed=3, num_samples=20)
    for number in range(20):
        black = (dataset[number][0][0] == 0).double()
        # Strokes are at most three pixels wide: only inside the disc is a square of nine all black.
        inside = torch.nn.functional.avg_pool2d(black[None], 9, stride=1, padding=4)[0] > 0.999
        disc_y, disc_x = inside.nonzero().double().mean(dim=0).tolist()
        (x, y), _ = dataset.arrow(number)
        assert dataset.distance(number) == pytest.approx(math.hypot(disc_x - x, disc_y - y), abs=1)
