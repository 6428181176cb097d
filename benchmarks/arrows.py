"""Tables and pictures of finished runs of ``plstm-graph images`` on arrow pointing.

    python benchmarks/arrows.py runs/images/arrows-* --output docs/figures/arrows

Writes ``arrows.md`` (a row per run), ``accuracy_by_size.png``, ``accuracy_by_distance.png`` (on the validation images
of twice the size, all seeds), ``contact_sheet.png``, and for each run ``saliency-NAME.png`` of its first seed.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plstm_graph.datasets import ArrowPointing
from plstm_graph.datasets.files import replace_file
from plstm_graph.datasets.image_task import ImageTask, load_image_task
from plstm_graph.train.images.augment import Augmentation
from plstm_graph.train.images.batches import ImageBatch, image_batches
from plstm_graph.train.images.command import run_folder
from plstm_graph.train.images.run import ImageTraining, PreparedModel, load_run
from plstm_graph.viz import (
    contact_sheet,
    draw_accuracy_by_distance,
    draw_accuracy_by_size,
    draw_saliency,
    saliency,
)

_PICTURES = 4  # of each size
_BATCH_SIZE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders with report.json")
    parser.add_argument("--output", type=Path, default=Path("runs/images/arrows-report"))
    options = parser.parse_args()
    reports = {folder.name.removeprefix("arrows-"): (folder, _read(folder)) for folder in options.runs}
    options.output.mkdir(parents=True, exist_ok=True)
    text = table({name: report for name, (_, report) in reports.items()})
    replace_file(options.output / "arrows.md", lambda path: Path(path).write_text(text, encoding="utf-8"))
    print(text)
    by_size = {name: accuracy_by_size(report) for name, (_, report) in reports.items()}
    trained_at = next(iter(reports.values()))[1]["config"]["data"]["image_size"] or 192
    draw_accuracy_by_size(by_size, trained_at).savefig(options.output / "accuracy_by_size.png", dpi=150)
    examples = ArrowPointing.split("test", image_size=trained_at)
    images, labels = zip(*(examples[number] for number in range(18)), strict=True)
    sheet = contact_sheet(images, [examples.classes[label] for label in labels])
    sheet.savefig(options.output / "contact_sheet.png", dpi=100)
    by_distance(reports).savefig(options.output / "accuracy_by_distance.png", dpi=150)
    for name, (folder, report) in reports.items():
        pictures(folder, report).savefig(options.output / f"saliency-{name}.png", dpi=100)


def table(reports: dict[str, dict[str, Any]]) -> str:
    """Accuracies as a Markdown table, mean and standard deviation over seeds."""
    lines = [
        "| model | parameters | lr | validation | twice the size | test | twice the size | training s | seeds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, report in reports.items():
        cells = [name, f"{report['parameters']:,}", f"{report['lr']:g}"]
        cells += [_text(report["validation"][part]) for part in ("valid", "valid_ext")]
        cells += [_text(report["test"][part]) for part in ("test", "test_ext")]
        lines.append("| " + " | ".join([*cells, f"{report['seconds']['mean']:.0f}", str(len(report["seeds"]))]) + " |")
    return "\n".join(lines) + "\n"


def accuracy_by_size(report: dict[str, Any]) -> dict[int, list[float]]:
    """Accuracies of all seeds at each size."""
    side = report["config"]["data"]["image_size"] or 192
    sizes = {"test": side, "test_ext": 2 * side}
    sizes |= {name: int(name.removeprefix("test_")) for name in report["test"] if name not in sizes}
    return {size: [seed["tests"][name] for seed in report["seeds"]] for name, size in sizes.items()}


def trained(folder: Path, report: dict[str, Any], seed: dict[str, Any]) -> tuple[ImageTask, PreparedModel]:
    """The model of a seed, and its task."""
    config = report["config"]
    task = load_image_task(**config["data"])
    training = ImageTraining(
        **config["training"] | {"augmentation": Augmentation(**config["training"]["augmentation"])}
    )
    run = run_folder(folder, seed["lr"], seed["seed"])
    return task, load_run(task, config["model"], training, run, torch.device("cpu"))


@torch.no_grad()
def right_on_far_images(folder: Path, report: dict[str, Any]) -> Tensor:
    """Part of the seeds that is right about each validation image of twice the size, ``[N]``."""
    seeds = []
    for seed in report["seeds"]:
        task, model = trained(folder, report, seed)
        batches = _far_batches(task)
        seeds.append(torch.cat([model(batch.x).argmax(dim=-1) == batch.y for batch in batches]))
    return torch.stack(seeds).double().mean(dim=0)


def by_distance(reports: dict[str, tuple[Path, dict[str, Any]]]) -> Any:
    """What all models make of validation images of twice the size, by the distance in them."""
    task = load_image_task(**next(iter(reports.values()))[1]["config"]["data"])
    images = task.valid["valid_ext"]
    assert isinstance(images, ArrowPointing)
    labels = torch.cat([batch.y for batch in _far_batches(task)])
    distances = torch.tensor([images.distance(number) for number in range(len(images))])
    right = {name: right_on_far_images(folder, report) for name, (folder, report) in reports.items()}
    return draw_accuracy_by_distance(right, distances, labels, images.classes)


def pictures(folder: Path, report: dict[str, Any]) -> Any:
    """What the model of the first seed looks at, in images of the training size and of twice that."""
    task, model = trained(folder, report, report["seeds"][0])
    images, maps, titles, rays = [], [], [], []
    for part in ("test", "test_ext"):
        dataset = task.test[part]
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


def _far_batches(task: ImageTask) -> Iterator[ImageBatch]:
    images = task.valid["valid_ext"]
    assert isinstance(images, ArrowPointing)
    return image_batches(images, range(len(images)), _BATCH_SIZE, 0, torch.device("cpu"))


def _text(summary: dict[str, Any]) -> str:
    return f"{summary['mean']:.3f}" + ("" if summary["std"] is None else f" ± {summary['std']:.3f}")


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
