"""Matrices whose norm is bounded by construction, for matrix-valued transitions."""

import torch
from torch import Tensor


def householder_product(vectors: Tensor) -> Tensor:
    r"""Product of reflections, :math:`\prod_r (I - 2 v_r v_r^{\top} / |v_r|^2)`, an orthogonal matrix.

    ``R`` reflections reach every orthogonal matrix of determinant :math:`(-1)^R` that differs from the identity in at
    most ``R`` dimensions; a swap of two coordinates takes one. A vector of zeros gives the identity.

    Args:
        vectors: ``[..., R, J]``

    Returns:
        ``[..., J, J]``, the first reflection leftmost.
    """
    size = vectors.size(-1)
    identity = torch.eye(size, dtype=vectors.dtype, device=vectors.device)
    product = identity.expand(*vectors.shape[:-2], size, size)
    for vector in vectors.unbind(dim=-2):
        square = vector.square().sum(dim=-1, keepdim=True)
        dual = 2 * vector / torch.where(square > 0, square, 1)
        product = product - (product @ vector.unsqueeze(-1)) * dual.unsqueeze(-2)
    return product


def orthogonal_exponential(matrix: Tensor) -> Tensor:
    r"""Rotation :math:`\exp(A - A^{\top})`, an orthogonal matrix of determinant 1.

    Args:
        matrix: Any square matrix, ``[..., J, J]``.

    Returns:
        ``[..., J, J]``
    """
    return torch.linalg.matrix_exp(matrix - matrix.mT)


def bounded_matrix(left: Tensor, singular: Tensor, right: Tensor) -> Tensor:
    r"""Matrix with singular values :math:`|\tanh s| < 1`, :math:`U \operatorname{diag}(\tanh s) W^{\top}`.

    Its spectral norm is at most 1, which bounds a D-mode or a chain as a scalar gate of at most 1 does (section on
    state tracking). The limit ``s`` to infinity is orthogonal.

    Args:
        left: Orthogonal :math:`U`, ``[..., J, J]``.
        singular: ``[..., J]``
        right: Orthogonal :math:`W`, ``[..., J, J]``.

    Returns:
        ``[..., J, J]``
    """
    return (left * singular.tanh().unsqueeze(-2)) @ right.mT
