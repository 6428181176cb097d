"""The arrow-pointing task: does the arrow in the picture point at the disc? Drawn when asked for, never stored."""

import math
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import Dataset

Split = Literal["train", "valid", "valid_ext", "test", "test_ext"]

_PADDING = 30
_LENGTH = (15, 30)
_WIDTH = (2, 4)
_RADIUS = (15.0, 30.0)
# How far a hit stays inside the disc's rim, and a miss outside of it, as a factor of the radius.
_MARGIN = 1.2

# Images of each split, its side as a multiple of the training images', and its seed; training has that of the run.
_SPLITS: dict[str, tuple[int, int, int | None]] = {
    "train": (100_000, 1, None),
    "valid": (5_120, 1, 100_042),
    "valid_ext": (5_120, 2, 100_043),
    "test": (10_240, 1, 200_042),
    "test_ext": (10_240, 2, 200_043),
}


class ArrowPointing(Dataset[tuple[Tensor, int]]):
    """Pictures of an arrow and a disc; label 1 if the arrow points at the disc (section 5.1 of the `paper
    <https://arxiv.org/abs/2506.11997>`_).

    Arrow and disc keep their size in pixels whatever the size of the image, so that a larger image has longer
    distances: a model trained at 192 and tested at 384 has to extrapolate. Each image depends on ``seed`` and its
    index alone, whatever the length of the set.

    Args:
        image_size (int): Side in pixels, at least 120. Discs have radii from 15 to 30, less in images smaller than
            180, which have no room for more. (default: ``192``)
        seed (int): Of all images. (default: ``42``)
        num_samples (int): Length of the set. (default: ``100_000``)

    Raises:
        ValueError: If an argument is out of range.
    """

    classes = ("points elsewhere", "points at the disc")

    def __init__(self, image_size: int = 192, seed: int = 42, num_samples: int = 100_000) -> None:
        smallest = int(2 * _PADDING + 4 * _RADIUS[0])
        if image_size < smallest:
            raise ValueError(f"image_size must be at least {smallest}, got {image_size}")
        if num_samples < 0 or seed < 0:
            raise ValueError(f"seed and num_samples must not be negative, got {seed} and {num_samples}")
        self.image_size = image_size
        self.seed = seed
        self.num_samples = num_samples
        self._first = int(np.random.default_rng(seed).integers(2**62))

    @classmethod
    def split(
        cls, name: Split, seed: int = 42, image_size: int = 192, num_samples: int | None = None
    ) -> "ArrowPointing":
        """One of the paper's sets.

        Args:
            name: ``"train"``, ``"valid"`` or ``"test"`` at ``image_size``, ``"valid_ext"`` or ``"test_ext"`` at twice
                that.
            seed: Of the training images; the other sets are always the same.
            image_size: Side of the training images.
            num_samples: Number of images. (default: the paper's 100,000, 5,120 and 10,240)

        Raises:
            ValueError: If there is no such set.
        """
        if name not in _SPLITS:
            raise ValueError(f"split must be one of {', '.join(map(repr, _SPLITS))}, got {name!r}")
        count, scale, fixed = _SPLITS[name]
        return cls(scale * image_size, seed if fixed is None else fixed, count if num_samples is None else num_samples)

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image as a tensor, uint8 ``[3, height, width]``, and label."""
        scene = self._scene(index)
        return torch.from_numpy(scene.pixels()).expand(3, -1, -1), scene.label

    def render(self, index: int) -> tuple[np.ndarray, int]:
        """Draw an image.

        Args:
            index: Number of the image; negative ones count from the end.

        Returns:
            Pixels, uint8 ``[height, width, 3]``, white with black drawings, and the label.

        Raises:
            IndexError: If the set has no such image.
        """
        scene = self._scene(index)
        return np.repeat(scene.pixels()[:, :, None], 3, axis=2), scene.label

    def arrow(self, index: int) -> tuple[tuple[float, float], float]:
        """Where the arrow of an image lies: its centre ``(x, y)`` in pixels, and its heading in radians."""
        scene = self._scene(index)
        return (scene.arrow_x, scene.arrow_y), scene.heading

    def distance(self, index: int) -> float:
        """Pixels from the centre of an image's arrow to that of its disc."""
        scene = self._scene(index)
        return math.hypot(scene.disc_x - scene.arrow_x, scene.disc_y - scene.arrow_y)

    def _scene(self, index: int) -> "_Scene":
        if not -self.num_samples <= index < self.num_samples:
            raise IndexError(f"image {index} of {self.num_samples}")
        return _Scene(np.random.default_rng(self._first + index % self.num_samples), self.image_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_samples}, image_size={self.image_size}, seed={self.seed})"


class _Scene:
    """Where everything lies. The order of the draws decides what an image looks like."""

    def __init__(self, rng: np.random.Generator, image_size: int) -> None:
        hit = rng.uniform(0, 1) < 0.5
        self.label = int(hit)
        self.length = int(rng.uniform(*_LENGTH))
        self.width = int(rng.uniform(*_WIDTH))
        self.image_size = image_size
        room = image_size - 2 * _PADDING
        arrow_x, arrow_y = room * rng.random(), room * rng.random()
        self.radius = _RADIUS[0] + (min(_RADIUS[1], room / 4) - _RADIUS[0]) * rng.random()
        disc_x = self._away(arrow_x, room, rng.random())
        disc_y = self._away(arrow_y, room, rng.random())

        across, along = disc_x - arrow_x, disc_y - arrow_y
        rim = self.radius / _MARGIN if hit else self.radius * _MARGIN
        # Half the angle under which the arrow sees a disc of that radius.
        half = math.acos(math.sqrt(abs(1 - rim**2 / (across**2 + along**2))))
        bearing, turn = math.atan2(along, across), rng.random()
        self.heading = bearing - half + 2 * half * turn if hit else bearing + half + (2 * math.pi - 2 * half) * turn
        self.arrow_x, self.arrow_y = arrow_x + _PADDING, arrow_y + _PADDING
        self.disc_x, self.disc_y = disc_x + _PADDING, disc_y + _PADDING

    def _away(self, arrow: float, room: float, draw: float) -> float:
        """A coordinate of the disc: two radii from the arrow's at least, around the edge if need be."""
        place = arrow + 2 * self.radius + (room - 4 * self.radius) * draw
        return place - room if place > room else place

    def pixels(self) -> np.ndarray:
        """Arrow and disc in black on white, without anti-aliasing, uint8 ``[height, width]``."""
        picture = Image.new("L", (self.image_size, self.image_size), 255)
        canvas = ImageDraw.Draw(picture)
        reach = self.length // 2
        ahead = reach * math.cos(self.heading), reach * math.sin(self.heading)
        tip = self.arrow_x + ahead[0], self.arrow_y + ahead[1]
        canvas.line([(self.arrow_x - ahead[0], self.arrow_y - ahead[1]), tip], fill=0, width=self.width)
        stroke = self.length // 2.5
        for angle in (self.heading - 0.5, self.heading + 0.5):
            barb = tip[0] - stroke * math.cos(angle), tip[1] - stroke * math.sin(angle)
            canvas.line([barb, tip], fill=0, width=self.width)
        canvas.ellipse(
            [
                self.disc_x - self.radius,
                self.disc_y - self.radius,
                self.disc_x + self.radius,
                self.disc_y + self.radius,
            ],
            fill=0,
        )
        return np.array(picture)
