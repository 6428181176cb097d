"""Gene dropping and best linear unbiased prediction, each against what defines it."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from plstm_graph.datasets.blup import blup, inverse_relationship, relationship
from plstm_graph.datasets.pedigrees import Pedigrees, drop_genes
from plstm_graph.graph import LineGraph

#: Father and mother of each animal, -1 where unknown.
FAMILIES = {
    "full sibs have young": [(-1, -1), (-1, -1), (0, 1), (0, 1), (2, 3)],
    "back to the father, twice": [(-1, -1), (-1, -1), (0, 1), (0, 2), (0, 3)],
    "an unknown mother, and a clonal pair": [(-1, -1), (0, -1), (0, 0), (1, 2)],
    "nobody is related": [(-1, -1), (-1, -1), (-1, -1)],
}


def _by_definition(parents):
    """Twice the probability that two alleles drawn from two animals are the same founder's, over all drops."""
    size = len(parents)
    unknown = sum(parent < 0 for pair in parents for parent in pair)
    counts = np.zeros((size, size), dtype=object)
    slots = [(child, side) for child, pair in enumerate(parents) for side, parent in enumerate(pair) if parent >= 0]
    for drawn in itertools.product((0, 1), repeat=len(slots)):
        taken, new = dict(zip(slots, drawn, strict=True)), iter(range(unknown))
        alleles = []
        for child, pair in enumerate(parents):
            alleles.append([alleles[p][taken[child, side]] if p >= 0 else next(new) for side, p in enumerate(pair)])
        for one, other in itertools.product(range(size), repeat=2):
            counts[one, other] += sum(a == b for a in alleles[one] for b in alleles[other])
    return np.array([[float(Fraction(int(c), 2 * 2 ** len(slots))) for c in row] for row in counts])


@pytest.mark.parametrize("family", FAMILIES)
def test_relationship_is_twice_the_probability_of_a_common_allele(family):
    parents = np.array(FAMILIES[family])
    matrix = relationship(parents)
    np.testing.assert_array_equal(matrix, _by_definition(parents))  # exact: sums of powers of a half
    inverse = inverse_relationship(parents, matrix.diagonal() - 1).toarray()
    np.testing.assert_allclose(inverse @ matrix, np.eye(len(parents)), atol=1e-14)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropped_genes_have_the_covariance_of_the_relationship(family):
    parents = np.array(FAMILIES[family])
    drops = 2000
    values = np.stack([drop_genes(parents, 8, np.random.default_rng(seed)) for seed in range(drops)])
    # Covariances of standard variables are off by at most about two over the root of the number; five deviations.
    np.testing.assert_allclose(values.T @ values / drops, relationship(parents), atol=5 * 2 / math.sqrt(drops))


@pytest.mark.parametrize("mean", [0.0, 2.0, None])
@pytest.mark.parametrize(("generations", "size"), [(1, 4), (3, 10), (6, 15)])
def test_prediction_is_the_conditional_mean(generations, size, mean):
    """Regression on the records, with dense matrices; a mean that is estimated, by generalised least squares."""
    graph = Pedigrees(1, generations, size, unknown=0.2)[0]
    recorded = graph.has_record.numpy()
    parents = np.full((graph.num_nodes, 2), -1)
    for (start, end), kind in zip(graph.edge_index.t().tolist(), graph.edge_attr.view(-1).tolist(), strict=True):
        parents[end, kind] = start
    covariance = relationship(parents)
    of_records = np.linalg.inv(covariance[np.ix_(recorded, recorded)] + (1 / 0.3 - 1) * np.eye(recorded.sum()))
    record = graph.x[recorded, 0].double().numpy()
    known = (of_records @ record).sum() / of_records.sum() if mean is None else mean
    expected = covariance[:, recorded] @ of_records @ (record - known)
    np.testing.assert_allclose(blup(graph, 0.3, mean).view(-1), expected, atol=1e-10)


def test_nothing_predicts_better():
    """Of linear predictors with known variances it is the best; a shrunken record and the mean of parents are two."""
    graphs = Pedigrees(20, 4, 30, seed=3)[:]
    true = torch.cat([graph.y for graph in graphs]).view(-1).double()
    predicted = torch.cat([blup(graph, 0.3) for graph in graphs]).view(-1)
    record = torch.cat([graph.x[:, 0] for graph in graphs]).double()
    assert (predicted - true).square().mean() < (0.3 * record - true).square().mean()
    assert (predicted - true).square().mean() < true.square().mean()


def test_graphs_are_pedigrees():
    made = Pedigrees(3, 4, 12, unknown=0.3, recorded=0.5, seed=7)
    for number, graph in enumerate(made):
        LineGraph.from_edge_index(graph.edge_index, graph.num_nodes)  # it has no cycle
        start, end = graph.edge_index
        assert bool((graph.generation[start] < graph.generation[end]).all())
        assert not graph.has_record[graph.generation == 4].any()
        assert bool((graph.x[~graph.has_record] == 0).all())
        assert int(torch.bincount(end, minlength=60).max()) <= 2
        again = Pedigrees(9, 4, 12, unknown=0.3, recorded=0.5, seed=7)[number]
        assert torch.equal(graph.x, again.x)  # the same draws
        assert torch.equal(graph.edge_index, again.edge_index)


def test_a_record_of_full_heritability_is_the_value_itself():
    graph = Pedigrees(1, 2, 10, heritability=1.0, recorded=1.0)[0]
    assert torch.allclose(graph.x[graph.has_record, 0], graph.y[graph.has_record, 0])


@pytest.mark.parametrize(
    "arguments",
    [
        {"generations": 0},
        {"size": 3},
        {"sires": 0},
        {"sires": 0.3},
        {"heritability": 0},
        {"recorded": 1.5},
        {"unknown": -0.1},
        {"loci": 0},
        {"num_graphs": -1},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Pedigrees(**{"num_graphs": 1, "generations": 2, "size": 10} | arguments)


def test_without_records_there_is_nothing_to_predict_from():
    with pytest.raises(ValueError, match="record"):
        blup(Pedigrees(1, 1, 10, recorded=0.0)[0], 0.3)
