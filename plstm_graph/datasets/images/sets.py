"""Image benchmarks that fit into memory, read from files as their authors publish them."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from plstm_graph.datasets.images.idx import read_idx
from plstm_graph.datasets.storage.restricted_pickle import load_arrays

Part = Literal["train", "test"]


class ImageArrays(Dataset[tuple[Tensor, int]]):
    """Images and labels in memory.

    Args:
        images (Tensor): uint8 ``[n, C, height, width]``.
        labels (Tensor): int64 ``[n]``.
        classes (tuple[str, ...]): Names of the labels.

    Raises:
        ValueError: If there are not as many images as labels, or a label has no name.
    """

    def __init__(self, images: Tensor, labels: Tensor, classes: tuple[str, ...]) -> None:
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images do not go with {len(labels)} labels")
        wrong = ((labels < 0) | (labels >= len(classes))).nonzero()
        if len(wrong):
            row = int(wrong[0])
            raise ValueError(f"image {row} has the label {int(labels[row])}, but there are {len(classes)} classes")
        self.images = images
        self.labels = labels
        self.classes = classes

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image, uint8 ``[C, height, width]``, and label."""
        return self.images[index], int(self.labels[index])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)}, {list(self.images.shape[1:])})"


class FashionMNIST(ImageArrays):
    """Fashion-MNIST (Xiao et al., 2017): 28 x 28 grey pictures of ten kinds of clothes, 60,000 and 10,000.

    Args:
        root (str): Folder of the four files ``train-images-idx3-ubyte`` and so on, with ``.gz`` or without.
        part (str): ``"train"`` or ``"test"``. (default: ``"train"``)

    Raises:
        FileNotFoundError: If a file is missing; it says where the files are to be had.
        ValueError: If a file is damaged.
    """

    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

    def __init__(self, root: str | os.PathLike[str], part: Part = "train") -> None:
        prefix = {"train": "train", "test": "t10k"}[part]
        images, labels = (_find(Path(root), f"{prefix}-{name}-ubyte") for name in ("images-idx3", "labels-idx1"))
        super().__init__(read_idx(images).unsqueeze(1), read_idx(labels).long(), self.names)


class CIFAR10(ImageArrays):
    """CIFAR-10 (Krizhevsky, 2009): 32 x 32 colour pictures of ten kinds of animals and vehicles, 50,000 and 10,000.

    Args:
        root (str): Folder of the unpacked archive ``cifar-10-python.tar.gz``: it, or the folder above it.
        part (str): ``"train"`` or ``"test"``. (default: ``"train"``)

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged.
    """

    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(self, root: str | os.PathLike[str], part: Part = "train") -> None:
        folder = Path(root)
        if (folder / "cifar-10-batches-py").is_dir():
            folder = folder / "cifar-10-batches-py"
        files = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}[part]
        images, labels = [], []
        for name in files:
            path = folder / name
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing: unpack cifar-10-python.tar.gz of the authors' page there")
            batch = load_arrays(path, encoding="bytes")
            data, targets = (batch.get(key) if isinstance(batch, dict) else None for key in (b"data", b"labels"))
            if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,) or not targets:
                raise ValueError(f"{path} is no batch of CIFAR-10: it needs uint8 data of 3072 columns, and labels")
            images.append(torch.from_numpy(np.array(data)).view(-1, 3, 32, 32))
            labels.append(torch.tensor(targets))
        super().__init__(torch.cat(images), torch.cat(labels), self.names)


def _find(root: Path, name: str) -> Path:
    for path in (root / f"{name}.gz", root / name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"neither {name}.gz nor {name} is in {root}: take the four files from the authors' repository "
        "(zalandoresearch/fashion-mnist) or the Debian package dataset-fashion-mnist"
    )
