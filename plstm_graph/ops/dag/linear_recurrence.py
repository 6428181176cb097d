r"""The linear recurrence :math:`x = T x + u` along levels, differentiable any number of times and in both modes.

It is what the hand-written forms are made of, as one step that torch's own derivatives can be built from: the gradient
and the tangent of a solution are solutions of the same recurrence, transposed or not. So this function stands in its
own derivatives, to any order.
"""

import itertools
from typing import Any

import torch
from torch import Tensor


def solve_recurrence(
    put: Tensor, gate: Tensor, step_from: Tensor, step_to: Tensor, step_ptr: Tensor, last_first: bool = False
) -> Tensor:
    r"""Solve :math:`x_r = u_r + \sum_{s: to(s) = r} T_s\, x_{from(s)}`, level by level.

    Args:
        put: What enters each row, :math:`u`, ``[R, H, D]``, or ``[R, H, J, D]`` for matrices.
        gate: What each step lets through, :math:`T`, ``[S, H]``, or matrices ``[S, H, J, J]``.
        step_from: Row that each step leaves, ``[S]``, int64.
        step_to: Row that it enters, ``[S]``.
        step_ptr: Steps of level ``l`` are ``step_ptr[l]:step_ptr[l + 1]``, ``[L + 1]``; rows that a level leaves have
            been entered by levels before it alone.
        last_first: Whether the last level comes first.

    Returns:
        The solution :math:`x`, of the shape of ``put``.
    """
    return _Solve.apply(put, gate, step_from, step_to, step_ptr, last_first)


def _pass(gate: Tensor, rows: Tensor) -> Tensor:
    """What steps let through of rows."""
    return gate @ rows if gate.dim() == 4 else gate.unsqueeze(-1) * rows


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        put: Tensor, gate: Tensor, step_from: Tensor, step_to: Tensor, step_ptr: Tensor, last_first: bool
    ) -> Tensor:
        rows = put.clone(memory_format=torch.contiguous_format)
        levels = [slice(first, last) for first, last in itertools.pairwise(step_ptr.tolist()) if first < last]
        for steps in reversed(levels) if last_first else levels:
            rows.index_add_(0, step_to[steps], _pass(gate[steps], rows.index_select(0, step_from[steps])))
        return rows

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        put, gate, *structure, ctx.last_first = inputs
        ctx.save_for_backward(put, gate, *structure)
        ctx.save_for_forward(put, gate, *structure)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        put, gate, step_from, step_to, step_ptr = ctx.saved_tensors
        turned = gate.mT if gate.dim() == 4 else gate
        adjoint = _Solve.apply(grads[0], turned, step_to, step_from, step_ptr, not ctx.last_first)
        grad_gate = None
        if ctx.needs_input_grad[1]:
            # Solved anew rather than kept: that keeps higher derivatives connected to both inputs.
            rows = _Solve.apply(put, gate, step_from, step_to, step_ptr, ctx.last_first)
            arrived, left = adjoint.index_select(0, step_to), rows.index_select(0, step_from)
            grad_gate = arrived @ left.mT if gate.dim() == 4 else (arrived * left).sum(dim=-1)
        return adjoint, grad_gate, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, put_tangent: Tensor | None, gate_tangent: Tensor | None, *_: Any) -> Tensor:
        put, gate, step_from, step_to, step_ptr = ctx.saved_tensors
        changed = torch.zeros_like(put) if put_tangent is None else put_tangent
        if gate_tangent is not None:
            rows = _Solve.apply(put, gate, step_from, step_to, step_ptr, ctx.last_first)
            changed = changed.index_add(0, step_to, _pass(gate_tangent, rows.index_select(0, step_from)))
        return _Solve.apply(changed, gate, step_from, step_to, step_ptr, ctx.last_first)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, put: Tensor, gate: Tensor, *rest: Any) -> tuple[Tensor, int]:
        """Items of the mapped dimension are more heads."""
        if any(dim is not None for dim in in_dims[2:]):
            raise NotImplementedError("vmap over the structure of a DAG: batch graphs as one disjoint DAG instead")
        operands = [
            tensor.unsqueeze(1).expand(-1, info.batch_size, *tensor.shape[1:])
            if dim is None
            else tensor.movedim(dim, 1)
            for tensor, dim in zip((put, gate), in_dims[:2], strict=True)
        ]
        solved = _Solve.apply(*(tensor.flatten(1, 2) for tensor in operands), *rest)
        return solved.unflatten(1, (info.batch_size, -1)), 1
