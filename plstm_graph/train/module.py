"""Training of any PyG model of graphs, nodes or edges by Lightning."""

import math
import os
import warnings
from typing import Any, cast, get_args

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Batch

from plstm_graph.tasks.forward import attach_line_graph, call_model, model_arguments
from plstm_graph.tasks.metrics import MONITOR, GraphMetrics, Task
from plstm_graph.tasks.scale import TargetScale, as_double, is_scale
from plstm_graph.train.checkpoint import KEY, CheckpointError, check_state, read_checkpoint
from plstm_graph.train.graph_data import GraphDataModule
from plstm_graph.train.optimizer import make_adamw, warmup_cosine
from plstm_graph.train.problem import ModelFactory, Problem
from plstm_graph.train.target_check import Checked, check_targets, misfit

# Where torch keeps what a module has beside parameters and buffers.
_EXTRA = "_extra_state"


def _make_whole(factory: Any) -> torch.nn.Module:
    """A model of a class with all its arguments, which a parser gives if the class did not take them: to see why."""
    try:
        model = factory()
    except TypeError as error:
        raise ValueError(f"the model has sizes that neither its arguments nor a problem say: {error}") from error
    except (LookupError, AttributeError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"model is no torch.nn.Module but a {type(model).__name__}")
    return model


class GraphModule(LightningModule):
    r"""Trains a model that gives one row per graph, node or edge, on targets some of which may be missing.

    The model is called with those of ``x, edge_index, edge_attr, batch, line_graph, batch_size`` that its ``forward``
    names, so an ordinary PyG model fits as well as :class:`plstm_graph.nn.PLSTM`. It must return ``[B, T]`` for ``B``
    graphs and ``T`` targets (``[N, T]`` for nodes, ``[E, T]`` for edges, by the rows of ``batch.y``).

    Regression minimises the squared error of standardised targets, each with mean and standard deviation of the
    training split, which are kept in the checkpoint; predictions are float64, in the unit of the data. Classification
    minimises the binary cross-entropy of each label, ``"multiclass"`` the cross-entropy of one label with as many
    columns as classes; predictions are probabilities. ``"sequence"`` is a class at each of ``L`` positions: targets
    ``[B, L]``, output ``[B, L, C]`` (:class:`~plstm_graph.nn.SequenceHead`), predictions the most probable classes.
    Missing targets (NaN) count for nothing. Under several processes the gradient is that of the mean over all measured
    targets of the global batch.

    The optimiser is AdamW without decay on biases, norms and other vectors, with a linear warm-up and a cosine decay
    over the whole training, step by step.

    Args:
        model (torch.nn.Module or callable): The graph model; or its class, with the arguments that ``problem`` does not
            decide.
        task (str, optional): ``"regression"``, ``"classification"`` with labels 0 and 1, ``"multiclass"`` with the
            number of the class in ``y``, or ``"sequence"`` with several of them.
            (default: that of ``problem``, else ``"regression"``)
        lr (float): Peak learning rate.
        weight_decay (float): Decay of weight matrices.
        warmup (float): Part of all steps over which the learning rate rises.
        final_lr (float): Learning rate at the end, as a part of the peak.
        unknown_words (float): Part of the words of a folder of DAGs that each training step takes for unknown ones, so
            that the embedding of those is trained too. Evaluation leaves all words as they are.
        problem (Problem, optional): What the data ask of the model; ``plstm-graph fit`` takes it from them.
    """

    def __init__(
        self,
        model: torch.nn.Module | ModelFactory,
        task: Task | None = None,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        warmup: float = 0.05,
        final_lr: float = 0.01,
        unknown_words: float = 0.02,
        problem: Problem | None = None,
    ) -> None:
        super().__init__()
        if task is None:
            task = "regression" if problem is None else problem.task
        if task not in get_args(Task):
            raise ValueError(f"task must be one of {', '.join(get_args(Task))}, got {task!r}")
        if not isinstance(model, torch.nn.Module):
            model = _make_whole(model) if problem is None else problem.make(model)
        positive = 0 < lr < math.inf and 0 <= weight_decay < math.inf  # which NaN is not
        if not positive or not 0 <= warmup < 1 or not 0 <= final_lr <= 1 or not 0 <= unknown_words < 1:
            raise ValueError(
                "lr must be positive, weight_decay at least 0, warmup and unknown_words in [0, 1) and final_lr in "
                f"[0, 1], got lr={lr}, weight_decay={weight_decay}, warmup={warmup}, unknown_words={unknown_words}, "
                f"final_lr={final_lr}"
            )
        self.model = model
        self.task: Task = task
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.final_lr = final_lr
        self.unknown_words = unknown_words
        self._problem = problem
        # What rebuilds model and data from plain values; written into every checkpoint.
        self.recipe: dict[str, Any] = {}
        self.valid_metrics = GraphMetrics(task)
        self.test_metrics = GraphMetrics(task)
        self.scale = TargetScale.identity()
        self._checked: Checked | None = None
        self._arguments = model_arguments(model)

    @property
    def monitor(self) -> tuple[str, str]:
        """Name of the validation metric that selects the best model, and ``"min"`` or ``"max"``.

        After :meth:`prepare_for`, the loss if the validation part does not define the metric of the task.
        """
        name, mode = MONITOR[self.task] if self._checked is None else self._checked.monitor
        return f"valid/{name}", mode

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | os.PathLike[str], map_location: Any = "cpu", **arguments: Any
    ) -> "GraphModule":
        """A module with the weights of a checkpoint. Lightning's own would import and call what the checkpoint names.

        Args:
            checkpoint_path: The checkpoint.
            map_location: Where tensors go, as in :func:`torch.load`.
            **arguments: Of the module.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is damaged, holds anything but tensors and plain values, or is of another model.
        """
        checkpoint = read_checkpoint(checkpoint_path, map_location)
        module = cls(**arguments)
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"])
        return module

    def forward(self, batch: Batch) -> Tensor:
        """The model's output for a batch: standardised values, or logits, ``[B, T]``."""
        output = call_model(self.model, batch, self._arguments)
        # Loss and metrics in full precision, whatever the model computes in.
        return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output

    @torch.no_grad()
    def dry_run(self, batch: Batch) -> None:
        """Run the model once: sets lazy parameters and finds a model that does not fit the data before training does.

        Args:
            batch: A few graphs with targets.

        Raises:
            ValueError: If the model does not give ``[B, T]``, or targets do not fit the task.
            FloatingPointError: If the loss is not finite.
        """
        training = self.training
        output = self.eval()(self.on_before_batch_transfer(batch, 0))
        self._check_finite(self._loss(output, batch.y)[0])
        self.train(training)

    def prepare_for(self, data: GraphDataModule) -> list[str]:
        """Check all targets of all parts, take the scale of those of training, and decide what selects epochs.

        Args:
            data: The data, which know their task.

        Returns:
            What the user should know of the targets.

        Raises:
            ValueError: If targets do not fit the task or the model; it names place and value.
        """
        batch = cast(Batch, Batch.from_data_list([data.subset("train")[0]]))
        classes = data.classes[0] if self.task == "multiclass" else []
        columns = self._count_columns(batch)
        if classes and columns != len(classes):
            shown = ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")
            raise ValueError(
                f"the model gives {columns} columns, but target {data.target_names[0]!r} has {len(classes)} classes "
                f"({shown}): out_channels={len(classes)} is needed"
            )
        self._checked = check_targets(data, self.task, columns)
        if self.task == "regression":
            self.standardise(data.train_targets)
        self.dry_run(batch)
        return self._checked.notes

    @torch.no_grad()
    def _count_columns(self, batch: Batch) -> int:
        training = self.training
        output = self.eval()(self.on_before_batch_transfer(batch, 0))
        self.train(training)
        return output.size(-1)

    def predict_batch(self, batch: Batch) -> Tensor:
        """Predictions for a batch: values in the unit of the data, or probabilities, ``[B, T]``."""
        return self._to_prediction(self(batch))

    def _to_prediction(self, output: Tensor) -> Tensor:
        if self.task == "sequence":
            return output.argmax(dim=-1)
        if self.task == "regression":
            return self.scale.restore(output)
        # In float32, probabilities of sure predictions would tie.
        output = as_double(output)
        return output.sigmoid() if self.task == "classification" else output.softmax(dim=-1)

    def standardise(self, targets: Tensor) -> None:
        """Take mean and standard deviation of each target from the training split.

        Args:
            targets: ``[n, T]``; NaN where none was measured.

        Raises:
            ValueError: If a target was never measured in the training split.
        """
        self.scale = TargetScale.fit(targets)

    def setup(self, stage: str) -> None:
        """Check the targets of the data module, and standardise them by its training split."""
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and isinstance(datamodule, GraphDataModule):
            if self._checked is None:
                for note in self.prepare_for(datamodule):
                    warnings.warn(note, stacklevel=2)
        elif stage == "fit" and self.task == "regression":
            if not hasattr(datamodule, "train_targets"):
                raise ValueError(
                    "GraphModule standardises targets by the training split: give the trainer a datamodule with a "
                    "`train_targets` attribute [n, T], such as MoleculeDataModule"
                )
            self.standardise(datamodule.train_targets)

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Build the batch's line graph on the CPU, once for all layers, so that the model's forward never waits."""
        return attach_line_graph(batch, self._arguments)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        if self._problem is not None and self._problem.has_unknown and self.unknown_words > 0:
            batch = self._problem.hide_words(batch, self.unknown_words)
        loss, count = self._loss(self(batch), batch.y)
        self._check_finite(loss)
        self._log_loss("train", loss, count)
        if self.trainer.world_size > 1:
            # DDP averages the gradients of the processes; this makes it the mean over all measured targets.
            count = self.trainer.strategy.reduce(count, reduce_op="mean")
        return loss / count.clamp(min=1e-12)  # a batch without any measured target has loss 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect predictions and log the loss."""
        self._evaluation_step(batch, self.valid_metrics, "valid")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect predictions and log the loss."""
        self._evaluation_step(batch, self.test_metrics, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Predictions for a batch, ``[B, T]``."""
        return self.predict_batch(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self._log_metrics(self.valid_metrics, "valid")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split."""
        self._log_metrics(self.test_metrics, "test")

    def _evaluation_step(self, batch: Batch, metrics: GraphMetrics, split: str) -> None:
        output = self(batch)
        loss, count = self._loss(output, batch.y)
        self._log_loss(split, loss, count)
        metrics.update(self._to_prediction(output), batch.y)

    def _log_loss(self, split: str, loss: Tensor, count: Tensor) -> None:
        """Log the loss so that its mean over the epoch is one over all measured targets."""
        mean, weight = loss.detach() / count.clamp(min=1), int(count)
        self.log(f"{split}/loss", mean, on_step=False, on_epoch=True, sync_dist=True, batch_size=weight)

    def _log_metrics(self, metrics: GraphMetrics, split: str) -> None:
        # Every process has the values of all; sync_dist only keeps Lightning from warning.
        self.log_dict({f"{split}/{name}": value for name, value in metrics.compute().items()}, sync_dist=True)
        metrics.reset()

    def _loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the loss over measured targets, and their number.

        Raises:
            ValueError: If the output has another shape than is needed, or a target does not fit the task.
        """
        if self.task == "multiclass":
            return self._multiclass_loss(output, target)
        if self.task == "sequence":
            if output.dim() < 3 or output.shape[-3:-1] != target.shape:
                raise ValueError(
                    f"the model gives {list(output.shape)} where the targets are {list(target.shape)}: scores "
                    "[B, L, C] are needed, see plstm_graph.nn.SequenceHead"
                )
            return self._multiclass_loss(output.flatten(-3, -2), target.reshape(-1, 1))
        self._check_targets(target, output)
        if output.shape[1:] == target.shape:
            # One prediction per member of an ensemble, [M, B, T]: each has a loss of its own.
            target = target.expand(output.shape)
        if output.shape != target.shape:
            raise ValueError(
                f"the model gives {list(output.shape)} where the targets are [B, T] = {list(target.shape)}: "
                f"a graph-level model with out_channels={target.size(-1)} is needed"
            )
        measured = target.isfinite().to(output.device)
        # Standardised before anything is rounded to the precision of the model.
        target = (self.scale.standardise(target) if self.task == "regression" else target).to(output)
        known = torch.where(measured, target, torch.zeros_like(target))
        if self.task == "classification":
            loss = F.binary_cross_entropy_with_logits(output, known, reduction="none")
        else:
            loss = (output - known).square()
        return torch.where(measured, loss, torch.zeros_like(loss)).sum(), measured.sum().to(loss.dtype)

    def _multiclass_loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of ``[n, C]``, or ``[M, n, C]`` of an ensemble, with the numbers of classes ``[n, 1]``."""
        if output.shape[-2:-1] != target.shape[:1] or target.shape[1:] != (1,):
            raise ValueError(
                f"the model gives {list(output.shape)} where the targets are {list(target.shape)}: "
                "one row per target and one column per class are needed"
            )
        self._check_targets(target, output)
        target = target[:, 0].expand(output.shape[:-1]).reshape(-1)
        measured = target.isfinite()
        known = torch.where(measured, target, torch.full_like(target, -1)).long()
        loss = F.cross_entropy(output.reshape(-1, output.size(-1)), known, ignore_index=-1, reduction="sum")
        return loss, measured.sum().to(loss.dtype)

    def _check_targets(self, target: Tensor, output: Tensor) -> None:
        found = misfit(target, self.task, output.size(-1))
        if found is not None:
            row, column, reason = found
            raise ValueError(f"target {column} of row {row} of a batch is {reason}")

    def _check_finite(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} in epoch {self.current_epoch}, step {self.global_step}. The weights were "
                "not updated with it and the last checkpoint is intact; a lower lr or gradient_clip_val may help"
            )

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay."""
        optimizer = make_adamw(self.model, self.lr, self.weight_decay)
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ValueError("the cosine schedule needs an end: set trainer.max_epochs")
        schedule = warmup_cosine(optimizer, int(steps), self.warmup, self.final_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilds model and data."""
        checkpoint[KEY] = self.recipe

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the checkpoint belongs to this model, before anything of it is used."""
        state = dict(checkpoint["state_dict"])
        scale = state.pop(_EXTRA, None)
        if not is_scale(scale):
            raise CheckpointError(
                "the checkpoint does not have mean and standard deviation of the targets in float64: it was written by "
                "an earlier version of plstm_graph, and the model has to be trained anew"
            )
        expected = self.state_dict()
        del expected[_EXTRA]
        check_state(expected, state)

    def get_extra_state(self) -> dict[str, list[float]]:
        """Mean and standard deviation of the targets, which no cast to another precision reaches."""
        return self.scale.to_plain()

    def set_extra_state(self, state: dict[str, list[float]]) -> None:
        """Take mean and standard deviation of a checkpoint.

        Raises:
            CheckpointError: If they are no such numbers.
        """
        if not is_scale(state):
            raise CheckpointError("mean and standard deviation of the targets are no lists of numbers")
        self.scale = TargetScale.of_plain(state)
