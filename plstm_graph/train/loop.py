"""A compact training loop for many short trainings: seeds of a run on images."""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch_geometric import seed_everything
from torch_geometric.data import Batch

from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.datasets.storage.tensor_files import load_tensors
from plstm_graph.tasks.forward import call_model, model_arguments
from plstm_graph.tasks.rows import Direction, Row
from plstm_graph.train.averaging import WeightAverage
from plstm_graph.train.selection import BestEpoch, Selection

#: What commands say of ``--compile``.
COMPILE_HELP = (
    "Compile the training step (torch.compile; needs a C++ compiler). That takes some minutes at first, less where its "
    "cache is warm; it pays for long trainings on small graphs. Results differ by rounding."
)


def train_epochs(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler,
    train_batches: Callable[[int], Iterable[Batch]],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    epochs: int,
    evaluate: Callable[[nn.Module], Row],
    monitor: dict[str, Direction],
    *,
    seed: int = 0,
    clip: float = 1.0,
    average_steps: float = 0.0,
    patience: int | None = None,
    compiled: bool = False,
    train_metrics: Callable[[Tensor, Tensor], Row] | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    checkpoint: Path | None = None,
) -> BestEpoch:
    """Train a model and keep the weights of the epoch that validation likes best; of an ensemble, member by member.

    Random generators are seeded anew in each epoch, by ``seed`` and epoch, so a training that is resumed from its
    checkpoint goes on as if it had never stopped, provided that ``train_batches`` depends on the epoch alone.

    Args:
        model: A graph-level model, on its device.
        optimizer: Of the model's parameters.
        scheduler: Stepped after each step of the optimiser.
        train_batches: Batches of an epoch, on the model's device, prepared by
            :func:`~plstm_graph.tasks.forward.attach_line_graph`.
        loss_fn: Mean loss of output ``[B, T]`` and target ``batch.y``.
        epochs: Number of epochs.
        evaluate: Validation metrics of the model, or of one member of an ensemble, which is in evaluation mode and
            without gradients.
        monitor: Metrics that select the epoch, and whether more or less is better, see
            :class:`~plstm_graph.train.selection.Selection`.
        seed: Of dropout and anything else that is random within an epoch.
        clip: Largest norm of the gradient.
        average_steps: Evaluate, and keep, weights averaged over about this many steps, see
            :class:`~plstm_graph.train.averaging.WeightAverage`; 0 for those of the last step.
        patience: Stop after this many epochs without a better one. (default: never)
        compiled: Run training steps through :func:`torch.compile`, see :data:`COMPILE_HELP`.
        train_metrics: Metrics of an epoch's outputs and targets as they were in training, both concatenated.
        on_epoch: Called with the metrics of each epoch that is trained here, and once with each epoch that a resumed
            training had before, so that it always sees all epochs in order.
        checkpoint: Where the state after each epoch is stored, to resume from; removed by nobody but the caller.

    Returns:
        The selected epoch. The model itself has the weights of the last one.

    Raises:
        FloatingPointError: If the loss is not finite; the weights were not updated with it.
    """
    arguments = model_arguments(model)
    # Batches differ in size: without dynamic shapes each would be compiled anew.
    step_model = cast(nn.Module, torch.compile(model, dynamic=True)) if compiled else model
    rows: list[Row] = []
    selection = Selection(model, monitor)
    average = WeightAverage(model, average_steps) if average_steps else None
    if checkpoint is not None and checkpoint.is_file():
        rows = _restore(checkpoint, model, optimizer, scheduler, average, selection)
        if on_epoch is not None:
            for earlier in rows:
                on_epoch(earlier)
    for epoch in range(len(rows), epochs):
        if patience is not None and selection.epoch is not None and epoch - 1 - selection.epoch >= patience:
            break
        seed_everything((seed * 1_000_003 + epoch) % 2**32)
        started = time.perf_counter()
        row: Row = {"epoch": epoch, "lr": optimizer.param_groups[0]["lr"]}
        total, graphs = 0.0, 0
        outputs, targets = [], []
        model.train()
        for batch in train_batches(epoch):
            output = call_model(step_model, batch, arguments)
            loss = loss_fn(output, batch.y)
            value = loss.item()
            if not abs(value) < float("inf"):
                raise FloatingPointError(f"the loss is {value} in epoch {epoch + 1}; a lower learning rate may help")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip, foreach=True)
            optimizer.step()
            scheduler.step()
            if average is not None:
                average.update(model)
            total, graphs = total + value * batch.num_graphs, graphs + batch.num_graphs
            if train_metrics is not None:
                outputs.append(output.detach())
                targets.append(batch.y)
        row["train/loss"] = total / max(graphs, 1)
        if train_metrics is not None and outputs:
            metrics = train_metrics(torch.cat(outputs, dim=-2), torch.cat(targets))
            row |= {f"train/{name}": value for name, value in metrics.items()}
        model.eval()
        with nullcontext() if average is None else average.applied(model):
            with torch.no_grad():
                row |= selection.update(epoch, [evaluate(member) for member in selection.members])
        row["seconds"] = time.perf_counter() - started
        rows.append(row)
        if checkpoint is not None:
            _save(checkpoint, model, optimizer, scheduler, rows, average, selection)
        if on_epoch is not None:
            on_epoch(row)
    with torch.no_grad():
        best = _chosen(selection, evaluate)
    best.row = rows[best.epoch] | best.row
    return best


def _chosen(selection: Selection, evaluate: Callable[[nn.Module], Row]) -> BestEpoch:
    """What was kept; of an ensemble, put together and evaluated as a whole. The model's own weights stay."""
    model = selection.model
    own = {name: value.clone() for name, value in model.state_dict().items()}
    selection.load_best()
    if len(selection.best) == 1:
        best = selection.best[0]
    else:
        state = {name: value.clone() for name, value in model.state_dict().items()}
        best = BestEpoch(max(each.epoch for each in selection.best), evaluate(model.eval()), state)
    model.load_state_dict(own)
    return best


def _save(
    path: Path,
    model: nn.Module,
    optimizer: Any,
    scheduler: Any,
    rows: list[Row],
    average: WeightAverage | None,
    selection: Selection,
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "average": None if average is None else average.averaged.state_dict(),
        "rows": rows,
        "selection": selection.state_dict(),
    }
    replace_file(path, lambda unfinished: torch.save(state, unfinished))


def _restore(
    path: Path,
    model: nn.Module,
    optimizer: Any,
    scheduler: Any,
    average: WeightAverage | None,
    selection: Selection,
) -> list[Row]:
    device = next(model.parameters()).device
    remedy = "remove it to begin this training anew"
    state = load_tensors(path, remedy, device)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        if average is not None:
            average.averaged.load_state_dict(state["average"])
        selection.load_state_dict(state["selection"])
        return state["rows"]
    # Each takes what it gets for its own state, so that of another training raises anything.
    except Exception as error:
        raise ValueError(f"{path} is the state of another training ({error}); {remedy}") from error
