"""Augmentation of images: what is off changes nothing, and mixed images get mixed labels."""

import pytest
import torch

from plstm_graph.datasets.images.augmentation import Augment, Augmentation


def constant_images(count, channels=3, size=16):
    """Images of one value each, so that a blend shows its shares."""
    values = torch.linspace(0.1, 0.9, count)
    return values[:, None, None, None].expand(count, channels, size, size).clone(), torch.arange(count)


def test_off_by_default():
    images, labels = constant_images(4)
    same, targets = Augment(Augmentation(), 4, 16)(images, labels)
    assert torch.equal(same, images)  # exact here and below: nothing is computed
    assert torch.equal(targets, torch.eye(4))


def test_label_smoothing():
    _, targets = Augment(Augmentation(label_smoothing=0.2), 4, 16)(*constant_images(4))
    torch.testing.assert_close(targets, torch.eye(4) * 0.8 + 0.05)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_labels_are_shares_of_the_mixed_images(kind):
    pytest.importorskip("kornia")
    images, labels = constant_images(6)
    mixed, targets = Augment(Augmentation(**{kind: 1.0}), 6, 16)(images, labels)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert (targets.amax(dim=1) < 0.999).any()
    values = images[:, 0, 0, 0]
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets @ values, rtol=0, atol=1e-3)
    assert torch.equal(images, constant_images(6)[0]), "the batch itself is left alone"


def test_images_change_and_keep_their_shape():
    pytest.importorskip("kornia")
    options = Augmentation(flip=True, crop_padding=2, three_augment=True, color_jitter=0.3, erase=0.25)
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8)
    changed, targets = Augment(options, 8, 16)(images, labels)
    assert changed.shape == images.shape
    assert ((changed - images).abs().amax(dim=(1, 2, 3)) > 0.05).float().mean() > 0.5
    assert 0 <= changed.min() and changed.max() <= 1
    assert torch.equal(targets, torch.eye(8))


def test_flips_half_of_the_images():
    pytest.importorskip("kornia")
    ramp = torch.linspace(0, 1, 8).expand(200, 1, 8, 8).clone()
    changed, _ = Augment(Augmentation(flip=True), 2, 8)(ramp, torch.zeros(200, dtype=torch.long))
    flipped = (changed == ramp.flip(-1)).all(dim=(1, 2, 3))
    assert ((changed == ramp).all(dim=(1, 2, 3)) | flipped).all()
    assert 60 < flipped.sum() < 140


def test_bad_options():
    with pytest.raises(ValueError, match=r"mixup must be from 0 to 1, got 1\.5"):
        Augmentation(mixup=1.5)
    with pytest.raises(ValueError, match="crop_padding must not be negative"):
        Augmentation(crop_padding=-1)
