"""One training of a model on a task of DAGs, resumed per epoch, and its tests."""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric import seed_everything
from torch_geometric.data import Batch, Data

from plstm_graph.datasets.storage.files import replace_file, replace_json
from plstm_graph.train.checkpoint import load_weights
from plstm_graph.train.dag_tasks.task import DAGTask
from plstm_graph.train.epoch_log import EpochLog
from plstm_graph.train.forward import Arguments, attach_line_graph, call_model, model_arguments
from plstm_graph.train.loop import train_epochs
from plstm_graph.train.optimizer import make_adamw, warmup_cosine
from plstm_graph.train.options import Training
from plstm_graph.train.registry import resolve
from plstm_graph.train.sampler import EpochBatchSampler
from plstm_graph.train.selection import Row


def make_model(spec: dict[str, Any], task: DAGTask) -> nn.Module:
    """A new model that fits a task.

    Args:
        spec: ``class_path`` and perhaps ``init_args``.
        task: Decides the sizes of inputs and outputs.

    Raises:
        ValueError: If there is no such class, or its arguments do not fit.
    """
    name, arguments = spec.get("class_path"), spec.get("init_args") or {}
    make = resolve(name)
    try:
        return make(task.out_channels, task.in_channels, task.edge_dim, predict=task.predict, **arguments)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made with {arguments}: {error}") from error


