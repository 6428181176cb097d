"""One training of an image model, resumed per epoch, and its tests."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric import seed_everything
from torch_geometric.data import Batch

from plstm_graph.datasets.images.task import Images, ImageTask
from plstm_graph.datasets.storage.files import replace_file, replace_json
from plstm_graph.train.checkpoint import load_weights
from plstm_graph.train.command_parser import make_module
from plstm_graph.train.epoch_log import EpochLog
from plstm_graph.train.images.augment import Augment, Augmentation
from plstm_graph.train.images.batches import ImageBatch, epoch_rows, image_batches
from plstm_graph.train.images.symmetries import Symmetries, averaged_output
from plstm_graph.train.loop import train_epochs
from plstm_graph.train.optimizer import make_adamw, warmup_cosine
from plstm_graph.train.selection import Row

Precision = Literal["float32", "bfloat16"]


@dataclass
class ImageTraining:
    """How an image model is trained.

    Args:
        epochs: Number of epochs.
        epoch_images: Images of an epoch. (default: all training images)
        batch_size: Images per batch.
        weight_decay: Decay of weight matrices, by AdamW.
        warmup: Part of all steps over which the learning rate rises; then it falls along a cosine.
        final_lr: Learning rate at the end, as a part of the peak.
        clip: Largest norm of the gradient.
        average: Evaluate, and keep, weights averaged over about this many epochs; 0 for those of the last step.
        keep: Weights that are tested: of the ``"best"`` epoch on validation images, or of the ``"last"``.
        standardise: Subtract from pixels the mean of the training images, and divide by their standard deviation.
        precision: Of matrix products in training and testing; ``"bfloat16"`` by autocast.
        workers: Processes that load images.
        augmentation: Random changes of training images.
        symmetries: After training, average outputs over the 4 turns of an image, or with their mirror images 8, at
            as many times the cost. Where a label does not depend on how an image lies, errors of one view average out.
    """

    epochs: int = 50
    epoch_images: int | None = None
    batch_size: int = 128
    weight_decay: float = 0.05
    warmup: float = 0.02
    final_lr: float = 1e-3
    clip: float = 1.0
    average: float = 0.0
    keep: Literal["best", "last"] = "best"
    standardise: bool = True
    precision: Precision = "float32"
    workers: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    symmetries: Symmetries = 1

    def __post_init__(self) -> None:
        if self.average and self.keep == "last":
            raise ValueError("average needs keep='best': the last weights are those of the last step")
        if self.epochs < 1 or self.batch_size < 1 or self.clip <= 0 or self.average < 0 or (self.epoch_images or 1) < 1:
            raise ValueError(
                "epochs, epoch_images and batch_size must be at least 1, clip positive, average not negative, got "
                f"epochs={self.epochs}, epoch_images={self.epoch_images}, batch_size={self.batch_size}, "
                f"clip={self.clip}, average={self.average}"
            )


class PreparedModel(nn.Module):
    """A model behind what every image passes first; its output is float32.

    Args:
        model (torch.nn.Module): The model.
        task (ImageTask): For mean and standard deviation of the pixels.
        training (ImageTraining): Whether to standardise by them, and the precision of matrix products.

    Shapes:
        - **input:** ``[B, C, height, width]``, float in [0, 1]
        - **output:** ``[B, T]``
    """

    def __init__(self, model: nn.Module, task: ImageTask, training: ImageTraining) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = (task.mean, task.std) if training.standardise else (0.0, 1.0)
        self.narrow = training.precision == "bfloat16"

    def forward(self, x: Tensor) -> Tensor:
        """Classify images."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.narrow):
            return self.model((x - self.mean) / self.std).float()


def make_model(model: dict[str, Any], task: ImageTask) -> nn.Module:
    """A new model, tried on two training images.

    Args:
        model: Plain section ``model`` of a configuration: ``class_path`` and ``init_args``.
        task: What it is for.

    Raises:
        ValueError: If the model cannot be made, or does not give a column for each class.
    """
    try:
        module = make_module(model)
    except ValueError as error:
        raise ValueError(f"the model cannot be made: {error}") from error
    with torch.no_grad():
        shape = list(module.eval()(torch.zeros(2, task.channels, task.image_size, task.image_size)).shape)
    if shape != [2, len(task.classes)]:
        raise ValueError(f"the model gives {shape} for two images of {task.name}, not [2, {len(task.classes)}]")
    return module


def check_test_images(model: nn.Module, task: ImageTask) -> None:
    """Try a model on images of every size that will be tested, so that none stops a run after hours of training.

    Args:
        model: As :func:`make_model` gives it.
        task: What it is for.

    Raises:
        ValueError: If it cannot take images of a test; it names the test.
    """
    shapes = {name: images[0][0].shape for name, images in task.test.items() if len(cast(Sized, images))}
    with torch.no_grad():
        for name, shape in shapes.items():
            try:
                model.eval()(torch.zeros(1, *shape))
            except ValueError as error:
                raise ValueError(f"the model cannot take the images of {name}: {error}") from error


