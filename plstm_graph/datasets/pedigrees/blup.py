"""Best linear unbiased prediction of breeding values, the optimum that other predictions are measured against."""

import numpy as np
import torch
from scipy.linalg import solve
from torch import Tensor
from torch_geometric.data import Data


def relationship(parents: np.ndarray) -> np.ndarray:
    """The numerator relationship matrix, by Henderson's tabular method.

    Args:
        parents: Father and mother of each animal, which stand before it, ``[N, 2]``; -1 for unknown ones.

    Returns:
        ``[N, N]``; its diagonal is one plus the inbreeding coefficient of each animal.
    """
    size = len(parents)
    matrix = np.zeros((size + 1, size + 1))  # the last row and column, of zeros, is that of unknown parents
    for child, (father, mother) in enumerate(parents):
        matrix[child, :child] = (matrix[father, :child] + matrix[mother, :child]) / 2
        matrix[:child, child] = matrix[child, :child]
        matrix[child, child] = 1 + matrix[father, mother] / 2
    return matrix[:size, :size]


def blup(graph: Data, heritability: float, mean: float | None = 0.0) -> Tensor:
    r"""Predict the breeding values of all animals of a pedigree from its records.

    .. math::
        \hat{u} = A_{\cdot r} (A_{rr} + \lambda I)^{-1} (y_r - \mu), \qquad \lambda = 1 / h^2 - 1

    with the relationship matrix :math:`A` and animals :math:`r` with records: what Henderson's mixed model equations
    give, also without noise in the records (:math:`h^2 = 1`), where those have no solution. With a known mean it is the
    conditional mean of the values given the records, as far as both are normal, so nothing has a smaller expected
    error. It is told the variances, which is more than a model is told.

    Args:
        graph: Of :class:`~plstm_graph.datasets.Pedigrees`.
        heritability: Of the records, :math:`h^2`.
        mean: Of the founders' values, 0 in these pedigrees; None to estimate it from the records, as a fixed effect.

    Returns:
        ``[N, 1]``, float64; deviations from the mean.

    Raises:
        ValueError: If there is no record.
    """
    recorded = graph.has_record.numpy()
    if not recorded.any():
        raise ValueError("without a single record there is nothing to predict from")
    parents = np.full((graph.num_nodes, 2), -1)
    start, end = graph.edge_index.numpy()
    parents[end, graph.edge_attr.view(-1).numpy()] = start
    covariance = relationship(parents)
    ratio = 1 / heritability - 1  # of the noise's variance to that of the founders' values
    of_records = covariance[np.ix_(recorded, recorded)] + ratio * np.eye(recorded.sum())
    record = graph.x[recorded, 0].double().numpy()
    weighted, ones = solve(of_records, np.stack([record, np.ones_like(record)], axis=1), assume_a="pos").T
    known = weighted.sum() / ones.sum() if mean is None else mean
    return torch.from_numpy(covariance[:, recorded] @ (weighted - known * ones)).view(-1, 1)
