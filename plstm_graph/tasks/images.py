"""Tasks of images by their names: arrow pointing, Fashion-MNIST, CIFAR-10, ImageNet-1k."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch.utils.data import Subset

from plstm_graph.config.fitting import fitting
from plstm_graph.datasets.images.arrow_pointing import ArrowPointing
from plstm_graph.datasets.images.augmentation import Augmentation
from plstm_graph.datasets.images.folder import ImageFolder
from plstm_graph.datasets.images.sets import CIFAR10, FashionMNIST
from plstm_graph.datasets.storage.sources import VARIABLE, find_source
from plstm_graph.tasks.image_task import ImageTask, Symmetries
from plstm_graph.tasks.task import Samples

ImageSet = Literal["fashion_mnist", "cifar10", "imagenet"]

_SPLIT_SEED = 42


class _Images(NamedTuple):
    """A set of images. Mean and standard deviation are of all pixels of its training images, from 0 to 1."""

    num_valid: int
    image_size: int
    channels: int
    mean: float
    std: float
    folder: str


_SETS: dict[ImageSet, _Images] = {
    "fashion_mnist": _Images(5_000, 28, 1, 0.286, 0.353, "vision/fashion_mnist"),
    "cifar10": _Images(5_000, 32, 3, 0.473, 0.252, "vision"),
    "imagenet": _Images(10_000, 224, 3, 0.449, 0.226, "imagenet"),
}
# In place of the mean of arrows, the white background, so that it is zero, as is what convolutions see beyond the edge
# of an image.
_ARROWS = 1.0, 0.215


def arrows(
    image_size: int = 192,
    num_train: int | None = None,
    num_valid: int | None = None,
    num_test: int | None = None,
    test_sizes: Sequence[int] = (),
    num_per_size: int = 1_000,
    epoch_images: int | None = None,
    standardise: bool = True,
    augmentation: dict[str, Any] | None = None,
    symmetries: Symmetries = 1,
) -> ImageTask:
    """Arrow pointing, drawn on the fly; the training images depend on the seed of the training.

    Args:
        image_size: Side of the training images; ``valid_ext`` and ``test_ext`` are at twice that.
        num_train: Number of training images. (default: the paper's 100,000)
        num_valid: Number of validation images. (default: 5,120)
        num_test: Number of test images. (default: 10,240)
        test_sizes: Further sizes that are tested.
        num_per_size: Number of images at each of these.
        epoch_images: Images of an epoch. (default: all training images)
        standardise: Subtract the white background from pixels, and divide by their standard deviation.
        augmentation: Random changes of training images, see :class:`Augmentation`.
        symmetries: After training, average outputs over the 4 turns of an image, or with their mirror images 8, at as
            many times the cost. Where a label does not depend on how an image lies, errors of one view average out.

    Raises:
        ValueError: If an argument is out of range.
    """

    def split(name: Literal["valid", "valid_ext", "test", "test_ext"], count: int | None) -> ArrowPointing:
        return ArrowPointing.split(name, image_size=image_size, num_samples=count)

    def drawn(seed: int) -> ArrowPointing:
        return ArrowPointing.split("train", seed, image_size, num_train)

    further = {
        f"test_{side}": ArrowPointing.split("test", image_size=side, num_samples=num_per_size) for side in test_sizes
    }
    mean, std = _ARROWS if standardise else (0.0, 1.0)
    return ImageTask(
        name="arrows",
        parts={
            "train": drawn(_SPLIT_SEED),
            "valid": split("valid", num_valid),
            "valid_ext": split("valid_ext", num_valid),
            "test": split("test", num_test),
            "test_ext": split("test_ext", num_test),
            **further,
        },
        classes=ArrowPointing.classes,
        channels=3,
        image_size=image_size,
        mean=mean,
        std=std,
        drawn=drawn,
        epoch_images=epoch_images,
        augmentation=_augmentation(augmentation, "arrows"),
        symmetries=symmetries,
    )


def image_set(
    name: ImageSet,
    root: str,
    source: str | None,
    image_size: int | None = None,
    num_train: int | None = None,
    num_valid: int | None = None,
    num_test: int | None = None,
    epoch_images: int | None = None,
    standardise: bool = True,
    augmentation: dict[str, Any] | None = None,
    symmetries: Symmetries = 1,
) -> ImageTask:
    """A set of images in files.

    Args:
        name: ``"fashion_mnist"``, ``"cifar10"``, or ``"imagenet"`` (ImageNet-1k or any folder with sub-folders
            ``train`` and ``val``, each with a sub-folder per class).
        root: Folder of all data sets, in which the set may have its own.
        source: Folder of the files. (default: the set's own in the folder that PLSTM_DATA names)
        image_size: Side of the images, for ImageNet. (default: 224)
        num_train: Number of training images, taken from the front. (default: all)
        num_valid: Number of validation images, which are set apart from the training images by a fixed random choice.
            (default: 5,000; 10,000 of ImageNet)
        num_test: Number of test images, taken from the front. (default: all)
        epoch_images: As of :func:`arrows`, and so are the following.
        standardise: Subtract from pixels the mean of the training images, and divide by their standard deviation.
        augmentation: Random changes of training images.
        symmetries: Views of an image after training.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If an argument does not fit the set, or a file is damaged.
    """
    images = _SETS[name]
    if name != "imagenet" and image_size not in (None, images.image_size):
        raise ValueError(f"images of {name} are of size {images.image_size}, image_size cannot be {image_size}")
    size = images.image_size if image_size is None else image_size
    folder = _folder(name, root, source)
    train: FashionMNIST | CIFAR10 | ImageFolder
    test: FashionMNIST | CIFAR10 | ImageFolder
    if name == "imagenet":
        train = ImageFolder(folder / "train", size)
        test = ImageFolder(folder / "val", size, classes=train.classes)
    else:
        kind = FashionMNIST if name == "fashion_mnist" else CIFAR10
        train, test = kind(folder, "train"), kind(folder, "test")
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(_SPLIT_SEED)).tolist()
    held_out = images.num_valid if num_valid is None else num_valid
    if not 0 < held_out < len(train):
        raise ValueError(f"num_valid must be from 1 to {len(train) - 1}, got {held_out}")
    parts: dict[str, Samples] = {
        "train": Subset(train, rows[held_out:][:num_train]),
        "valid": Subset(train, rows[:held_out]),
        "test": test if num_test is None else Subset(test, range(min(num_test, len(test)))),
    }
    mean, std = (images.mean, images.std) if standardise else (0.0, 1.0)
    return ImageTask(
        name=name,
        parts=parts,
        classes=train.classes,
        channels=images.channels,
        image_size=size,
        mean=mean,
        std=std,
        epoch_images=epoch_images,
        augmentation=_augmentation(augmentation, name),
        symmetries=symmetries,
    )


def _augmentation(options: dict[str, Any] | None, name: str) -> Augmentation:
    return Augmentation(**fitting(Augmentation, options or {}, f"the task {name}", "augmentation"))


def _folder(name: ImageSet, root: str, source: str | None) -> Path:
    """The folder of the files of a set: the given one, or its own in that of ``PLSTM_DATA`` or of all data sets."""
    if source is not None:
        return Path(source)
    own = Path(root) / _SETS[name].folder
    found = find_source(None, [_SETS[name].folder], Path.is_dir, str)
    if found is None and not own.is_dir():
        raise ValueError(
            f"{name} needs its folder: give source (--task.source), put it at {own}, or set the environment variable "
            f"{VARIABLE}"
        )
    return found or own