def train_run(
    task: ImageTask,
    model: dict[str, Any],
    training: ImageTraining,
    lr: float,
    seed: int,
    folder: Path,
    device: torch.device,
    report: Callable[[Row], None],
) -> dict[str, Any]:
    """Train with one learning rate and one seed, or go on with a training that was interrupted.

    Args:
        task: Images.
        model: As in :func:`make_model`.
        training: How.
        lr: Peak learning rate.
        seed: Of weights, order, augmentation, and of the arrows themselves.
        folder: Folder of this training: ``epochs.jsonl``, ``state.pt`` (until finished), ``weights.pt`` and
            ``training.json`` (once finished).
        device: Where.
        report: Called with the metrics of each epoch, from the first.

    Returns:
        What ``training.json`` says. A finished training is not run again.

    Raises:
        FloatingPointError: If the loss is not finite.
    """
    if (folder / "training.json").is_file():
        (folder / "state.pt").unlink(missing_ok=True)  # if it was killed at the very end
        return json.loads((folder / "training.json").read_text(encoding="utf-8"))
    seed_everything(seed)
    wrapped = PreparedModel(make_model(model, task), task, training).to(device)
    images = task.train(seed)
    count = len(cast(Any, images))
    per_epoch = training.epoch_images or count
    optimizer = make_adamw(wrapped, lr, training.weight_decay, fused=True)
    steps = max(-(-per_epoch // training.batch_size), 1)  # of an epoch
    scheduler = warmup_cosine(optimizer, training.epochs * steps, training.warmup, training.final_lr)
    augment = Augment(training.augmentation, len(task.classes), task.image_size)
    one_view = replace(training, symmetries=1)

    def train_batches(epoch: int) -> Iterator[ImageBatch]:
        rows = epoch_rows(count, per_epoch, epoch, seed)
        for batch in image_batches(images, rows, training.batch_size, training.workers, device):
            yield ImageBatch(*augment(batch.x, batch.y))

    def validate(module: nn.Module) -> Row:
        return {"valid/accuracy": accuracy(module, task, task.valid["valid"], one_view, device)}

    log = EpochLog(folder, report)
    best = train_epochs(
        wrapped,
        optimizer,
        scheduler,
        cast(Callable[[int], Iterable[Batch]], train_batches),
        F.cross_entropy,
        training.epochs,
        validate,
        {"valid/accuracy": "max"},
        seed=seed,
        clip=training.clip,
        average_steps=training.average * steps,
        on_epoch=log,
        checkpoint=folder / "state.pt",
    )
    if training.keep == "best":
        wrapped.load_state_dict(best.state_dict)
    replace_file(folder / "weights.pt", lambda path: torch.save(wrapped.model.state_dict(), path))
    kept = best.row if training.keep == "best" else log.rows[-1]
    # Those that select no epoch are looked at once.
    known = {"valid": kept["valid/accuracy"]} if training.symmetries == 1 else {}
    validation = {
        f"{name}/accuracy": known[name] if name in known else accuracy(wrapped, task, images, training, device)
        for name, images in task.valid.items()
    }
    result = {
        "lr": lr,
        "seed": seed,
        "epoch": int(kept["epoch"]) + 1,
        "parameters": sum(parameter.numel() for parameter in wrapped.parameters()),
        "seconds": log.seconds,
        **validation,
    }
    replace_json(folder / "training.json", result)
    (folder / "state.pt").unlink(missing_ok=True)
    return result


def evaluate_run(
    task: ImageTask, model: dict[str, Any], training: ImageTraining, folder: Path, device: torch.device
) -> dict[str, Any]:
    """Test a finished training once.

    Args:
        task: Images.
        model: As in :func:`make_model`.
        training: How it was trained.
        folder: As in :func:`train_run`; gets ``test.json``.
        device: Where.

    Returns:
        Accuracy on each of the task's test sets, and seconds.
    """
    path = folder / "test.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    wrapped = load_run(task, model, training, folder, device)
    started = time.perf_counter()
    result: dict[str, Any] = {name: accuracy(wrapped, task, part, training, device) for name, part in task.test.items()}
    result["seconds"] = time.perf_counter() - started
    replace_json(path, result)
    return result


def load_run(
    task: ImageTask, model: dict[str, Any], training: ImageTraining, folder: Path, device: torch.device
) -> PreparedModel:
    """The model of a finished training. Arguments as in :func:`evaluate_run`."""
    prepared = PreparedModel(make_model(model, task), task, training).to(device)
    load_weights(prepared.model, folder / "weights.pt", device, f"remove the folder {folder} to train it anew")
    return prepared.eval()


@torch.no_grad()
def accuracy(model: nn.Module, task: ImageTask, images: Images, training: ImageTraining, device: torch.device) -> float:
    """Part of the images whose largest output is that of their label.

    Args:
        model: On the device; it is put into evaluation mode.
        task: For the size of its training images.
        images: One of its sets.
        training: For symmetries and the sizes of batches. Larger images come in smaller batches of as many pixels:
            fresh memory for large ones would cost more than a quarter of the time.
        device: Where.
    """
    model.eval()
    right, count = torch.zeros((), device=device), len(cast(Any, images))
    height, width = images[0][0].shape[-2:]
    batch_size = max(1, min(training.batch_size, training.batch_size * task.image_size**2 // (height * width)))
    for batch in image_batches(images, range(count), batch_size, training.workers, device):
        output = averaged_output(model, batch.x, training.symmetries)
        right += (output.argmax(dim=-1) == batch.y).sum()
    return float(right) / count
