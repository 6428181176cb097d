r"""Norms of what each head reads, :math:`w \odot f(r)\, y` with :math:`r = \sqrt{\mathrm{mean}(y^2) + \epsilon}`.

In C on a CPU, one walk over the numbers forward and one backward; of operations of torch elsewhere.
"""

import ctypes
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from plstm_graph.native.load import REALS, SOURCES, Source, check_tensors, has_native, load_native
from plstm_graph.native.threads import places, spread
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors

#: ``"rms"`` divides by the size, ``"log"`` brings it to its logarithm: f(r) is 1 / r or log(1 + r) / r.
Kind = Literal["rms", "log"]

_SOURCE = Source(SOURCES / "head_norm.c", ("forward", "backward"))

#: Numbers that are worth one more thread.
_WORTH_A_THREAD = 2**15


def scaled_heads(x: Tensor, weight: Tensor, eps: float, kind: Kind) -> Tensor:
    """Heads of a size that is one or a logarithm, each channel times its weight.

    Args:
        x: What the heads read, ``[..., H, V]``, float32 or float64.
        weight: ``[H, V]``
        eps: Added to the mean square.
        kind: What becomes of the size.

    Returns:
        ``[..., H, V]``
    """
    # What torch compiles it fuses by itself.
    if torch.compiler.is_compiling() or weight.dtype is not x.dtype or not has_native(_SOURCE, x):
        return _scaled_heads_torch(x, weight, eps, kind)
    constant = torch.tensor([eps], dtype=torch.float64, device=x.device)
    return _HEAD_NORM(x, weight, structure=[constant], options=[get_args(Kind).index(kind)])


def _scaled_heads_torch(x: Tensor, weight: Tensor, eps: float, kind: Kind) -> Tensor:
    if kind == "rms":
        return F.rms_norm(x, x.shape[-1:], eps=eps) * weight
    size = (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return x * (size.log1p() / size) * weight


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """Normed heads ``[..., H, V]`` and sizes ``[..., H]``."""
    x, weight = operands
    out, size = _fake(operands, structure, options)
    check_tensors(torch.float64, eps=(structure[0], (1,)))
    _run("forward", operands, options, _parts(x), [structure[0], x, weight, out, size])
    return out, size


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, Tensor]:
    x, weight = operands
    (size,) = kept
    check_tensors(x.dtype, grad=(grad, x.shape), size=(size, x.shape[:-1]))
    parts = _parts(x)
    grad_x, grad_weight = torch.empty_like(x), x.new_empty(parts, *weight.shape)
    _run("backward", operands, options, parts, [grad, x, weight, size, grad_x, grad_weight])
    return grad_x, grad_weight[0] if parts == 1 else grad_weight.sum(dim=0)


def _parts(x: Tensor) -> int:
    """How many parts rows are divided into, one for each thread."""
    return max(1, min(torch.get_num_threads(), x.numel() // _WORTH_A_THREAD))


def _run(name: str, operands: Tensors, options: Options, parts: int, tensors: list[Tensor]) -> None:
    x, weight = operands
    (kind,) = options
    if x.dim() < 2 or kind not in range(len(get_args(Kind))):
        raise ValueError(f"native code needs heads [..., H, V] and a kind of norm, got {list(x.shape)} and {kind}")
    heads, width = x.shape[-2:]
    check_tensors(x.dtype, x=(x, x.shape), weight=(weight, (heads, width)))
    sizes = (ctypes.c_int64 * 5)(x.numel() // (heads * width), heads, width, parts, kind)
    library: Any = load_native(_SOURCE, REALS[x.dtype])
    spread(getattr(library, name), parts, places([sizes, *tensors]), x.numel(), _WORTH_A_THREAD)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    x = operands[0]
    return x.new_empty(x.shape), x.new_empty(x.shape[:-1])


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    x, weight = operands
    size = (x.square().mean(dim=-1, keepdim=True) + structure[0].to(x.dtype)).sqrt()
    factor = size.log1p() / size if get_args(Kind)[options[0]] == "log" else size.reciprocal()
    return x * factor * weight


_HEAD_NORM = CustomOperator("head_norm", ("x", "weight"), _forward, _backward, _fake, _twin, kept=1, features=2)
