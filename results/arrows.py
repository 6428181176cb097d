"""Tables and pictures of finished studies of arrow pointing.

    python -m results.arrows runs/arrows-*

Writes into docs/grids/arrows: ``arrows.md`` (a row per run, and what more background and longer distances do to each,
on validation images),
``accuracy_by_size.png``, ``accuracy_by_distance.png`` (on the validation images of twice the size, all seeds),
``contact_sheet.png``, and for each run ``saliency-NAME.png`` of its first seed. ``report.json`` of each run is kept as
results/grids/arrows/NAME.json.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import binary_auroc

from plstm_graph.datasets import ArrowPointing
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.tasks.image_task import ImageBatch, ImageTask, Standardised, as_float, image_batches
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.study import trained_models
from plstm_graph.viz import (
    contact_sheet,
    draw_accuracy_by_distance,
    draw_accuracy_by_size,
    draw_saliency,
    saliency,
)
from results import DOCS, NUMBERS

KEPT = NUMBERS / "grids" / "arrows"
SHOWN = DOCS / "grids" / "arrows"
_PICTURES = 4  # of each size
_BATCH_SIZE = 4

#: Titles of the runs of configs/arrows.
_TITLES = {
    "plstm": "pLSTM, P and D",
    "p_only": "P only",
    "d_only": "D only",
    "constant_gates": "constant gates",
    "positions": "with positions",
    "symmetric": "P and D, 8 views",
    "p_only-symmetric": "P only, 8 views",
    "p_only-wide": "P only, width 96",
    "p_only-wide-symmetric": "P only, width 96, 8 views",
    "vit": "ViT",
    "cnn": "CNN",
}


@dataclass
class FinishedRun:
    """A study of one model: what its report says of it, its task, and the models of its seeds."""

    name: str
    report: dict[str, Any]
    task: ImageTask
    models: list[Standardised]

    @property
    def results(self) -> dict[str, Any]:
        """The one model of the report."""
        (model,) = self.report["models"].values()
        return model

    @property
    def title(self) -> str:
        """What tables and pictures call it."""
        return _TITLES.get(self.name, self.name)

    @property
    def one_view(self) -> bool:
        """Whether it answers from an image as it is."""
        return self.task.symmetries == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders with report.json")
    options = parser.parse_args()
    runs = in_order([finished_run(folder) for folder in options.runs])
    task = runs[0].task
    for folder in (KEPT, SHOWN):
        folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        replace_json(KEPT / f"{run.name}.json", run.report)
    plain = [run for run in runs if run.one_view]  # several views of the same models would show little else
    logits = {run.title: [far_logits(model, task) for model in run.models] for run in plain}
    text = table(runs) + "\n" + background_table(plain, task, logits)
    replace_text(SHOWN / "arrows.md", text)
    print(text)
    by_size = {run.title: accuracy_by_size(run.results, task) for run in plain}
    draw_accuracy_by_size(by_size, task.image_size).savefig(SHOWN / "accuracy_by_size.png", dpi=150)
    examples = ArrowPointing.split("test", image_size=task.image_size)
    images, labels = zip(*(examples[number] for number in range(18)), strict=True)
    sheet = contact_sheet(images, [examples.classes[label] for label in labels])
    sheet.savefig(SHOWN / "contact_sheet.png", dpi=100)
    by_distance(logits, task).savefig(SHOWN / "accuracy_by_distance.png", dpi=150)
    for run in plain:
        pictures(run.models[0], task).savefig(SHOWN / f"saliency-{run.name}.png", dpi=100)


def in_order(runs: list[FinishedRun]) -> list[FinishedRun]:
    """Those with a title in the order of these, then others."""
    order = list(_TITLES)
    return sorted(runs, key=lambda run: (order.index(run.name) if run.name in order else len(order), run.name))


def finished_run(folder: Path) -> FinishedRun:
    """Load the models of all seeds."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    task = load_task(**report["config"]["task"])
    assert isinstance(task, ImageTask)
    models = [task.classifier(trained.model) for trained in trained_models(folder, task)]
    return FinishedRun(folder.name.removeprefix("arrows-"), report, task, models)


