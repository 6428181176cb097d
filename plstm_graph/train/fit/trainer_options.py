"""What ``plstm-graph fit`` cannot give Lightning's trainer: found before anything is written."""

import math
from typing import Any

import lightning.pytorch as pl

#: What a training of ``fit`` needs, since each epoch is validated and the best one kept.
_NEEDED = {
    "enable_checkpointing": (lambda value: value is not False, "true: the report comes from the best checkpoint"),
    "barebones": (lambda value: not value, "false: the report comes from checkpoints and metrics"),
    "max_epochs": (lambda value: value is None or value >= 1, "at least 1"),
    "max_steps": (lambda value: value == -1 or value >= 1, "at least 1, or -1 for as many as the epochs have"),
    "check_val_every_n_epoch": (lambda value: value == 1, "1: the best of all epochs is kept"),
    "limit_train_batches": (lambda value: value is None or value > 0, "positive: something has to be trained on"),
    "limit_val_batches": (lambda value: value is None or value > 0, "positive: the best of all epochs is kept"),
    "accumulate_grad_batches": (lambda value: value >= 1, "at least 1"),
    "gradient_clip_val": (lambda value: value is None or 0 <= value < math.inf, "at least 0, or null for none"),
}

#: What Lightning needs of a checkpoint to go on from it.
_STATE = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",
    "loops",
    "callbacks",
    "optimizer_states",
    "lr_schedulers",
)


def check_resumable(checkpoint: dict[str, Any], path: object) -> None:
    """Check that a checkpoint says how far its training was.

    Args:
        checkpoint: What was read.
        path: Where, for the message.

    Raises:
        ValueError: If it holds a model only, as a study exports it.
    """
    missing = [name for name in _STATE if name not in checkpoint]
    if missing:
        raise ValueError(f"{path} holds a model, but not how far its training was ({missing[0]}): it cannot be resumed")


def check_trainer(options: dict[str, Any]) -> None:
    """Check the options of a trainer, and that Lightning can make one of them here.

    Args:
        options: Arguments of ``lightning.pytorch.Trainer``, made.

    Raises:
        ValueError: If one cannot be used; it names it.
    """
    for name, (holds, needed) in _NEEDED.items():
        if name in options and not holds(options[name]):
            raise ValueError(f"trainer.{name} must be {needed}; got {options[name]!r}")
    alone: dict[str, Any] = {"callbacks": None, "plugins": None, "logger": False, "enable_progress_bar": False}
    alone |= {"enable_checkpointing": False, "enable_model_summary": False}
    if not isinstance(options.get("strategy", "auto"), str):
        alone["strategy"] = "auto"  # an object belongs to one trainer
    try:
        pl.Trainer(**options | alone)
    except Exception as error:  # Lightning raises whatever comes, also TypeError and exceptions of its own
        raise ValueError(f"these options of the trainer cannot be used here: {str(error).strip()}") from error
