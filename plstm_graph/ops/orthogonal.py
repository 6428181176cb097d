"""Matrices whose norm is bounded by construction, for matrix-valued transitions."""

import torch
from torch import Tensor


def householder_product(vectors: Tensor, eigenvalues: Tensor | None = None) -> Tensor:
    r"""Product of reflections, :math:`\prod_r (I - 2 v_r v_r^{\top} / |v_r|^2)`, an orthogonal matrix.

    ``R`` reflections reach every orthogonal matrix of determinant :math:`(-1)^R` that differs from the identity in at
    most ``R`` dimensions; a swap of two coordinates takes one. A vector of zeros gives the identity. With eigenvalues
    :math:`\lambda_r` the factors are :math:`I - (1 - \lambda_r) v_r v_r^{\top} / |v_r|^2`: between the identity (1),
    a projection (0) and a reflection (-1), and the spectral norm is at most 1 if all of theirs are.

    Args:
        vectors: ``[..., R, J]``
        eigenvalues: What is left along each vector, ``[..., R]``. (default: -1)

    Returns:
        ``[..., J, J]``, the first reflection leftmost.
    """
    size = vectors.size(-1)
    identity = torch.eye(size, dtype=vectors.dtype, device=vectors.device)
    product = identity.expand(*vectors.shape[:-2], size, size)
    for number, vector in enumerate(vectors.unbind(dim=-2)):
        square = vector.square().sum(dim=-1, keepdim=True)
        taken = 2 if eigenvalues is None else 1 - eigenvalues[..., number, None]
        dual = taken * vector / torch.where(square > 0, square, 1)
        turned = product @ vector.unsqueeze(-1) if number else vector.unsqueeze(-1)
        product = product - turned * dual.unsqueeze(-2)
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
