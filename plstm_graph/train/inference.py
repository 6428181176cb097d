"""Predictions of a trained model, without a trainer."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform

from plstm_graph.config.parser import make, make_transform
from plstm_graph.datasets.storage.plain_values import check_plain
from plstm_graph.train.checkpoint import KEY, CheckpointError, read_checkpoint
from plstm_graph.train.module import GraphModule

_FORMAT = 1

MOLECULES = "plstm_graph.train.MoleculeDataModule"
DAGS = "plstm_graph.train.DAGDataModule"

# Nodes of a batch of predictions, so that one of large graphs does not fill the memory.
_MAX_NODES = 100_000

#: Numbers up to which no model takes long to make.
_SMALL = 1000


def make_recipe(
    model: dict[str, Any],
    data: dict[str, Any],
    target_names: list[str],
    data_class: str = MOLECULES,
    reading: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What a checkpoint needs so that it can be used without its configuration file.

    Args:
        model: Arguments of :class:`GraphModule`, as plain values.
        data: Arguments of the data module, as plain values.
        target_names: Names of the targets.
        data_class: Class of the data module.
        reading: Its :attr:`~plstm_graph.train.GraphDataModule.reading`.
    """
    return {
        "format": _FORMAT,
        "model": model,
        "data": data,
        "data_class": data_class,
        "target_names": target_names,
        "reading": reading or {},
    }


def load_module(path: str | os.PathLike[str]) -> GraphModule:
    """The trained model of a checkpoint that ``plstm-graph fit`` wrote, on the CPU and in evaluation mode.

    No code of the checkpoint runs, and only modules and transforms of :mod:`~plstm_graph.config.names` are made;
    :func:`~plstm_graph.config.names.allow_names` lets it name a model of your own.

    Args:
        path: The checkpoint.

    Returns:
        The model; its ``recipe`` tells how its data were prepared.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is no such checkpoint, is damaged, or does not fit the classes it names.
    """
    checkpoint = read_checkpoint(path)
    recipe = checkpoint[KEY]
    _check_recipe(path, recipe)
    _check_sizes(path, recipe["model"].get("model"), checkpoint["state_dict"])
    try:
        module = make(lambda parser: parser.add_class_arguments(GraphModule, "made"), recipe["model"])
    except ValueError as error:
        raise CheckpointError(f"the model of {path} cannot be made: {error}") from error
    check_fits(module, checkpoint, path)
    module.load_state_dict(checkpoint["state_dict"])
    module.recipe = recipe
    return module.eval()


def _check_recipe(path: str | os.PathLike[str], recipe: Any) -> None:
    """Check that a checkpoint says what the commands ask of it, in plain values."""
    if not isinstance(recipe, dict) or recipe.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} has no recipe of format {_FORMAT} for its model: it was written by another version, or by a "
            "trainer in Python. Use GraphModule.load_from_checkpoint(path, model=...) for the latter"
        )
    kinds = {"model": dict, "data": dict, "target_names": list, "data_class": str, "reading": dict}
    missing = [name for name in ("model", "data", "target_names") if name not in recipe]
    wrong = [name for name, kind in kinds.items() if name in recipe and not isinstance(recipe[name], kind)]
    if missing or wrong:
        reason = f"lacks {missing[0]}" if missing else f"has something else for {wrong[0]}"
        raise CheckpointError(f"the recipe of {path} {reason}")
    if not all(isinstance(name, str) for name in recipe["target_names"]):
        raise CheckpointError(f"the recipe of {path} has targets without a name")
    classes = recipe.get("reading", {}).get("classes", [])
    of_targets = classes if isinstance(classes, list) else [None]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in of_targets):
        raise CheckpointError(f"the recipe of {path} has classes that are no names")
    try:
        check_plain(recipe)
    except ValueError as error:
        raise CheckpointError(f"the recipe of {path} is not plain: {error}") from error


def _check_sizes(path: str | os.PathLike[str], model: Any, state: dict[str, Any]) -> None:
    """Refuse a model that is larger than its weights, before it is made: it would take all memory, or forever.

    Every size of a model (layers, channels, heads, categories) and ratio of widths shows in the number of its weights.
    """
    numbers = sum(tensor.numel() for tensor in state.values() if isinstance(tensor, Tensor))
    for name, value in _numbers(model, "model"):
        if abs(value) > max(numbers, _SMALL):
            raise CheckpointError(f"{path} holds {numbers:,} numbers, too few for a model of {name} = {value}")


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """All numbers within plain values, with the names under which they stand."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each, name)
    elif isinstance(value, int | float):
        yield name, value


def check_fits(module: GraphModule, checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Check that a checkpoint belongs to a model.

    Args:
        module: The model.
        checkpoint: What was read from ``path``.
        path: For the message.

    Raises:
        CheckpointError: If it belongs to another model; it names the parameters that differ.
    """
    try:
        module.on_load_checkpoint(checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def load_transform(recipe: dict[str, Any], default: BaseTransform) -> Callable[[Data], Data]:
    """The pre-transform of a model's training data.

    Args:
        recipe: As :func:`make_recipe` makes it.
        default: That of recipes without one.

    Returns:
        The transform, which raises a :class:`CheckpointError` for graphs that it cannot be applied to.
    """
    try:
        transform = make_transform(recipe["data"].get("pre_transform"))
    except ValueError as error:
        raise CheckpointError(f"the pre-transform of the checkpoint cannot be made: {error}") from error
    if transform is None:
        return default

    def apply(data: Data) -> Data:
        try:
            return transform(data)
        except (TypeError, RuntimeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
            name, kind = type(transform).__name__, type(error).__name__
            raise CheckpointError(
                f"the pre-transform {name} of the checkpoint cannot be applied to these graphs: {kind}: {error}"
            ) from error

    return apply


def pick_device(name: str) -> torch.device:
    """The device of a name; ``"auto"`` is the accelerator that is there, else the CPU.

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        torch.ones(1, device=name).item()  # which devices without data, such as meta, cannot give
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used: {str(error).splitlines()[0][:200]}") from error
    return torch.device(name)


@torch.no_grad()
def predict(module: GraphModule, graphs: Sequence[Data], batch_size: int = 256) -> Tensor:
    """Predictions for graphs, in their order, on the device of the model.

    Args:
        module: A trained model.
        graphs: Prepared as in training.
        batch_size: Graphs per batch; fewer of large ones.

    Returns:
        ``[n, T]``, on the CPU: values in the unit of the data, or probabilities.
    """
    module.eval()
    parts = []
    for part in _parts(graphs, batch_size):
        parts.append(module.predict_batch(collate(module, part)).to("cpu"))
    return torch.cat(parts) if parts else torch.empty(0, len(module.recipe.get("target_names", [])), dtype=torch.double)


def collate(module: GraphModule, graphs: list[Data]) -> Batch:
    """A batch as a model takes it, on its device.

    Args:
        module: The model.
        graphs: Prepared as in training.
    """
    return module.on_before_batch_transfer(cast(Batch, Batch.from_data_list(graphs)), 0).to(module.device)


def _parts(graphs: Sequence[Data], batch_size: int) -> Iterator[list[Data]]:
    part: list[Data] = []
    nodes = 0
    for number in range(len(graphs)):
        graph = graphs[number]
        size = graph.num_nodes or 0
        if part and (len(part) == batch_size or nodes + size > _MAX_NODES):
            yield part
            part, nodes = [], 0
        part.append(graph)
        nodes += size
    if part:
        yield part
