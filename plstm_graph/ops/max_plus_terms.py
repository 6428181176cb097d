"""What every form of M-mode is made of: the largest of a few terms, hard or soft, and who has a share in it."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors


def check_temperature(temperature: float, dtype: torch.dtype) -> None:
    """Raise a ``ValueError`` unless a temperature is 0, or a positive number that a dtype can be divided by."""
    if not (0.0 <= temperature < math.inf):
        raise ValueError(f"temperature must be 0 or a positive number, got {temperature}")
    if 0.0 < temperature < torch.finfo(dtype).tiny:
        raise ValueError(f"temperature must be 0 or at least {torch.finfo(dtype).tiny:.3g}, got {temperature}")


def temperature_tensors(temperature: float) -> tuple[Tensor, ...]:
    """A temperature as structure of an operator, for options are integers: none if it is 0."""
    return (torch.tensor(temperature, dtype=torch.float64, device="cpu"),) if temperature > 0 else ()


def temperature_of(tensors: Tensors) -> float:
    """The number that :func:`temperature_tensors` made tensors of."""
    return float(tensors[0]) if tensors else 0.0


def largest_term(terms: Sequence[Tensor], temperature: float) -> Tensor:
    """The largest of some terms of one shape, the first of equal ones; minus infinity has no gradient.

    Not a number counts as larger than every number.

    Args:
        terms: At least one.
        temperature: Of the soft maximum; 0 for the maximum itself.
    """
    stacked = torch.stack(list(terms))
    nothing = (stacked == -torch.inf).all(dim=0)
    # What is not there takes no part in the gradient, so that 0 times infinity is never asked for.
    stacked = stacked.masked_fill(nothing, 0.0)
    if temperature > 0:
        # Distances to the largest: a term itself, divided by a small temperature, might be too large a number.
        shift = stacked.detach().amax(dim=0)
        shift = shift.masked_fill(shift.isinf(), 0.0)
        largest = shift + temperature * torch.logsumexp((stacked - shift) / temperature, dim=0)
    else:
        largest = stacked.max(dim=0).values
    return largest.masked_fill(nothing, -torch.inf)


def larger(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """The larger of two terms, as :func:`largest_term`. Autograd is no concern here."""
    largest = torch.maximum(left, right)
    if temperature == 0:
        return largest
    # Equal infinities have no distance, and none is needed.
    distance = (left - right).abs_().nan_to_num_(nan=torch.inf)
    return largest.add_(distance.div_(-temperature).exp_().log1p_(), alpha=temperature)


def share_of(term: Tensor, largest: Tensor, temperature: float) -> Tensor:
    """How much of a term is in the largest: of a soft maximum a part, of the maximum whether they are equal.

    Not a number is equal to itself. Minus infinity has no share in anything.
    """
    if temperature > 0:
        return ((term - largest) / temperature).exp().masked_fill(largest == -torch.inf, 0.0)
    return ((term == largest) & (largest != -torch.inf)) | (term.isnan() & largest.isnan())


def mask_of(takes: Tensor, dtype: torch.dtype) -> Tensor:
    """Truth values as integers of all bits or none, as wide as a float dtype, for :func:`masked`."""
    return takes.to(torch.int64 if dtype == torch.float64 else torch.int32).neg_()


def masked(grad: Tensor, mask: Tensor) -> Tensor:
    """A gradient where a mask has bits, and 0 elsewhere, also of what is infinite.

    On a CPU it costs a tenth of ``masked_fill``, which branches at every number. It has no derivative.
    """
    return (grad.view(mask.dtype) & mask).view(grad.dtype)


def part(grad: Tensor, share: Tensor) -> Tensor:
    """A share of a gradient; none of an infinite gradient is none."""
    return (grad * share).masked_fill(share == 0, 0.0)


def largest_read(arriving: Tensor, direct: Tensor, temperature: float) -> Tensor:
    """What nodes of chains and grids read: the largest of what they have of their own and of what arrives.

    It is :func:`largest_term` of all of these, without a copy of them.

    Args:
        arriving: ``[A, Z, O, ...]`` for ``A`` edges into each node in each of ``O`` orientations. Of equal terms that
            of the lowest orientation counts, then that of the lowest edge, after what nodes have of their own.
        direct: ``[Z, ...]``
        temperature: Of the soft maximum; 0 for the maximum itself.

    Returns:
        ``[Z, ...]``
    """
    return _READ(arriving, direct, structure=temperature_tensors(temperature))


def _in_order(arriving: Tensor) -> Iterator[Tensor]:
    for orientation in arriving.unbind(2):
        yield from orientation


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    (arriving, direct), temperature = operands, temperature_of(structure)
    largest = direct.clone()
    for term in _in_order(arriving):
        torch.maximum(largest, term, out=largest)
    if temperature == 0:
        return (largest,)
    shift = largest.masked_fill(largest.isinf(), 0.0)
    total = ((direct - shift) / temperature).exp_()
    for term in _in_order(arriving):
        total += (term - shift).div_(temperature).exp_()
    return (shift.add_(total.log_(), alpha=temperature),)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    (arriving, direct), (out,), temperature = operands, kept, temperature_of(structure)
    grads = torch.empty_like(arriving), torch.empty_like(direct)
    targets = [(direct, grads[1]), *zip(_in_order(arriving), _in_order(grads[0]), strict=True)]
    rest = masked(grad, mask_of(out != -torch.inf, grad.dtype))
    for term, of_term in targets:
        if temperature > 0:
            of_term.copy_(part(rest, share_of(term, out, temperature)))
        else:
            takes = mask_of((term == out) | term.isnan(), grad.dtype)
            of_term.copy_(masked(rest, takes))
            rest = masked(rest, ~takes)
    return grads


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    return (operands[1].new_empty(operands[1].shape),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    arriving, direct = operands
    return largest_term([direct, *_in_order(arriving)], temperature_of(structure))


_READ = CustomOperator(
    "largest_read", ("arriving", "direct"), _forward, _backward, _fake, _twin, keeps_output=True, features=0
)
