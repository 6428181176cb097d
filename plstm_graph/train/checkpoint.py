"""Reading and writing checkpoints: tensors and plain values only, whole files only, clear errors."""

import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from plstm_graph.datasets.storage.tensor_files import TensorFileError, load_tensors

#: Of what rebuilds a model.
FORMAT = 2
#: Key under which that is stored. A checkpoint without it was not written by this package.
KEY = "plstm_graph"


class CheckpointError(ValueError):
    """A file that is no checkpoint of this package, is damaged, or belongs to another model."""


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint that this package wrote, without running any code stored in it.

    Args:
        path: The checkpoint.
        map_location: Where tensors go, as in :func:`torch.load`.

    Returns:
        The checkpoint as Lightning wrote it, with the recipe of model and data under ``"plstm_graph"``.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, is another format, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        checkpoint = load_tensors(path, "give a checkpoint that plstm-graph fit wrote", map_location, checksums=True)
    except TensorFileError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(checkpoint, dict) or KEY not in checkpoint or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path} is not a checkpoint of plstm-graph (it has no {KEY!r} entry)")
    return checkpoint


def check_state(expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Check that a checkpoint's parameters are those of the model at hand.

    Args:
        expected: ``state_dict`` of the model.
        found: ``state_dict`` of the checkpoint.

    Raises:
        CheckpointError: If names or shapes differ; it names the first few.
    """
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown to the model" for name in found if name not in expected]
    problems += [
        f"{name} is a {type(found[name]).__name__}, no tensor"
        for name, tensor in expected.items()
        if isinstance(tensor, Tensor) and name in found and not isinstance(found[name], Tensor)
    ]
    problems += [
        f"{name} is {list(found[name].shape)}, the model has {list(tensor.shape)}"
        for name, tensor in expected.items()
        if isinstance(tensor, Tensor) and isinstance(found.get(name), Tensor) and not is_lazy(tensor)
        if tensor.shape != found[name].shape
    ]
    problems += [
        f"{name} is {found[name].layout} of {found[name].dtype}, the model has {tensor.layout} of {tensor.dtype}"
        for name, tensor in expected.items()
        if isinstance(tensor, Tensor)
        and isinstance(found.get(name), Tensor)
        # Copying would fail for the one, and forget half of the numbers for the other.
        and (found[name].layout != tensor.layout or (found[name].is_complex() and not tensor.is_complex()))
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(f"the checkpoint belongs to another model: {'; '.join(problems[:3])}{more}")


def load_weights(model: nn.Module, state: dict[str, Any], path: Any, advice: str = "") -> None:
    """Give a model the weights of a checkpoint.

    Raises:
        CheckpointError: As of :func:`check_state`; names the file, and what to do.
    """
    try:
        check_state(model.state_dict(), state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}{advice}") from error
    model.load_state_dict(state)
