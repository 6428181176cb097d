"""Images in a folder with a sub-folder for each class, as ImageNet comes."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")


class ImageFolder(Dataset[tuple[Tensor, int]]):
    """Images in sub-folders named after their classes, brought to squares of one size.

    The shorter side is resized (bicubic) to ``resize`` pixels, and the middle square of ``image_size`` is cut out.
    Images are read when asked for, so use a :class:`~torch.utils.data.DataLoader` with workers. For ImageNet-1k,
    ``root`` is the folder ``train`` or ``val`` with its thousand sub-folders.

    Args:
        root (str): The folder.
        image_size (int): Side of the images. (default: ``224``)
        resize (int, optional): Shorter side before the middle is cut out. (default: ``image_size``)
        classes (Sequence[str], optional): Names of sub-folders in the order of labels, such as those of the training
            set. (default: all, sorted)

    Raises:
        FileNotFoundError: If the folder, one of its classes, or any image in it is missing.
        ValueError: If the sizes do not go together; an item raises it if its file is no whole image.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        image_size: int = 224,
        resize: int | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.root = Path(root)
        self.image_size = image_size
        self.resize = image_size if resize is None else resize
        if not 1 <= image_size <= self.resize:
            raise ValueError(f"image_size must be from 1 to resize, got {image_size} and {self.resize}")
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        found = sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
        self.classes = tuple(found if classes is None else classes)
        self.paths: list[Path] = []
        labels: list[int] = []
        for label, name in enumerate(self.classes):
            if name not in found:
                raise FileNotFoundError(f"{self.root} has no sub-folder {name!r}")
            paths = sorted(path for path in (self.root / name).rglob("*") if path.suffix.lower() in _SUFFIXES)
            self.paths += paths
            labels += [label] * len(paths)
        if not self.paths:
            raise FileNotFoundError(
                f"{self.root} has no image ({', '.join(_SUFFIXES)}) in a sub-folder; each class needs one of its own"
            )
        self.labels = torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image, uint8 ``[3, image_size, image_size]``, and label."""
        path = self.paths[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{path} is no whole image: {error}") from error
        scale = self.resize / min(image.size)
        width, height = (max(round(side * scale), self.resize) for side in image.size)
        left, top = (width - self.image_size) // 2, (height - self.image_size) // 2
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        image = image.crop((left, top, left + self.image_size, top + self.image_size))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), int(self.labels[index])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)}, classes={len(self.classes)}, image_size={self.image_size})"