def table(runs: list[FinishedRun]) -> str:
    """Accuracies as a Markdown table, mean and standard deviation over seeds."""
    lines = [
        "| model | parameters | lr | validation | twice the size | test | twice the size | training s | seeds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        results = run.results
        rate = results["choice"].get("training.lr", run.report["config"]["training"]["lr"])
        cells = [run.title, f"{results['parameters']:,}", f"{rate:g}"]
        cells += [_text(results["valid"][f"{part}/accuracy"]) for part in ("valid", "valid_ext")]
        cells += [_text(results["tests"][f"{part}/accuracy"]) for part in ("test", "test_ext")]
        lines.append("| " + " | ".join([*cells, f"{results['seconds']:.0f}", str(len(results["seeds"]))]) + " |")
    return "\n".join(lines) + "\n"


def background_table(runs: list[FinishedRun], task: ImageTask, logits: dict[str, list[Tensor]]) -> str:
    """What more background does, and longer distances: means over seeds, on validation images."""
    lines = [
        "| model | validation | padded with background to twice the size | twice the size | hits found | misses found "
        "| area under the ROC curve |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    labels = torch.cat([batch["y"] for batch in _validation(task, "valid_ext")])
    for run in runs:
        far = logits[run.title]
        right = torch.stack([(each > 0) == labels for each in far]).double()
        cells = [run.results["valid"]["valid/accuracy"]["mean"]]
        cells += [fmean(padded_accuracy(model, task) for model in run.models)]
        cells += [float(right.mean()), float(right[:, labels == 1].mean()), float(right[:, labels == 0].mean())]
        cells += [fmean(float(binary_auroc(each, labels)) for each in far)]
        lines.append(f"| {run.title} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def accuracy_by_size(results: dict[str, Any], task: ImageTask) -> dict[int, list[float]]:
    """Accuracies of all seeds at each size."""
    sizes = {"test": task.image_size, "test_ext": 2 * task.image_size}
    tested = results["seeds"][0]["tests"]
    sizes |= {name: int(name.removeprefix("test_")) for name in tested if name not in sizes}
    return {size: [seed["tests"][name]["accuracy"] for seed in results["seeds"]] for name, size in sizes.items()}


@torch.no_grad()
def far_logits(model: Standardised, task: ImageTask) -> Tensor:
    """How much more a model gives for a hit, of each validation image of twice the size, ``[N]``."""
    return torch.cat([model(batch["x"]).diff(dim=1)[:, 0] for batch in _validation(task, "valid_ext")])


@torch.no_grad()
def padded_accuracy(model: Standardised, task: ImageTask) -> float:
    """Part of the validation images that are right with a white border, as wide as half of the image."""
    width = task.image_size // 2
    right = [
        model(F.pad(as_float(batch["x"]), (width,) * 4, value=1.0)).argmax(dim=1) == batch["y"]
        for batch in _validation(task, "valid")
    ]
    return float(torch.cat(right).double().mean())


def by_distance(logits: dict[str, list[Tensor]], task: ImageTask) -> Any:
    """What all models make of validation images of twice the size, by the distance in them."""
    images = task.parts["valid_ext"]
    assert isinstance(images, ArrowPointing)
    labels = torch.cat([batch["y"] for batch in _validation(task, "valid_ext")])
    distances = torch.tensor([images.distance(number) for number in range(len(images))])
    right = {name: ((torch.stack(each) > 0) == labels).double().mean(dim=0) for name, each in logits.items()}
    return draw_accuracy_by_distance(right, distances, labels, images.classes)


def pictures(model: Standardised, task: ImageTask) -> Any:
    """What a model looks at, in images of the training size and of twice that."""
    images, maps, titles, rays = [], [], [], []
    for part in ("test", "test_ext"):
        dataset = task.parts[part]
        assert isinstance(dataset, ArrowPointing)
        for number in range(_PICTURES):
            image, label = dataset[number]
            (x, y), heading = dataset.arrow(number)
            batch = image[None] / 255
            right = bool(model(batch).argmax() == label)
            reach = 2 * dataset.image_size
            images.append(image)
            maps.append(saliency(model, batch)[0])
            titles.append(f"{dataset.classes[label]}: {'right' if right else 'wrong'}")
            rays.append(((x, y), (x + reach * math.cos(heading), y + reach * math.sin(heading))))
    return draw_saliency(images, maps, titles, rays)


def _validation(task: ImageTask, part: str) -> Iterator[ImageBatch]:
    return image_batches(task.parts[part], _BATCH_SIZE, torch.device("cpu"))


def _text(summary: dict[str, Any]) -> str:
    return f"{summary['mean']:.3f}" + ("" if summary["std"] is None else f" ± {summary['std']:.3f}")


if __name__ == "__main__":
    main()
