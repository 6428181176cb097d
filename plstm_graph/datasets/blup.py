"""Best linear unbiased prediction of breeding values, the optimum that other predictions are measured against."""

import numpy as np
import torch
from scipy.sparse import bmat, coo_array, csc_array, diags_array, eye_array
from scipy.sparse.linalg import spsolve
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


def inverse_relationship(parents: np.ndarray, inbreeding: np.ndarray) -> csc_array:
    """The inverse of the relationship matrix, sparse, by Henderson's rules with inbreeding.

    Args:
        parents: As of :func:`relationship`.
        inbreeding: Coefficient of each animal, ``[N]``.
    """
    size = len(parents)
    known = parents >= 0
    # What an animal's value varies by around the mean of its parents: one, less a quarter of what each passes on.
    passed = np.where(known, 1 + inbreeding[parents], 0).sum(axis=1)
    sampling = 1 - passed / 4
    child, _ = np.nonzero(known)
    halves = coo_array((np.full(child.size, 0.5), (child, parents[known])), shape=(size, size))
    deviation = eye_array(size) - halves
    return csc_array(deviation.T @ diags_array(1 / sampling) @ deviation)


def blup(graph: Data, heritability: float, mean: float | None = 0.0) -> Tensor:
    """Predict the breeding values of all animals of a pedigree from its records, by the mixed model equations.

    With a known mean it is the conditional mean of the values given the records, as far as both are normal, so nothing
    has a smaller expected error. It is told the variances, which is more than a model is told.

    Args:
        graph: Of :class:`~plstm_graph.datasets.pedigrees.Pedigrees`.
        heritability: Of the records.
        mean: Of the founders' values, 0 in these pedigrees; None to estimate it from the records, as a fixed effect.

    Returns:
        ``[N, 1]``, float64.

    Raises:
        ValueError: If there is no record.
    """
    recorded = graph.has_record.numpy()
    if not recorded.any():
        raise ValueError("without a single record there is nothing to predict from")
    parents = np.full((graph.num_nodes, 2), -1)
    start, end = graph.edge_index.numpy()
    parents[end, graph.edge_attr.view(-1).numpy()] = start
    inverse = inverse_relationship(parents, relationship(parents).diagonal() - 1)
    weight = recorded.astype(float)
    ratio = 1 / heritability - 1  # of the noise's variance to that of the founders' values
    equations = csc_array(diags_array(weight) + ratio * inverse)
    record = graph.x[:, 0].double().numpy()
    if mean is None:
        column = csc_array(weight[:, None])
        bordered = csc_array(bmat([[csc_array([[weight.sum()]]), column.T], [column, equations]]))
        solution = spsolve(bordered, np.concatenate([[record @ weight], record * weight]))[1:]
    else:
        solution = spsolve(equations, (record - mean) * weight)
    return torch.from_numpy(solution).view(-1, 1)
