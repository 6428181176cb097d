"""One seed of a benchmark run: train, pick the epoch by validation, test once; goes on where it stopped."""

import json
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric import seed_everything
from torch_geometric.data import Batch, Data

from plstm_graph.datasets.benchmark import Benchmark, load_benchmark
from plstm_graph.datasets.storage.files import replace_file, replace_json
from plstm_graph.train import command_parser
from plstm_graph.train.command_parser import make_transform
from plstm_graph.train.epoch_log import EpochLog
from plstm_graph.train.forward import Arguments, attach_line_graph, model_arguments
from plstm_graph.train.inference import pick_device
from plstm_graph.train.loop import train_epochs
from plstm_graph.train.losses import class_loss
from plstm_graph.train.module import GraphModule
from plstm_graph.train.optimizer import make_adamw, warmup_cosine
from plstm_graph.train.options import Training
from plstm_graph.train.sampler import EpochBatchSampler
from plstm_graph.train.selection import BestEpoch, Row

_EVALUATION_BATCH = 256


def benchmark_of(data: dict[str, Any]) -> Benchmark:
    """The benchmark of the plain section ``data`` of a configuration."""
    return load_benchmark(**(data | {"pre_transform": make_transform(data.get("pre_transform"))}))


def make_module(model: dict[str, Any], benchmark: Benchmark) -> GraphModule:
    """A new model that fits a benchmark, with the scale of the training targets.

    Args:
        model: Plain section ``model`` of a configuration: ``class_path`` and ``init_args``.
        benchmark: What it is for.

    Raises:
        ValueError: If the model cannot be made, or does not give one column per target.
    """
    try:
        made = command_parser.make_module(model)
    except ValueError as error:
        raise ValueError(f"the model cannot be made: {error}") from error
    module = GraphModule(made, benchmark.task)
    if benchmark.task == "regression":
        module.standardise(benchmark.parts["train"].y)
    train = benchmark.parts["train"]
    module.dry_run(_collate([train[number] for number in range(min(2, len(train)))]))
    return module


def run_seed(config: dict[str, Any], seed: int, folder: Path, report: Callable[[Row], None]) -> dict[str, Any]:
    """Train and test with one seed, or go on with a training that was interrupted.

    Args:
        config: Plain configuration with the sections ``data``, ``model`` and ``training``, ``device``,
            ``compile`` (whether training steps are compiled), and ``revision`` of the code, for the record.
        seed: Of weights, order of graphs and dropout.
        folder: Folder of this seed: ``epochs.jsonl`` (a line per epoch), ``state.pt`` (to go on from, until finished),
            ``best.pt`` (weights of the epoch that validation picked) and ``result.json`` (once finished).
        report: Called with the metrics of each epoch, from the first.

    Returns:
        What ``result.json`` says. A finished seed is not run again.

    Raises:
        ValueError: If the model does not fit the data.
        FloatingPointError: If the loss is not finite.
    """
    if (folder / "result.json").is_file():
        (folder / "state.pt").unlink(missing_ok=True)  # if it was killed at the very end
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    benchmark, training = benchmark_of(config["data"]), Training(**config["training"])
    seed_everything(seed)
    module = make_module(config["model"], benchmark).to(pick_device(config["device"]))
    arguments = model_arguments(module.model)
    parts = {name: list(part) for name, part in benchmark.parts.items()}
    sampler = EpochBatchSampler(len(parts["train"]), training.batch_size, shuffle=True, seed=seed)
    optimizer = make_adamw(module.model, training.lr, training.weight_decay, fused=True)
    scheduler = warmup_cosine(
        optimizer, training.epochs * len(_epoch_batches(sampler)), training.warmup, training.final_lr
    )
    # Structure included, validation batches are the same in every epoch.
    valid_batches = list(_batches(parts["valid"], _EVALUATION_BATCH, arguments, module.device))

    def train_batches(epoch: int) -> Iterator[Batch]:
        sampler.set_epoch(epoch)
        for rows in _epoch_batches(sampler):
            batch = attach_line_graph(_collate([parts["train"][row] for row in rows]), arguments)
            yield batch.to(module.device)

    def validate(model: nn.Module) -> Row:
        # The whole model, or a member of an ensemble, with the module's scale of targets.
        whole, module.model = module.model, model
        try:
            return {f"valid/{benchmark.metric}": _score(module.eval(), valid_batches, benchmark)}
        finally:
            module.model = whole

    log = EpochLog(folder, report, seed=seed)
    best = train_epochs(
        module.model,
        optimizer,
        scheduler,
        train_batches,
        lambda output, target: _loss(output, target, module, benchmark),
        training.epochs,
        validate,
        {f"valid/{benchmark.metric}": benchmark.mode},
        seed=seed,
        clip=training.clip,
        average_steps=training.average * len(_epoch_batches(sampler)),
        patience=training.patience,
        compiled=config.get("compile", False),
        on_epoch=log,
        checkpoint=folder / "state.pt",
    )
    module.model.load_state_dict(best.state_dict)
    replace_file(folder / "best.pt", lambda path: torch.save(module.state_dict(), path))
    test_batches = _batches(parts["test"], _EVALUATION_BATCH, arguments, module.device)
    result = _result(seed, module, best, log, _score(module.eval(), test_batches, benchmark), benchmark)
    result["revision"] = config.get("revision")
    replace_json(folder / "result.json", result)
    (folder / "state.pt").unlink(missing_ok=True)
    return result


