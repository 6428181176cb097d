"""Image classification tasks with all their parts: what to train on, what selects, what is tested."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from plstm_graph.datasets.images.arrow_pointing import ArrowPointing
from plstm_graph.datasets.images.folder import ImageFolder
from plstm_graph.datasets.images.sets import CIFAR10, FashionMNIST

ImageTaskName = Literal["arrows", "fashion_mnist", "cifar10", "imagenet"]
Images = Dataset[tuple[Tensor, int]]

_SPLIT_SEED = 42
_NUM_VALID = {"fashion_mnist": 5_000, "cifar10": 5_000, "imagenet": 10_000}
_IMAGE_SIZE = {"fashion_mnist": 28, "cifar10": 32, "imagenet": 224}
# Mean and standard deviation of all pixels of the training images, from 0 to 1; of arrows, in place of the mean, the
# white background, so that it is zero, as is what convolutions see beyond the edge of an image.
_STATISTICS = {
    "arrows": (1.0, 0.215),
    "fashion_mnist": (0.286, 0.353),
    "cifar10": (0.473, 0.252),
    "imagenet": (0.449, 0.226),
}
_FOLDER = {"fashion_mnist": "vision/fashion_mnist", "cifar10": "vision", "imagenet": "imagenet"}


@dataclass(frozen=True)
class ImageTask:
    """A classification task.

    Attributes:
        name (str): Its name.
        classes (tuple[str, ...]): Names of labels.
        train (Callable): Training images of a seed.
        valid (dict[str, Dataset]): ``"valid"`` selects epochs and learning rates; others are looked at once.
        test (dict[str, Dataset]): Images that are tested once.
        channels (int): Channels of the images.
        image_size (int): Side of the training images.
        mean (float): Mean of the pixels of training images, from 0 to 1; of drawings, the background.
        std (float): Their standard deviation.
    """

    name: str
    classes: tuple[str, ...]
    train: Callable[[int], Images]
    valid: dict[str, Images]
    test: dict[str, Images]
    channels: int
    image_size: int
    mean: float = 0.0
    std: float = 1.0


def load_image_task(
    name: ImageTaskName = "arrows",
    root: str | None = None,
    image_size: int | None = None,
    num_train: int | None = None,
    num_valid: int | None = None,
    num_test: int | None = None,
    test_sizes: Sequence[int] = (),
    num_per_size: int = 1_000,
) -> ImageTask:
    """Load a task.

    Args:
        name: ``"arrows"`` (drawn on the fly), ``"fashion_mnist"``, ``"cifar10"``, or ``"imagenet"`` (ImageNet-1k or
            any folder with sub-folders ``train`` and ``val``, each with a sub-folder per class).
        root: Folder of the files. (default: the set's own in the folder that PLSTM_DATA names)
        image_size: Side of the training images, for arrows and ImageNet; tests of extrapolation are at twice that.
            (default: 192 for arrows, 224 for ImageNet)
        num_train: Number of training images, taken from the front. (default: all; 100,000 arrows)
        num_valid: Number of validation images; those of real sets are set apart from the training images by a fixed
            random choice. (default: the paper's 5,120 arrows, 5,000, 5,000, 10,000)
        num_test: Number of test images. (default: all; the paper's 10,240 arrows)
        test_sizes: Further sizes at which arrows are tested.
        num_per_size: Number of images at each of these.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If an argument does not fit the task, or a file is damaged.
    """
    if name == "arrows":
        return _arrows(
            192 if image_size is None else image_size, num_train, num_valid, num_test, test_sizes, num_per_size
        )
    if test_sizes:
        raise ValueError(f"test_sizes are for arrows; images of {name} have one size")
    if name != "imagenet" and image_size not in (None, _IMAGE_SIZE[name]):
        raise ValueError(f"images of {name} are of size {_IMAGE_SIZE[name]}, image_size cannot be {image_size}")
    size = _IMAGE_SIZE[name] if image_size is None else image_size
    folder = _root(name, root)
    train: FashionMNIST | CIFAR10 | ImageFolder
    test: FashionMNIST | CIFAR10 | ImageFolder
    if name == "imagenet":
        train = ImageFolder(folder / "train", size)
        test = ImageFolder(folder / "val", size, classes=train.classes)
    else:
        kind = FashionMNIST if name == "fashion_mnist" else CIFAR10
        train, test = kind(folder, "train"), kind(folder, "test")
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(_SPLIT_SEED)).tolist()
    held_out = _NUM_VALID[name] if num_valid is None else num_valid
    if not 0 < held_out < len(train):
        raise ValueError(f"num_valid must be from 1 to {len(train) - 1}, got {held_out}")
    learned = Subset(train, rows[held_out:][:num_train])
    return ImageTask(
        name,
        train.classes,
        lambda seed: learned,
        {"valid": Subset(train, rows[:held_out])},
        {"test": test if num_test is None else Subset(test, range(min(num_test, len(test))))},
        channels=1 if name == "fashion_mnist" else 3,
        image_size=size,
        mean=_STATISTICS[name][0],
        std=_STATISTICS[name][1],
    )


def _arrows(
    size: int,
    num_train: int | None,
    num_valid: int | None,
    num_test: int | None,
    test_sizes: Sequence[int],
    num_per_size: int,
) -> ImageTask:
    def split(name: Literal["valid", "valid_ext", "test", "test_ext"], count: int | None) -> ArrowPointing:
        return ArrowPointing.split(name, image_size=size, num_samples=count)

    further = {
        f"test_{side}": ArrowPointing.split("test", image_size=side, num_samples=num_per_size) for side in test_sizes
    }
    return ImageTask(
        "arrows",
        ArrowPointing.classes,
        lambda seed: ArrowPointing.split("train", seed, size, num_train),
        {"valid": split("valid", num_valid), "valid_ext": split("valid_ext", num_valid)},
        {"test": split("test", num_test), "test_ext": split("test_ext", num_test), **further},
        channels=3,
        image_size=size,
        mean=_STATISTICS["arrows"][0],
        std=_STATISTICS["arrows"][1],
    )


def _root(name: str, root: str | None) -> Path:
    if root is not None:
        return Path(root)
    shared = os.environ.get("PLSTM_DATA")
    if not shared:
        raise ValueError(
            f"{name} needs its folder: give root (--data.root), or set the environment variable PLSTM_DATA"
        )
    return Path(shared) / _FOLDER[name]
