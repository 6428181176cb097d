"""Gene dropping and best linear unbiased prediction, each against what defines it."""

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from plstm_graph.datasets.pedigrees.blup import blup, relationship
from plstm_graph.datasets.pedigrees.pedigrees import Pedigrees, drop_genes
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
    # Exact: sums of powers of a half.
    np.testing.assert_array_equal(relationship(parents), _by_definition(parents))


def _parents(graph):
    """Father and mother of each animal, -1 where unknown, from the edges one by one."""
    parents = np.full((graph.num_nodes, 2), -1)
    for (start, end), kind in zip(graph.edge_index.t().tolist(), graph.edge_attr.view(-1).tolist(), strict=True):
        parents[end, kind] = start
    return parents


def _by_coancestry(parents):
    """The relationship matrix from the younger of two animals back to its parents, which meet in themselves at last."""

    @functools.cache
    def coancestry(one, other):
        if min(one, other) < 0:
            return 0.0
        if one == other:
            return (1 + coancestry(*parents[one].tolist())) / 2
        older, younger = sorted((one, other))
        return sum(coancestry(older, parent) for parent in parents[younger].tolist()) / 2

    animals = range(len(parents))
    return np.array([[2 * coancestry(one, other) for other in animals] for one in animals])


def _made(seed, **more):
    """A pedigree of few fathers, so that relatives have young."""
    sizes = ((1, 4), (4, 8), (6, 12), (9, 6))
    generations, size = sizes[seed % len(sizes)]
    return Pedigrees(1, generations, size, sires=0.1, unknown=0.1 * (seed % 3), seed=seed, **more)[0]


@pytest.mark.parametrize("seed", range(8))
def test_relationship_and_inbreeding_of_whole_pedigrees(seed):
    parents = _parents(_made(seed))
    matrix, expected = relationship(parents), _by_coancestry(parents)
    np.testing.assert_allclose(matrix, expected, rtol=1e-15)  # sums of powers of a half, up to 2 ** -19
    assert np.array_equal(matrix, matrix.T) and np.linalg.eigvalsh(matrix).min() > 0
    inbreeding = matrix.diagonal() - 1
    for animal, (father, mother) in enumerate(parents):
        both = father >= 0 and mother >= 0
        assert inbreeding[animal] == (expected[father, mother] / 2 if both else 0)  # powers of a half
    if seed in (1, 2, 3):
        assert inbreeding.max() > 0.05  # the case is there


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([(-1, -1), (-1, -1), (0, 1), (0, 1), (2, 3)], 1 / 4),  # full sibs
        ([(-1, -1), (-1, -1), (0, 1), (0, 2)], 1 / 4),  # father and daughter
        ([(-1, -1), (-1, -1), (-1, -1), (0, 1), (0, 2), (3, 4)], 1 / 8),  # half sibs
        ([(-1, -1), (-1, -1), (0, 1), (0, 1), (-1, -1), (-1, -1), (2, 4), (3, 5), (6, 7)], 1 / 16),  # first cousins
        ([(-1, -1), (0, 0), (1, 1), (2, 2)], 7 / 8),  # selfing, three times
        ([(-1, -1), (-1, -1), (0, 1), (-1, 2)], 0),
    ],
)
def test_inbreeding_of_the_textbook(parents, expected):
    assert relationship(np.array(parents))[-1, -1] - 1 == expected  # powers of a half


@pytest.mark.parametrize("family", FAMILIES)
def test_dropped_genes_have_the_covariance_of_the_relationship(family):
    parents = np.array(FAMILIES[family])
    drops = 2000
    values = np.stack([drop_genes(parents, 8, np.random.default_rng(seed)) for seed in range(drops)])
    # Covariances of standard variables are off by at most about two over the root of the number; five deviations.
    np.testing.assert_allclose(values.T @ values / drops, relationship(parents), atol=5 * 2 / math.sqrt(drops))


@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, False)])
def test_what_children_get(sides):
    """Of given parents: their mean on average, and around it half the founders' variance, less what is inbred.

    A parent that is known passes on one of two alleles at each of many places, and one that is not is a founder, of
    mean 0 and variance 1, of which a child gets half.
    """
    children = 400
    # Two founders; the second pair of parents are full sibs' young, and so inbred.
    family = [(-1, -1), (-1, -1), (0, 1), (0, 1), (2, 3), (2, 3)]
    for father, mother in ((0, 1), (4, 5)):
        pair = tuple(parent if known else -1 for parent, known in zip((father, mother), sides, strict=True))
        parents = np.array(family + [pair] * children)
        matrix = relationship(parents)
        known = [parent for parent in pair if parent >= 0]
        expected = 1 - sum(matrix[parent, parent] for parent in known) / 4  # (1 + F) / 4 for each known parent
        assert expected == sum(0.25 * (2 - matrix[p, p]) for p in known) + 0.5 * (2 - len(known))
        variances, deviations = [], []
        for seed in range(20):
            values = drop_genes(parents, 100, np.random.default_rng(seed))
            deviation = values[6:] - sum(values[parent] for parent in known) / 2
            variances.append(deviation.var())
            deviations.append(deviation.mean())
        # Means of 8,000 children: five standard errors of the mean. Their variance depends on the alleles of the two
        # parents, 400 of them: it is off by about a tenth for a seed, so that five standard errors of 20 are a ninth.
        assert abs(np.mean(deviations)) < 5 * math.sqrt(expected / (20 * children))
        assert np.mean(variances) == pytest.approx(expected, rel=5 * 0.1 / math.sqrt(20))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("heritability", [0.05, 0.3, 0.9])
def test_prediction_solves_the_mixed_model_equations(seed, heritability):
    """Henderson's equations with dense matrices and a relationship matrix of its own; with a mean as a fixed effect."""
    graph = _made(seed, heritability=heritability)
    recorded = graph.has_record.numpy()
    record = graph.x[:, 0].double().numpy()
    inverse = np.linalg.inv(_by_coancestry(_parents(graph)))
    design, ratio = np.diag(recorded.astype(float)), 1 / heritability - 1
    expected = np.linalg.solve(design + ratio * inverse, design @ record)
    np.testing.assert_allclose(blup(graph, heritability).view(-1), expected, atol=1e-10)
    # The first unknown is the mean.
    ones = design @ np.ones((len(record), 1))
    left = np.block([[np.array([[recorded.sum()]]), ones.T], [ones, design + ratio * inverse]])
    expected = np.linalg.solve(left, np.concatenate([[record[recorded].sum()], design @ record]))[1:]
    np.testing.assert_allclose(blup(graph, heritability, mean=None).view(-1), expected, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_records_without_noise_are_taken_as_they_are(seed):
    """The limit of ever higher heritabilities: what is recorded is known, and the others follow from it."""
    graph = _made(seed, heritability=1.0)
    found = blup(graph, 1.0)
    np.testing.assert_allclose(found[graph.has_record].view(-1), graph.x[graph.has_record, 0], atol=1e-10)
    np.testing.assert_allclose(found, blup(graph, 1 - 1e-9), atol=1e-5)
    assert found.isfinite().all() and found[~graph.has_record].abs().max() > 0


@pytest.mark.parametrize("mean", [0.0, 2.0, None])
@pytest.mark.parametrize(("generations", "size"), [(1, 4), (3, 10), (6, 15)])
def test_prediction_is_the_conditional_mean(generations, size, mean):
    """Regression on the records, with dense matrices; a mean that is estimated, by generalised least squares."""
    graph = Pedigrees(1, generations, size, unknown=0.2)[0]
    recorded = graph.has_record.numpy()
    covariance = relationship(_parents(graph))
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