def _result(
    seed: int, module: GraphModule, best: BestEpoch, log: EpochLog, test: float, benchmark: Benchmark
) -> dict[str, Any]:
    # ru_maxrss counts KiB on Linux and bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "seed": seed,
        "metric": benchmark.metric,
        "test": test,
        "valid": best.row[f"valid/{benchmark.metric}"],
        "best_epoch": best.epoch + 1,
        "epochs": len(log.rows),
        "seconds": log.seconds,
        "parameters": sum(parameter.numel() for parameter in module.model.parameters()),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit),
    }


def _loss(output: Tensor, target: Tensor, module: GraphModule, benchmark: Benchmark) -> Tensor:
    """Mean over known targets of the cross-entropy, or of the error that the metric measures, standardised."""
    if benchmark.task == "sequence":
        return class_loss(output, target.long())
    if benchmark.task == "regression":
        target = module.scale.standardise(target)
    target = target.to(output).expand(output.shape)  # [B, T], or [M, B, T] for an ensemble
    known = target.isfinite()
    if benchmark.task == "classification":
        return F.binary_cross_entropy_with_logits(output[known], target[known])
    loss = F.l1_loss if benchmark.metric == "mae" else F.mse_loss
    return loss(output[known], target[known])


@torch.no_grad()
def _score(module: GraphModule, batches: Iterator[Batch] | Sequence[Batch], benchmark: Benchmark) -> float:
    predictions, targets = [], []
    for batch in batches:
        # Not probabilities: in float32 those of sure predictions would tie.
        predictions.append(module(batch) if benchmark.task == "classification" else module.predict_batch(batch))
        targets.append(batch[benchmark.evaluated])
    return benchmark.evaluate(torch.cat(targets), torch.cat(predictions))


def _batches(graphs: Sequence[Data], size: int, arguments: Arguments, device: torch.device) -> Iterator[Batch]:
    for start in range(0, len(graphs), size):
        yield attach_line_graph(_collate(graphs[start : start + size]), arguments).to(device)


def _epoch_batches(sampler: EpochBatchSampler) -> list[list[int]]:
    """Rows of each batch; a single graph at the end, which batch norm over graphs cannot take, joins those before."""
    batches = list(sampler)
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [batches[-2] + batches[-1]]
    return batches


def _collate(graphs: Sequence[Data]) -> Batch:
    batch = Batch.from_data_list(list(graphs))
    batch.y = batch.y.float()  # OGB stores labels as integers where none is missing
    return batch
