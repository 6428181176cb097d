"""What Lightning's trainer is given: what a configuration says of it, and what the engine decides."""

import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from plstm_graph.config.names import KINDS, TRAINER_KINDS, NameNotAllowedError
from plstm_graph.config.parser import make
from plstm_graph.text import meant

#: Options that the engine decides, and where to say what is meant by them.
_DECIDED = {
    **dict.fromkeys(("max_epochs", "min_epochs", "max_steps", "min_steps"), "training.epochs says how long"),
    **dict.fromkeys(
        ("max_time", "fast_dev_run", "overfit_batches", "limit_val_batches"), "training.epochs says how long"
    ),
    **dict.fromkeys(("gradient_clip_val", "gradient_clip_algorithm"), "training.clip is the largest norm"),
    **dict.fromkeys(("check_val_every_n_epoch", "val_check_interval"), "each epoch is validated"),
    **dict.fromkeys(("enable_checkpointing", "default_root_dir", "barebones"), "a trial is kept in its own folder"),
    **dict.fromkeys(
        ("use_distributed_sampler", "reload_dataloaders_every_n_epochs"), "loaders split batches themselves"
    ),
    "num_sanity_val_steps": "the first epoch is the first that counts",
}
#: Values that Lightning takes, and with which nothing is trained.
_POSITIVE = ("accumulate_grad_batches", "limit_train_batches")
#: Options that were found sound, plain values that stay what they are; to look at one takes tens of milliseconds.
_SOUND: set[tuple[str, Any, type]] = set()
_DEFAULTS: dict[str, Any] = {
    "devices": 1,
    "logger": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,
}
#: Options of which the numbers do not depend, but for rounding: a study may go on with others.
FREE = (
    *("accelerator", "devices", "num_nodes", "strategy", "logger", "profiler", "log_every_n_steps"),
    *("enable_model_summary", "enable_progress_bar", "benchmark", "deterministic", "detect_anomaly"),
)


def make_trainer(
    options: Mapping[str, Any], folder: Path, epochs: int, callbacks: Sequence[Callback], *plugins: Any
) -> pl.Trainer:
    """A trainer for one trial.

    Args:
        options: Plain values, as a configuration has them.
        folder: Of the trial.
        epochs: How many.
        callbacks: Of the engine; those of the options come before them.
        *plugins: Of the engine.

    Raises:
        ValueError: If an option is unknown, of another type, or one that the engine decides; or if they cannot be used
            together on this machine.
    """
    quiet()
    made = {name: _made(name, value) for name, value in options.items()}
    more = made.get("callbacks") or []
    given = made.get("plugins") or []
    made |= {
        "max_epochs": epochs,
        "enable_progress_bar": False,  # that of the study, of which this option decides
        "default_root_dir": folder,
        "callbacks": [*(more if isinstance(more, list) else [more]), *callbacks],
        "plugins": [*(given if isinstance(given, list) else [given]), *plugins],
    }
    try:
        return pl.Trainer(**_DEFAULTS | made)
    except Exception as error:  # Lightning raises whatever comes, also TypeError and exceptions of its own
        raise ValueError(f"these options of the trainer cannot be used here: {str(error).strip()}") from error


def check_trainer(options: Mapping[str, Any], workers: int) -> dict[str, Any]:
    """Check the options of a trainer before anything is written.

    Args:
        options: Plain values.
        workers: Trials that run at the same time.

    Returns:
        Those that decide the numbers of a trial.

    Raises:
        ValueError: As of :func:`make_trainer`; and if trials of several processes are to run side by side.
    """
    trainer = make_trainer(options, Path(), 1, [])
    if workers > 1 and trainer.world_size > 1:
        raise ValueError(
            f"{workers} trials cannot run at the same time if each takes {trainer.world_size} processes: give "
            "--workers 1, or one device"
        )
    return {name: value for name, value in options.items() if name not in FREE}


def is_first() -> bool:
    """Whether this process is the one that writes and speaks; others train with it."""
    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def quiet() -> None:
    """Keep Lightning's advertisements and hints to itself, in this process."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*Checkpoint directory .* exists and is not empty.*",
        r".*is smaller than the logging interval.*",
        r".*have overridden `on_before_batch_transfer` in `LightningModule`.*",
        # With half precision, norms keep weights in single precision, as they should.
        r".*Mismatch dtype between input and weight.*",
        # Lightning and PyG use what newer versions of torch deprecate.
        r".*torch\.jit.*",
        r".*LeafSpec.*is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _made(name: str, value: Any) -> Any:
    """The value of an option; callbacks, loggers and the like made of what names them."""
    if name in _DECIDED:
        raise ValueError(f"trainer.{name} is for the engine to decide: {_DECIDED[name]}")
    known = list(inspect.signature(pl.Trainer).parameters)
    if name not in known:
        raise ValueError(f"there is no option trainer.{name}{meant(name, known)}, of lightning.pytorch.Trainer")
    if name in _POSITIVE and not (isinstance(value, int | float) and value > 0):
        raise ValueError(f"trainer.{name} must be a positive number, got {value!r}")
    plain = isinstance(value, str | int | float)
    if plain and (name, value, type(value)) in _SOUND:
        return value
    try:
        found = make(
            lambda parser: parser.add_class_arguments(pl.Trainer, "made", instantiate=False, fail_untyped=False),
            {name: value},
            (*KINDS, *TRAINER_KINDS),
        )
    except NameNotAllowedError:
        raise
    except ValueError as error:
        why = " ".join(str(error).split())
        raise ValueError(f"trainer.{name} cannot be {value!r}: {why[:400]}") from error
    if plain and found[name] is value:
        _SOUND.add((name, value, type(value)))
    return found[name]
