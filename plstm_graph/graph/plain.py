"""Structure under the transforms of ``torch.func`` and in inference mode: built and kept as plain tensors.

Inside ``vmap``, ``grad`` or ``jvp`` every operation returns a wrapper that is dead once the transform ends, and in
inference mode a tensor that no training can save for its backward pass. A line graph outlives both, so what it builds
there is built as if there were none.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def outside_transforms(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run a function of plain tensors with transforms of ``torch.func`` and inference mode set aside."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False):
                return wrapped(*args, **kwargs)
        if not torch._C._are_functorch_transforms_active():
            return function(*args, **kwargs)
        from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

        with temporarily_clear_interpreter_stack():
            return function(*args, **kwargs)

    return wrapped


def plain(index: Tensor) -> Tensor:
    """An index tensor without the wrappers that ``grad`` and ``jvp`` put around all arguments of a function, and
    without that of PyG's ``EdgeIndex``.

    What is no tensor is left to the checks that follow.

    Raises:
        ValueError: If ``vmap`` maps over it: the structure would differ from item to item.
    """
    if torch.compiler.is_compiling():
        return index
    if hasattr(index, "as_tensor"):  # torch_geometric.EdgeIndex, around a tensor, has no memory of its own.
        index = index.as_tensor()
    functorch = torch._C._functorch
    while isinstance(index, Tensor) and functorch.is_functorch_wrapped_tensor(index):
        if functorch.is_batchedtensor(index):
            raise ValueError("vmap over the structure of a DAG is not possible: batch graphs as one disjoint DAG")
        index = functorch.get_unwrapped(index)
    return index
