"""Checks of the arguments of operators, and their common dtype."""

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph

#: Names of the gates that every orientation of a grid has of its own, in order.
GATES = (
    *("source_right", "source_down", "right_from_left", "down_from_up"),
    *("down_from_left", "right_from_up", "mark_left", "mark_up"),
)


def check_real(name: str, tensor: Tensor) -> None:
    """Check that an operand has real numbers: of integers the result would be cut, complex gradients be wrong.

    Args:
        name: For the message.
        tensor: The operand.

    Raises:
        TypeError: If its dtype is none of float64, float32, bfloat16 and float16.
    """
    if not tensor.dtype.is_floating_point or tensor.dtype.itemsize < 2:
        raise TypeError(
            f"{name} must be float64, float32, bfloat16 or float16, got {str(tensor.dtype).removeprefix('torch.')}"
        )


def check_same(what: str, expected: tuple[int, ...], tensors: Mapping[str, Tensor]) -> None:
    """Check that tensors have one shape.

    Args:
        what: The shape in letters, such as ``"[..., L, H]"``.
        expected: The shape in numbers.
        tensors: The tensors by name.

    Raises:
        TypeError: Naming the first tensor that has no real numbers.
        ValueError: Naming the first tensor of another shape.
    """
    for name, tensor in tensors.items():
        check_real(name, tensor)
        if tuple(tensor.shape) != expected:
            raise ValueError(f"{name} must be {what} = {list(expected)}, got {list(tensor.shape)}")


def check_operand(name: str, tensor: Tensor, line_graph: LineGraph, **expected: int) -> None:
    """Check that an operand fits a line graph.

    Args:
        name: For the message.
        tensor: The operand.
        line_graph: The structure.
        **expected: The sizes that it must have, by letter.

    Raises:
        TypeError: If it has no real numbers.
        ValueError: If it has another shape, or lies on another device.
    """
    if tensor.shape != tuple(expected.values()):
        raise ValueError(
            f"{name} must be [{', '.join(expected)}] = {list(expected.values())}, got {list(tensor.shape)}"
        )
    check_real(name, tensor)
    check_device(line_graph, **{name: tensor})


def check_device(line_graph: LineGraph, **tensors: Tensor) -> None:
    """Check that operands lie where a line graph does.

    Args:
        line_graph: The structure.
        **tensors: The operands by name.

    Raises:
        ValueError: Naming the first one that does not.
    """
    for name, tensor in tensors.items():
        if tensor.device != line_graph.device:
            raise ValueError(f"{name} is on {tensor.device}, but the line graph on {line_graph.device}; see its to()")


def check_form(form: str, *forms: Any) -> None:
    """Check that an operator has a form.

    Args:
        form: Its name.
        *forms: One ``Literal`` or more of those there are.

    Raises:
        ValueError: If it has not; it names those there are.
    """
    known = dict.fromkeys(each for some in forms for each in get_args(some))
    if form not in known:
        raise ValueError(f"unknown form {form!r}; choose one of {', '.join(map(repr, known))}")


def check_whole(least: int, **numbers: object) -> None:
    """Check that arguments are whole numbers.

    Args:
        least: The smallest that each may be.
        **numbers: The arguments by name.

    Raises:
        ValueError: Naming the first one that is smaller, or no whole number.
    """
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name} must be a whole number of {least} or more, got {number!r}")


def check_features(query: Tensor, key: Tensor, value: Tensor, axes: str, num_axes: int) -> tuple[int, ...]:
    """Check query, key and value of a chain or a grid.

    Args:
        query: ``[..., *axes, H, K]``
        key: ``[..., *axes, H, K]``
        value: ``[..., *axes, H, V]``
        axes: The axes in letters, such as ``"L"`` or ``"X, Y"``.
        num_axes: How many they are.

    Returns:
        The shape that gates must have, ``[..., *axes, H]``.

    Raises:
        TypeError: Naming the tensor that has no real numbers.
        ValueError: Naming the tensor of the wrong shape.
    """
    check_real("query", query)
    check_real("value", value)
    if query.dim() < num_axes + 2:
        raise ValueError(f"query must be [..., {axes}, H, K], got {list(query.shape)}")
    check_same(f"[..., {axes}, H, K]", tuple(query.shape), {"key": key})
    if value.shape[:-1] != query.shape[:-1]:
        raise ValueError(
            f"value must be [..., {axes}, H, V] = {[*query.shape[:-1], 'V']} like query, got {list(value.shape)}"
        )
    return tuple(query.shape[:-1])


def wide_dtype(*tensors: Tensor) -> torch.dtype:
    """The widest dtype of some tensors, float32 at least: states sum up along long paths."""
    dtype = torch.float32
    for tensor in tensors:
        if tensor.dtype is not dtype:
            dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in their :func:`wide_dtype`."""
    dtype = wide_dtype(*tensors)
    return tuple(tensor if tensor.dtype is dtype else tensor.to(dtype) for tensor in tensors)
