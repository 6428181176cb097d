"""How Lightning reads and writes checkpoints here; apart, as `predict` reads them without Lightning."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.train.checkpoint import CheckpointError, read_checkpoint

#: What Lightning needs to go on.
_STATE = ("epoch", "global_step", "pytorch-lightning_version", "loops", "callbacks", "optimizer_states")


class SafeCheckpointIO(CheckpointIO):
    """Lightning's way to the disk: :func:`read_checkpoint` to load; to save, a temporary file that is then renamed.

    Lightning's own writes to the system's temporary folder and copies from there, which a kill can cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        replace_file(path, lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint; ``weights_only`` is always on, whatever is passed."""
        checkpoint = read_checkpoint(path, map_location or "cpu")
        missing = [name for name in _STATE if name not in checkpoint]
        if missing:
            raise CheckpointError(
                f"{path} holds a model, but not how far its training was ({missing[0]}): remove it to train anew"
            )
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint that a better one replaced, of a name that a resumed checkpoint may have given."""
        # Lightning takes names with ".." for such in the folder of the run.
        if Path(path).suffix == ".ckpt" and ".." not in Path(path).parts:
            Path(path).unlink(missing_ok=True)
