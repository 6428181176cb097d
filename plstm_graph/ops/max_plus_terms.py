"""The largest of a few terms, hard or soft: as one reads it, and fast."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors


def largest_term(terms: Sequence[Tensor], temperature: float) -> Tensor:
    """The largest of some terms of one shape, the first of equal ones; minus infinity has no gradient.

    Args:
        terms: At least one.
        temperature: Of the soft maximum; 0 for the maximum itself.
    """
    stacked = torch.stack(list(terms))
    nothing = (stacked == -torch.inf).all(dim=0)
    # What is not there takes no part in the gradient, so that 0 times infinity is never asked for.
    stacked = stacked.masked_fill(nothing, 0.0)
    if temperature > 0:
        largest = temperature * torch.logsumexp(stacked / temperature, dim=0)
    else:
        largest = stacked.max(dim=0).values
    return largest.masked_fill(nothing, -torch.inf)


def largest_read(arriving: Tensor, direct: Tensor, soft: bool) -> Tensor:
    """What nodes of chains and grids read: the largest of what they have of their own and of what arrives.

    It is :func:`largest_term` of all of these at temperature 0 or 1, without a copy of them.

    Args:
        arriving: ``[A, Z, O, ...]`` for ``A`` edges into each node in each of ``O`` orientations. Of equal terms that
            of the lowest orientation counts, then that of the lowest edge, after what nodes have of their own.
        direct: ``[Z, ...]``
        soft: Whether the largest is a soft maximum of temperature 1.

    Returns:
        ``[Z, ...]``
    """
    return _READ(arriving, direct, options=[int(soft)])


def _in_order(arriving: Tensor) -> Iterator[Tensor]:
    for orientation in arriving.unbind(2):
        yield from orientation


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, ...]:
    arriving, direct = operands
    largest = direct.clone()
    for term in _in_order(arriving):
        torch.maximum(largest, term, out=largest)
    if not options[0]:
        return (largest,)
    nothing = largest == -torch.inf
    shift = largest.masked_fill(nothing, 0.0)
    total = (direct - shift).exp_()
    for term in _in_order(arriving):
        total += (term - shift).exp_()
    return (total.log_().add_(shift),)


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, ...]:
    (arriving, direct), (out,) = operands, kept
    # Where nothing arrives, or something that is no number, no term is equal to what is compared with.
    there = torch.where(out > -torch.inf, out, torch.nan)
    grad_arriving, rest = torch.empty_like(arriving), grad
    pairs = [(direct, torch.empty_like(direct)), *zip(_in_order(arriving), _in_order(grad_arriving), strict=True)]
    for term, of_term in pairs:
        if options[0]:
            torch.mul((term - there).exp_().nan_to_num_(nan=0.0), grad, out=of_term)
        else:
            takes = term == there
            of_term.copy_(rest.masked_fill(~takes, 0.0))
            rest = rest.masked_fill(takes, 0.0)
    return grad_arriving, pairs[0][1]


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor]:
    return (operands[1].new_empty(operands[1].shape),)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    arriving, direct = operands
    return largest_term([direct, *_in_order(arriving)], float(options[0]))


_READ = CustomOperator(
    "largest_read", ("arriving", "direct"), _forward, _backward, _fake, _twin, keeps_output=True, features=0
)
