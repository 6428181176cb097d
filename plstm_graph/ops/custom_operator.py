"""One way to give torch an operator of its own: traced as a whole, with a backward pass written by hand.

Every fast form of this package is such an operator. Each has a *twin* beside it, the same function made of operations
that torch differentiates by itself. The twin takes over where a hand-written backward pass has nothing to say:

* second and higher derivatives (``create_graph=True``, ``torch.autograd.functional.hessian``, gradient penalties);
* forward mode (``torch.autograd.forward_ad``, ``torch.func.jvp``);
* the transforms of ``torch.func`` (``vmap``, ``grad``, ``jacfwd`` ...), which see through ordinary operations only.

Registered operators are for whoever traces or watches calls: ``torch.compile``, fake tensors, other modes, subclasses
of tensors. On the way there torch takes apart and checks every argument in Python, which costs more than a
whole pass over a small batch does. So where nobody watches, the same functions are called by an autograd function.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from plstm_graph.ops.precision import without_autocast

Tensors = Sequence[Tensor]
Options = Sequence[int]


class CustomOperator:
    """A function of float tensors (operands), index tensors (structure) and integers (options), as one operator.

    Operands and the gradient arrive contiguous at ``forward`` and ``backward``, whatever layout the caller's tensors
    have, so writing into a flattened tensor writes into the tensor itself.

    Args:
        name: Name of the operator in ``torch.ops.plstm_graph``.
        operands: Names of the operands, in order.
        forward: Called with ``(operands, structure, options)``; returns the output, and what ``backward`` is to be
            given besides, all in new memory.
        backward: Called with ``(grad, kept, operands, structure, options)``; returns the gradient of each operand.
        fake: Called like ``forward``; returns tensors of the shapes and dtypes that ``forward`` returns.
        twin: Called like ``forward``; returns the output alone, by operations that torch can differentiate any number
            of times, in both modes, and map over.
        kept: Number of tensors that ``forward`` returns besides the output.
        keeps_output: Whether ``backward`` is given the output itself, behind those.
        features: How many of the first operands are factors of every term of the output: where one of them has no
            numbers at all (no head, a width of 0), there is nothing to sum, and neither function is called.
    """

    def __init__(
        self,
        name: str,
        operands: Sequence[str],
        forward: Callable[[Tensors, Tensors, Options], tuple[Tensor, ...]],
        backward: Callable[[Tensor, Tensors, Tensors, Tensors, Options], Sequence[Tensor]],
        fake: Callable[[Tensors, Tensors, Options], tuple[Tensor, ...]],
        twin: Callable[[Tensors, Tensors, Options], Tensor],
        kept: int = 0,
        keeps_output: bool = False,
        features: int = 3,
    ) -> None:
        self._count, self._kept, self._keeps_output, self._features = len(operands), kept, keeps_output, features
        self._fake, self._twin = fake, twin
        arguments = f"{', '.join(f'Tensor {operand}' for operand in operands)}, Tensor[] structure, SymInt[] options"
        results = ", ".join(["Tensor"] * (1 + kept))
        self._run_forward, self._run_backward = self._forward_of(forward), self._backward_of(backward)
        forward_op = torch.library.custom_op(
            f"plstm_graph::{name}",
            self._run_forward,
            mutates_args=(),
            schema=f"({arguments}) -> {results if kept == 0 else f'({results})'}",
        )
        backward_op = torch.library.custom_op(
            f"plstm_graph::{name}_backward",
            self._run_backward,
            mutates_args=(),
            schema=f"(Tensor grad, Tensor[] kept, {arguments}) -> Tensor[]",
        )
        forward_op.register_fake(self._fake_results)
        backward_op.register_fake(self._fake_gradients)
        forward_op.register_autograd(self._registered_gradients, setup_context=self._setup_context)
        # Called by their registered names: torch.compile knows those.
        self.op = getattr(torch.ops.plstm_graph, name).default
        self.backward_op = getattr(torch.ops.plstm_graph, f"{name}_backward").default
        self._function = self._make_function(name)

    def __call__(self, *operands: Tensor, structure: Tensors = (), options: Options = ()) -> Tensor:
        """The output."""
        if needs_twin(operands):
            return self._run_twin(operands, structure, options)
        if is_unwatched((*operands, *structure)):
            results = self._function.apply(list(structure), list(options), *operands)
        else:
            results = self.op(*operands, list(structure), list(options))
        return results[0] if self._kept else results

    def _make_function(self, name: str) -> Any:
        """The same operator as an autograd function."""

        def forward(ctx: Any, structure: Tensors, options: Options, *operands: Tensor) -> Any:
            results = self._run_forward(*operands, structure, options)
            self._setup_context(ctx, (*operands, structure, options), results)
            return results

        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
            return (None, None, *self._gradients(ctx, grads[0]))

        functions = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        return type(f"plstm_graph_{name}", (torch.autograd.Function,), functions)

    def _forward_of(self, forward: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Any]:
        @without_autocast
        def run(*args: Any) -> Any:
            *operands, structure, options = args
            if self._is_empty(operands):
                results = tuple(tensor.zero_() for tensor in self._fake(operands, structure, options))
            else:
                results = forward([_in_memory(tensor) for tensor in operands], structure, options)
            return results if self._kept else results[0]

        return run

    def _backward_of(self, backward: Callable[..., Sequence[Tensor]]) -> Callable[..., list[Tensor]]:
        @without_autocast
        def run(grad: Tensor, kept: Tensors, *args: Any) -> list[Tensor]:
            *operands, structure, options = args
            if self._is_empty(operands):
                return [tensor.new_zeros(tensor.shape) for tensor in operands]
            return list(backward(_in_memory(grad), kept, [_in_memory(t) for t in operands], structure, options))

        return run

    def _fake_results(self, *args: Any) -> Any:
        *operands, structure, options = args
        if any(tensor.is_meta and not operands[0].is_meta for tensor in (*operands, *structure)):
            # torch takes this function for the operator itself: its results would be read without ever being written.
            raise ValueError(f"an operand or the line graph is on the meta device, others on {operands[0].device}")
        results = self._fake(operands, structure, options)
        return results if self._kept else results[0]

    def _fake_gradients(self, grad: Tensor, kept: Tensors, *args: Any) -> list[Tensor]:
        return [tensor.new_empty(tensor.shape) for tensor in args[: self._count]]

    def _is_empty(self, operands: Tensors) -> bool:
        return any(tensor.numel() == 0 for tensor in operands[: self._features])

    def _setup_context(self, ctx: Any, inputs: tuple, output: Any) -> None:
        *operands, structure, ctx.options = inputs
        kept = output[1:] if self._kept else ()
        ctx.mark_non_differentiable(*kept)
        if self._keeps_output:
            kept = (*kept, output[0] if self._kept else output)
        ctx.kept, ctx.indices = len(kept), len(structure)
        ctx.save_for_backward(*kept, *operands, *structure)
        ctx.set_materialize_grads(False)

    def _registered_gradients(self, ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Any, ...]:
        # An empty list counts as one of tensors.
        of_lists: tuple[Any, Any] = [None] * ctx.indices, None if ctx.options else []
        return (*self._gradients(ctx, grad), *of_lists)

    def _gradients(self, ctx: Any, grad: Tensor | None) -> Sequence[Any]:
        """One for each operand."""
        if grad is None:
            return [None] * self._count
        saved = ctx.saved_tensors
        kept, rest = saved[: ctx.kept], saved[ctx.kept :]
        operands, structure = rest[: self._count], list(rest[self._count :])
        if torch.is_grad_enabled():
            # The caller wants a graph of the gradients themselves (create_graph=True).
            return self._twin_gradients(grad, operands, structure, ctx.options)
        run = self._run_backward if is_unwatched((grad, *saved)) else self.backward_op
        return run(grad, list(kept), *operands, structure, ctx.options)

    def _run_twin(self, operands: Tensors, structure: Tensors, options: Options) -> Tensor:
        with torch.autocast(operands[0].device.type, enabled=False):
            return self._twin(operands, structure, options)

    def _twin_gradients(self, grad: Tensor, operands: Tensors, structure: Tensors, options: Options) -> list[Any]:
        # Views of their own, for one tensor may be two operands, and one operand may have been computed from another.
        own = [tensor.view_as(tensor) for tensor in operands]
        out = self._run_twin(own, structure, options)
        wanted = [tensor for tensor in own if tensor.requires_grad]
        found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True, allow_unused=True))
        return [next(found) if tensor.requires_grad else None for tensor in own]


def _in_memory(tensor: Tensor) -> Tensor:
    """The numbers of a tensor as they are, one after the other: no gaps, and no sign that is still to be applied."""
    return tensor.resolve_neg().contiguous()


def needs_twin(operands: Tensors) -> bool:
    """Whether an operator with a hand-written backward pass would lose derivatives of these tensors without a word."""
    if torch.compiler.is_compiling():
        if _transforms_are_active():
            raise RuntimeError(
                "torch.compile cannot trace a transform of torch.func over the pLSTM operator: apply the transform "
                "outside of compiled code"
            )
        return False
    if _transforms_are_active():
        return True
    # Outside of forward mode this is one comparison.
    return forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(tensor).tangent is not None for tensor in operands
    )


def is_unwatched(tensors: Tensors) -> bool:
    """Whether nobody but autograd sees what is done with these tensors."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and torch._C._len_torch_dispatch_stack() == 0
        # A default device is such a mode, too, and not for what a form makes within.
        and torch._C._len_torch_function_stack() == 0
        and not _transforms_are_active()
        and all(type(tensor) in _ORDINARY and not tensor.is_meta and not _is_batched(tensor) for tensor in tensors)
    )


_ORDINARY = (Tensor, torch.nn.Parameter)
#: Of gradients that torch.autograd.grad is given several of at once: torch says that it has no rule for them.
_is_batched = torch._C._functorch.is_legacy_batchedtensor


@torch.compiler.assume_constant_result
def _transforms_are_active() -> bool:
    return torch._C._are_functorch_transforms_active()
