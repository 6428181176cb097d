"""How a model is trained."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass
class Training:
    """How a model is trained.

    Args:
        epochs: Number of epochs.
        batch_size: Samples per step, over all processes.
        lr: Peak learning rate of AdamW.
        weight_decay: Decay of weight matrices.
        warmup_fraction: Fraction of all steps over which the learning rate rises; then it falls along a cosine.
        final_lr: Learning rate at the end, as a fraction of the peak.
        clip: Largest norm of the gradient.
        average: Evaluate, and keep, weights averaged over about this many epochs; 0 for those of the last step.
        keep: Weights that are tested: of the ``"best"`` epoch in validation, or of the ``"last"``.
        patience: Stop after this many epochs without a better validation metric; null for never.
        members: Train this many networks side by side on the same batches; their mean is the prediction, see
            :class:`~plstm_graph.nn.Ensemble`.
        compile: Compile the training step (torch.compile; needs a C++ compiler). That takes some minutes at first; it
            pays for long trainings on small graphs. Results differ by rounding.
        workers: Processes that load batches; 0 is fastest for samples in memory on a CPU.
        freeze: Of a network that begins from a checkpoint (--init_from), what stays as it was there: ``"encoder"``, all
            that makes the embeddings of nodes; ``"all_but_head"``, also what pools and widens them; ``"none"``.
        freeze_epochs: For how many epochs. (default: all)
        encoder_lr: Peak learning rate of what the checkpoint brought, but for the head. (default: that of the rest)
    """

    epochs: int = 100
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup_fraction: float = 0.05
    final_lr: float = 0.01
    clip: float = 1.0
    average: float = 0.0
    keep: Literal["best", "last"] = "best"
    patience: int | None = None
    members: int = 1
    compile: bool = False
    workers: int = 0
    freeze: Literal["none", "encoder", "all_but_head"] = "none"
    freeze_epochs: int | None = None
    encoder_lr: float | None = None

    @property
    def needs_start(self) -> bool:
        """Whether options are of what a checkpoint brought."""
        return self.freeze != "none" or self.encoder_lr is not None

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.members) < 1 or self.workers < 0:
            raise ValueError(
                "epochs, batch_size and members must be at least 1 and workers at least 0, got "
                f"epochs={self.epochs}, batch_size={self.batch_size}, members={self.members}, workers={self.workers}"
            )
        # Comparisons that NaN does not pass.
        if not (0 < self.lr < math.inf and 0 < self.clip < math.inf and 0 <= self.average < math.inf):
            raise ValueError(
                f"lr and clip must be positive and average not negative, got lr={self.lr}, clip={self.clip}, "
                f"average={self.average}"
            )
        if not (0 <= self.warmup_fraction < 1 and 0 <= self.final_lr <= 1 and 0 <= self.weight_decay < math.inf):
            raise ValueError(
                "warmup_fraction must be in [0, 1), final_lr in [0, 1] and weight_decay at least 0, got "
                f"warmup_fraction={self.warmup_fraction}, final_lr={self.final_lr}, weight_decay={self.weight_decay}"
            )
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, or null for never, got {self.patience}")
        if self.keep not in ("best", "last"):
            raise ValueError(f"keep must be 'best' or 'last', got {self.keep!r}")
        if self.patience is not None and self.keep == "last":
            raise ValueError("patience needs keep='best': it waits for a better epoch, and the last is kept anyway")
        if self.freeze not in ("none", "encoder", "all_but_head"):
            raise ValueError(f"freeze must be 'none', 'encoder' or 'all_but_head', got {self.freeze!r}")
        if self.freeze_epochs is not None and (self.freeze_epochs < 1 or self.freeze == "none"):
            raise ValueError(
                "freeze_epochs must be at least 1, or null for all epochs, and needs freeze, got "
                f"freeze_epochs={self.freeze_epochs}, freeze={self.freeze!r}"
            )
        if self.encoder_lr is not None and not 0 < self.encoder_lr < math.inf:
            raise ValueError(f"encoder_lr must be positive, or null for lr, got {self.encoder_lr}")
