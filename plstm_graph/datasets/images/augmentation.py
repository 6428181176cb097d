"""Random changes of training images, on their device, by kornia."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Augmentation:
    """Which random changes training images undergo. All are off by default.

    Args:
        flip: Mirror half of the images, left to right.
        crop_padding: Pad each side by so many mirrored pixels, then cut a square of the old size out at random.
        three_augment: To each image, one of grey, solarised and blurred (DeiT III).
        color_jitter: Largest relative change of brightness, contrast and saturation.
        erase: Part of the images in which a random rectangle is blacked out.
        mixup: Part of the batches whose images are blended in pairs, with their labels.
        cutmix: Part of the other batches in which a rectangle is taken from another image, with its share of label.
        label_smoothing: Part of each label that is spread over all classes.
    """

    flip: bool = False
    crop_padding: int = 0
    three_augment: bool = False
    color_jitter: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("color_jitter", "erase", "mixup", "cutmix", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.crop_padding < 0:
            raise ValueError(f"crop_padding must not be negative, got {self.crop_padding}")


class Augment(nn.Module):
    """Applies an :class:`Augmentation` to batches.

    Args:
        options (Augmentation): What to apply.
        num_classes (int): Number of classes ``T``.
        image_size (int): Side of the images.

    Shapes:
        - **input:** images ``[B, C, height, width]``, float in [0, 1]; labels ``[B]``, int64
        - **output:** images of the same shape; targets ``[B, T]`` that sum to one

    Raises:
        ImportError: If something is to be applied, but kornia is not installed.
    """

    def __init__(self, options: Augmentation, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.options = options
        self.num_classes = num_classes
        self.changes: nn.Module | None = None
        self.mixup: nn.Module | None = None
        self.cutmix: nn.Module | None = None
        image_changes = (options.flip, options.crop_padding, options.three_augment, options.color_jitter, options.erase)
        if not any((*image_changes, options.mixup, options.cutmix)):
            return
        try:
            from kornia import augmentation as K
        except ImportError as error:
            raise ImportError("augmentation of images needs kornia: pip install 'plstm_graph[vision]'") from error
        changes: list[Any] = []
        if options.crop_padding:
            size = (image_size, image_size)
            changes.append(K.RandomCrop(size, padding=options.crop_padding, padding_mode="reflect"))
        if options.flip:
            changes.append(K.RandomHorizontalFlip())
        if options.three_augment:
            three = K.RandomGrayscale(p=1.0), K.RandomSolarize(p=1.0), K.RandomGaussianBlur((5, 5), (0.1, 2.0), p=1.0)
            changes.append(K.AugmentationSequential(*three, data_keys=["input"], random_apply=1))
        if options.color_jitter:
            amount = options.color_jitter
            changes.append(K.ColorJitter(brightness=amount, contrast=amount, saturation=amount))
        if options.erase:
            changes.append(K.RandomErasing(p=options.erase))
        self.changes = K.AugmentationSequential(*changes, data_keys=["input"]) if changes else None
        keys: list[Any] = ["input", "class"]
        if options.mixup:
            self.mixup = K.RandomMixUpV2(p=1.0, data_keys=keys)
        if options.cutmix:
            self.cutmix = K.RandomCutMixV2(p=1.0, data_keys=keys, use_correct_lambda=True)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch."""
        if self.changes is not None:
            images = self.changes(images)
        draw = torch.rand(2).tolist()
        if self.mixup is not None and draw[0] < self.options.mixup:
            images, mixed = self.mixup(images, labels)
        elif self.cutmix is not None and draw[1] < self.options.cutmix:
            images, (mixed,) = self.cutmix(images, labels)
            # Unlike mixup, it gives the share of the own image.
            mixed = torch.cat([mixed[:, :2], 1 - mixed[:, 2:]], dim=1)
        else:
            return images, self._smooth(F.one_hot(labels, self.num_classes).float())
        # Columns: own label, label of the other image, share of the other.
        own, other = (F.one_hot(column.long(), self.num_classes) for column in mixed[:, :2].unbind(1))
        return images, self._smooth(torch.lerp(own.float(), other.float(), mixed[:, 2:].float()))

    def _smooth(self, targets: Tensor) -> Tensor:
        amount = self.options.label_smoothing
        return targets * (1 - amount) + amount / self.num_classes if amount else targets
