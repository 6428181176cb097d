"""Classes of images as a task."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from plstm_graph.config.sized import make_sized
from plstm_graph.datasets.images.augmentation import Augment, Augmentation
from plstm_graph.nn.ensemble import Ensemble
from plstm_graph.tasks.batches import EpochBatches, cut
from plstm_graph.tasks.task import Direction, Row, Samples, Shard, Task

Symmetries = Literal[1, 4, 8]


def views(images: Tensor, count: Symmetries) -> Iterator[Tensor]:
    """Images as they are (1), in their four turns (4), and the mirror images of these (8).

    Args:
        images: ``[B, C, height, width]``
        count: How many.

    Yields:
        Images; quarter turns exchange height and width.
    """
    for view in range(count):
        # No turn would be a copy.
        turned = torch.rot90(images, view % 4, (2, 3)) if view % 4 else images
        yield turned.flip(3) if view >= 4 else turned


def averaged_output(model: nn.Module, images: Tensor, count: Symmetries) -> Tensor:
    """Mean of a model's outputs over the :func:`views` of images, ``[B, T]``."""
    total: Tensor = sum(model(view) for view in views(images, count))
    return total / count


#: ``"x"``: images ``[B, C, height, width]``, uint8 or float in [0, 1]; ``"y"``: labels ``[B]`` or targets ``[B, T]``.
ImageBatch = dict[str, Tensor]


def image_loader(
    images: Samples, batches: EpochBatches | list[list[int]], workers: int, device: torch.device
) -> DataLoader:
    """A loader of batches.

    Args:
        images: Images and labels.
        batches: Rows of each batch.
        workers: Processes that load images; 0 for none.
        device: Where batches will go.
    """
    return DataLoader(
        cast(Any, images),
        batch_sampler=batches,
        collate_fn=_collate,
        num_workers=workers,
        persistent_workers=workers > 0 and isinstance(batches, EpochBatches),
        pin_memory=device.type == "cuda",
        # A generator of its own, so that loading does not draw from that of the model.
        generator=torch.Generator().manual_seed(0),
    )


def image_batches(
    images: Samples,
    batch_size: int,
    device: torch.device,
    shard: Shard | None = None,
    workers: int = 0,
) -> Iterator[ImageBatch]:
    """Batches of images in their order, on a device.

    Args:
        images: The data set.
        batch_size: Images per batch.
        device: Where they go.
        shard: Which images this process takes. (default: all)
        workers: Processes that load images; 0 for none.
    """
    shard = Shard() if shard is None else shard
    rows = range(shard.rank, len(images), shard.world_size)
    for batch in image_loader(images, cut(rows, batch_size, Shard()), workers, device):
        yield {name: values.to(device, non_blocking=device.type == "cuda") for name, values in batch.items()}


def as_float(images: Tensor) -> Tensor:
    """Images as floats in [0, 1]."""
    return images if images.is_floating_point() else images.float() / 255


def _collate(samples: Sequence[tuple[Tensor, int]]) -> ImageBatch:
    images, labels = zip(*samples, strict=True)
    return {"x": torch.stack(images), "y": torch.tensor(labels)}


