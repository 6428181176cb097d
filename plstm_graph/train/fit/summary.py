"""What ``fit`` shows before it trains."""

from typing import TYPE_CHECKING

import torch

from plstm_graph.console import Console

if TYPE_CHECKING:
    from plstm_graph.train.fit.cli import FitCLI

_SHOWN = 5


def print_summary(console: Console, cli: "FitCLI") -> None:
    """Print data, model and machine of a run.

    Args:
        console: Where to print.
        cli: The run.
    """
    data, module, trainer = cli.datamodule, cli.model, cli.trainer
    sizes = {split: len(rows) for split, rows in data.splits.items()}
    rows = {
        "run": f"{cli.folder.path}" + (f", resumed from {cli.resume_from}" if cli.resume_from else ""),
        "data": data.summary,
        "split": f"{data.split_name}: {', '.join(f'{size} {split}' for split, size in sizes.items())}",
        "targets": f"{module.task}: {_targets(data.target_names)}",
        "model": f"{type(module.model).__name__}, {sum(p.numel() for p in module.parameters()):,} parameters",
        "training": (
            f"at most {trainer.max_epochs} epochs of {-(-sizes['train'] // (data.batch_size * trainer.world_size))} "
            f"steps, batch size {data.batch_size}, learning rate {module.lr:g}, seed {cli.config.seed_everything}"
        ),
        "device": (
            f"{trainer.accelerator.__class__.__name__.removesuffix('Accelerator')}, {trainer.world_size} "
            f"process{'es' if trainer.world_size > 1 else ''}, {torch.get_num_threads()} threads, "
            f"{trainer.precision} precision"
        ),
    }
    for name, text in rows.items():
        console.say(text, heading=f"{name:<9} ")
    for note in cli.target_notes:
        console.say(f"  {note}")
    for note in data.notes[:_SHOWN]:
        console.say(f"  {note}")
    if len(data.notes) > _SHOWN:
        console.say(f"  and {len(data.notes) - _SHOWN} more")


def _targets(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