def count_parameters(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def run_training(
    task: DAGTask,
    spec: dict[str, Any],
    training: Training,
    lr: float,
    seed: int,
    folder: Path,
    report: Callable[[Row], None],
    device: torch.device,
) -> dict[str, Any]:
    """Train with one learning rate and seed, or go on with a training that was interrupted.

    Graphs of about the same size are put into batches once, by the seed; epochs differ in the order of the batches. So
    whatever a model works out of the structure, it works out once, and nothing waits for the deepest of many graphs.

    Args:
        task: What to learn.
        spec: Of the model, see :func:`make_model`.
        training: How; its learning rate is not used.
        lr: Peak learning rate.
        seed: Of weights, batches and dropout.
        folder: Gets ``epochs.jsonl``, ``best.pt`` (weights of the epoch that validation picked) and ``result.json``.
        report: Called with the metrics of each epoch.
        device: Where.

    Returns:
        What ``result.json`` says: validation metrics of the selected epoch, sizes and times. A finished
        training is not run again.

    Raises:
        ValueError: If the model does not fit the task.
        FloatingPointError: If the loss is not finite.
    """
    if (folder / "result.json").is_file():
        (folder / "state.pt").unlink(missing_ok=True)  # if it was killed at the very end
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    training = replace(training, lr=lr)
    seed_everything(seed)
    model = make_model(spec, task).to(device)
    arguments = model_arguments(model)
    started = time.perf_counter()
    order = torch.randperm(len(task.parts["train"]), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = sorted((task.parts["train"][row] for row in order), key=lambda graph: graph.num_nodes)
    train = list(_batches(shuffled, training.batch_size, arguments, device))
    valid = list(_batches(task.parts["valid"], training.batch_size, arguments, device))
    prepared = time.perf_counter() - started
    sampler = EpochBatchSampler(len(train), 1, shuffle=True, seed=seed)
    optimizer = make_adamw(model, lr, training.weight_decay, fused=True)
    scheduler = warmup_cosine(optimizer, training.epochs * len(train), training.warmup, training.final_lr)

    def train_batches(epoch: int) -> Iterator[Batch]:
        sampler.set_epoch(epoch)
        return (train[row] for (row,) in sampler)

    def validate(model: nn.Module) -> Row:
        return {f"valid/{name}": value for name, value in score(model, valid, task).items()}

    log = EpochLog(folder, report)
    best = train_epochs(
        model,
        optimizer,
        scheduler,
        train_batches,
        task.loss_of,
        training.epochs,
        validate,
        {f"valid/{name}": mode for name, mode in task.monitor.items()},
        seed=seed,
        clip=training.clip,
        average_steps=training.average * len(train),
        patience=training.patience,
        on_epoch=log,
        checkpoint=folder / "state.pt",
    )
    model.load_state_dict(best.state_dict)
    replace_file(folder / "best.pt", lambda path: torch.save(best.state_dict, path))
    result = {
        "seed": seed,
        "lr": lr,
        "target": None if task.target is None else task.target.kind,
        "parameters": count_parameters(model),
        "epoch": best.epoch + 1,
        "epochs": len(log.rows),
        "seconds": log.seconds,
        "seconds_per_epoch": statistics.median(row["seconds"] for row in log.rows),
        "seconds_of_structure": prepared,
        "valid": {name.removeprefix("valid/"): best.row[name] for name in best.row if name.startswith("valid/")},
    }
    replace_json(folder / "result.json", result)
    (folder / "state.pt").unlink(missing_ok=True)
    return result


def evaluate_training(
    task: DAGTask, spec: dict[str, Any], training: Training, folder: Path, device: torch.device
) -> dict[str, Row]:
    """Metrics of a finished training on every test of the task; tests that were made already are read.

    Args:
        task: The task.
        spec: Of the model; ``skip_tests`` names tests that are left out, for what a model cannot hold.
        training: For the size of batches.
        folder: Of the training, with ``best.pt``; gets ``tests.json``, and the pictures that the task draws of tests.
        device: Where.
    """
    path = folder / "tests.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    model = make_model(spec, task).to(device)
    load_weights(model, folder / "best.pt", device, f"remove the folder {folder} to train it anew")
    model.eval()
    names = [name for name in task.parts if name.startswith("test") and name not in (spec.get("skip_tests") or ())]
    # Graphs of tests may be far larger than those of training; then fewer fit into a batch.
    room = training.batch_size * max(graph.num_nodes for graph in task.parts["train"])
    tests, outputs = {}, {}
    for name in names:
        started, graphs = time.perf_counter(), task.parts[name]
        size = max(1, room // max(graph.num_nodes for graph in graphs))
        output, columns = outputs_of(model, _batches(graphs, size, model_arguments(model), device), task)
        row = task.score(output, **columns) | graph_scores(output, graphs, task)
        tests[name] = row | {"seconds": time.perf_counter() - started}
        outputs[name] = task.restore(output)
    for picture, figure in ({} if task.draw is None else task.draw(outputs)).items():
        replace_file(folder / picture, partial(figure.savefig, format="png", dpi=130))
    replace_json(path, tests)
    return tests


def score(model: nn.Module, batches: Iterable[Batch], task: DAGTask) -> Row:
    """Metrics of a model over batches prepared by :func:`~plstm_graph.train.forward.attach_line_graph`."""
    output, columns = outputs_of(model, batches, task)
    return task.score(output, **columns)


@torch.no_grad()
def outputs_of(model: nn.Module, batches: Iterable[Batch], task: DAGTask) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of a model on the scale that it learns, and the columns that metrics are given."""
    arguments = model_arguments(model)
    outputs: list[Tensor] = []
    columns: dict[str, list[Tensor]] = {name: [] for name in task.columns}
    for batch in batches:
        outputs.append(call_model(model, batch, arguments))
        for name, found in columns.items():
            found.append(batch[name])
    return torch.cat(outputs), {name: torch.cat(found) for name, found in columns.items()}


def graph_scores(outputs: Tensor, graphs: Sequence[Data], task: DAGTask) -> Row:
    """Means over graphs of what a task measures graph by graph."""
    if task.graph_metrics is None:
        return {}
    sizes = [graph.num_nodes if task.predict == "node" else 1 for graph in graphs]
    parts = task.restore(outputs).cpu().split(sizes)
    rows = [task.graph_metrics(part, graph) for part, graph in zip(parts, graphs, strict=True)]
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def _batches(graphs: Sequence[Data], size: int, arguments: Arguments, device: torch.device) -> Iterator[Batch]:
    for start in range(0, len(graphs), size):
        yield attach_line_graph(Batch.from_data_list(list(graphs[start : start + size])), arguments).to(device)
