"""Linear maps of one input whose results lie apart, each in memory of its own, with one gradient of the input."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.ops.custom_operator import is_unwatched, needs_twin
from plstm_graph.ops.precision import without_autocast


def separate_linear(x: Tensor, weights: Sequence[Tensor], sizes: Sequence[int], bias: Tensor) -> list[Tensor]:
    """Apply linear maps to the same input.

    On the way back, what each map adds to the gradient of the input is summed where the first was written, and the
    gradients of rows of a weight are written where they belong.

    Args:
        x: ``[N, C]``
        weights: Of several maps, ``[R, C]``, and of one map more, ``[G, C]``.
        sizes: Rows of each of the several maps, ``R`` in all.
        bias: Of the last map, ``[G]``.

    Returns:
        ``[N, sizes[i]]`` each, and ``[N, G]``.
    """
    several, last = weights
    given = (x, several, last, bias)
    same = all(tensor.dtype is x.dtype for tensor in given)
    if same and is_unwatched(given) and not needs_twin(given) and not torch.is_autocast_enabled(x.device.type):
        return list(_SeparateLinear.apply(x, several, last, bias, list(sizes)))
    return [*(F.linear(x, part) for part in several.split(list(sizes))), F.linear(x, last, bias)]


class _SeparateLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, several: Tensor, last: Tensor, bias: Tensor, sizes: list[int]) -> Any:
        ctx.save_for_backward(x, several, last)
        ctx.sizes = sizes
        ctx.set_materialize_grads(False)
        return (*(x.mm(part.t()) for part in several.split(sizes)), torch.addmm(bias, x, last.t()))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        x, several, last = ctx.saved_tensors
        return _gradients(x, several, last, grads, ctx.sizes, ctx.needs_input_grad)


# The way back may be walked under autocast where the way there was not; halves are then no place for sums.
@without_autocast
def _gradients(
    x: Tensor,
    several: Tensor,
    last: Tensor,
    grads: Sequence[Tensor | None],
    sizes: Sequence[int],
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    given = [grad for grad in grads if grad is not None]
    # Who asks for a graph of the gradients, or for several at once, cannot be given sums in place.
    in_place = not torch.is_grad_enabled() and is_unwatched(given)
    of_x = _gradient_of_input(grads, [*several.split(list(sizes)), last], in_place) if wanted[0] else None
    of_several = _gradient_of_rows(grads[:-1], x, sizes, in_place) if wanted[1] else None
    own = grads[-1]
    if own is None:
        return of_x, of_several, None, None, None
    return of_x, of_several, own.t().mm(x), own.sum(dim=0), None


def _gradient_of_input(grads: Sequence[Tensor | None], parts: Sequence[Tensor], in_place: bool) -> Tensor | None:
    total: Tensor | None = None
    for grad, part in zip(grads, parts, strict=True):
        if grad is not None and total is None:
            total = grad.mm(part)
        elif grad is not None and total is not None:
            total = total.addmm_(grad, part) if in_place else total.addmm(grad, part)
    return total


def _gradient_of_rows(grads: Sequence[Tensor | None], x: Tensor, sizes: Sequence[int], in_place: bool) -> Tensor | None:
    if all(grad is None for grad in grads):
        return None
    if not in_place:
        of_parts = (
            x.new_zeros(size, x.size(1)) if grad is None else grad.t().mm(x)
            for grad, size in zip(grads, sizes, strict=True)
        )
        return torch.cat(list(of_parts))
    total = x.new_empty(sum(sizes), x.size(1))
    for grad, rows in zip(grads, total.split(list(sizes)), strict=True):
        if grad is None:
            rows.zero_()
        else:
            torch.mm(grad.t(), x, out=rows)
    return total
