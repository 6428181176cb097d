"""``plstm-graph images``: image classifiers over learning rates and seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from plstm_graph.console import Console
from plstm_graph.datasets.digits import shown
from plstm_graph.datasets.images.task import load_image_task
from plstm_graph.train.allocator import keep_freed_memory
from plstm_graph.train.going_on import going_on
from plstm_graph.train.images.options import claim, parse
from plstm_graph.train.images.report import make_report, print_report, write_report
from plstm_graph.train.images.run import check_test_images, evaluate_run, make_model, train_run
from plstm_graph.train.inference import pick_device
from plstm_graph.train.selection import Row


def images(arguments: list[str], machine: dict[str, Any]) -> int:
    """Run the command: train what is not finished, test the chosen learning rate, report.

    Args:
        arguments: Of ``plstm-graph images``.
        machine: By :func:`plstm_graph.bench.machine.describe_machine`, for the report.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If data, model or the folder of the run cannot be used.
        OSError: If data cannot be had or results cannot be written.
        FloatingPointError: If a loss is not finite.
        KeyboardInterrupt: If it was stopped; it says how to go on.
    """
    options, console = parse(arguments), Console()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    task, device = load_image_task(**options.plain["data"]), pick_device(options.device)
    model = make_model(options.plain["model"], task)
    check_test_images(model, task)
    with going_on("The same command goes on from the last whole epoch."):
        claim(options)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        console.say(f"{task.name}, {type(model).__name__} of {parameters:,} parameters: {options.folder}")

        def train(lr: float, seed: int) -> dict[str, Any]:
            folder = run_folder(options.folder, lr, seed)
            report = _progress(lr, seed, options.training.epochs)
            return train_run(task, options.plain["model"], options.training, lr, seed, folder, device, report)

        first = options.seeds[0]
        tried = [train(lr, first) for lr in options.learning_rates]
        best = max(tried, key=lambda result: result["valid/accuracy"])
        results = []
        for seed in options.seeds:
            trained = best if seed == first else train(best["lr"], seed)
            folder = run_folder(options.folder, best["lr"], seed)
            tested = evaluate_run(task, options.plain["model"], options.training, folder, device)
            results.append(trained | {"tests": {name: value for name, value in tested.items() if name != "seconds"}})
        report = make_report(options, tried, results, machine)
        write_report(options.folder, report)
        print_report(console, report)
        console.say(f"Results: {options.folder}/report.md, {options.folder}/report.json")
    return 0


def run_folder(folder: Path, lr: float, seed: int) -> Path:
    """Folder of one training of a run."""
    return folder / f"lr_{lr:g}" / f"seed_{seed}"


def _progress(lr: float, seed: int, epochs: int) -> Callable[[Row], None]:
    """Prints a line for each epoch to stderr."""
    console = Console(stderr=True)

    def report(row: Row) -> None:
        parts = [f"{name} {shown(value)}" for name, value in row.items() if name not in ("epoch", "lr", "seconds")]
        text = f"lr {lr:g}, seed {seed}, epoch {int(row['epoch']) + 1}/{epochs}: {', '.join(parts)}"
        console.say(f"{text}, {row['seconds']:.0f} s")

    return report