class Standardised(nn.Module):
    """A model behind what every image passes first.

    Args:
        model (torch.nn.Module): A classifier.
        mean (float): Subtracted from all pixels.
        std (float): They are divided by it.

    Shapes:
        - **input:** ``[B, C, height, width]``, uint8, or float in [0, 1]
        - **output:** that of the model, ``[B, T]``
    """

    def __init__(self, model: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.model, self.mean, self.std = model, mean, std
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Classify images."""
        return self.model((as_float(images) - self.mean) / self.std)


@dataclass(kw_only=True)
class ImageTask(Task):
    """Images, each of one class.

    Attributes:
        name (str): Its name.
        parts (dict[str, Samples]): Images, uint8 ``[C, height, width]``, and labels: ``"train"``, ``"valid"``, perhaps
            further ones to validate, and tests.
        classes (tuple[str, ...]): Names of labels.
        channels (int): Channels of the images.
        image_size (int): Side of the training images.
        mean (float): Subtracted from pixels, from 0 to 1.
        std (float): Pixels are divided by it.
        drawn (callable, optional): Training images of a seed, as many for each. (default: those of ``parts``)
        epoch_images (int, optional): Images of an epoch. (default: all training images)
        augmentation (Augmentation): Random changes of training images.
        symmetries (int): After training, outputs are averaged over so many turned and mirrored views of an image.
        monitor (dict): As of :class:`~plstm_graph.tasks.task.Task`, and so are the columns.
    """

    name: str
    parts: Mapping[str, Samples]
    classes: tuple[str, ...]
    channels: int
    image_size: int
    mean: float = 0.0
    std: float = 1.0
    drawn: Callable[[int], Samples] | None = None
    epoch_images: int | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    symmetries: Symmetries = 1
    monitor: dict[str, Direction] = field(default_factory=lambda: {"accuracy": "max"})
    columns: tuple[str, ...] = ("y",)

    # Images may be many, and are as fast to read as to keep.
    keeps_batches = False
    steps_alike = True

    def __post_init__(self) -> None:
        if self.epoch_images is not None and self.epoch_images < 1:
            raise ValueError(f"epoch_images must be at least 1, got {self.epoch_images}")
        self._augment = Augment(self.augmentation, len(self.classes), self.image_size)

    @property
    def looks_again(self) -> bool:
        """Whether trained models see several views of an image."""
        return self.symmetries != 1

    def make_model(self, spec: Mapping[str, Any], members: int = 1) -> nn.Module:
        """A new model, tried on two training images."""
        sizes = {"out_channels": len(self.classes), "image_size": self.image_size, "in_channels": self.channels}
        model = make_sized(spec, sizes)
        with torch.no_grad():
            shape = list(model.eval()(torch.zeros(2, self.channels, self.image_size, self.image_size)).shape)
        if shape != [2, len(self.classes)]:
            raise ValueError(f"the model gives {shape} for two images of {self.name}, not [2, {len(self.classes)}]")
        return model.train() if members == 1 else Ensemble(model, members)

    def check(self, model: nn.Module) -> None:
        """Try a model on images of every size that will be looked at, so that none stops it after hours of training."""
        shapes: dict[torch.Size, str] = {}
        for part, images in self.parts.items():
            shapes.setdefault(images[0][0].shape, part)
        with torch.no_grad():
            for shape, part in shapes.items():
                try:
                    model.eval()(torch.zeros(1, *shape))
                except ValueError as error:
                    raise ValueError(f"the model cannot take the images of {part}: {error}") from error

    def train_loader(
        self, needs: Any, batch_size: int, seed: int, device: torch.device, shard: Shard, workers: int = 0
    ) -> DataLoader:
        """Batches of the training images of a seed."""
        images = self.parts["train"] if self.drawn is None else self.drawn(seed)
        rows = EpochBatches(len(images), batch_size, seed, shard, self.epoch_images)
        return image_loader(images, rows, workers, device)

    def batches(
        self, part: str, needs: Any, batch_size: int, device: torch.device, shard: Shard, workers: int = 0
    ) -> Iterator[ImageBatch]:
        """Batches of a part, in order.

        Larger images come in smaller batches of as many pixels: fresh memory for large ones would cost more than a
        quarter of the time.
        """
        images = self.parts[part]
        height, width = images[0][0].shape[-2:]
        size = max(1, min(batch_size, batch_size * self.image_size**2 // (height * width)))
        return image_batches(images, size, device, shard, workers)

    def changed(self, batch: ImageBatch) -> ImageBatch:
        """A batch of augmented images, and of targets ``[B, T]`` that sum to one."""
        images, targets = self._augment(as_float(batch["x"]), batch["y"])
        return {"x": images, "y": targets}

    def classifier(self, model: nn.Module) -> Standardised:
        """A model of this task as one of images as they are."""
        return Standardised(model, self.mean, self.std)

    def output(self, model: nn.Module, batch: ImageBatch, needs: Any) -> Tensor:
        """What a model gives for a batch."""
        return self.classifier(model)(batch["x"])

    def answer(self, model: nn.Module, batch: ImageBatch, needs: Any) -> Tensor:
        """What a trained model gives for a batch, the mean over all views."""
        return averaged_output(self.classifier(model), batch["x"], self.symmetries)

    def loss(self, output: Tensor, batch: ImageBatch) -> tuple[Tensor, Tensor]:
        """Sum of cross-entropies, and number of images; of an ensemble, over all members."""
        targets = batch["y"].expand(output.shape).flatten(0, -2)
        loss = F.cross_entropy(output.flatten(0, -2), targets, reduction="sum")
        return loss, torch.tensor(len(targets), device=output.device)

    def score(self, output: Tensor, **columns: Tensor) -> Row:
        """Part of the images whose largest output is that of their label."""
        return {"accuracy": float((output.argmax(dim=-1) == columns["y"]).double().mean())}
