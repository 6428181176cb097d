"""Classes of images as a task."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from plstm_graph.config.sized import make_sized
from plstm_graph.nn.ensemble import Ensemble
from plstm_graph.tasks.augmentation import Augment, Augmentation
from plstm_graph.tasks.image_batches import EpochBatches, ImageBatch, as_float, image_batches, image_loader
from plstm_graph.tasks.rows import Direction, Row
from plstm_graph.tasks.symmetries import Symmetries, averaged_output
from plstm_graph.tasks.task import Samples, Shard, Task


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
        per_epoch = len(images) if self.epoch_images is None else self.epoch_images
        return image_loader(images, EpochBatches(len(images), per_epoch, batch_size, seed, shard), workers, device)

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
