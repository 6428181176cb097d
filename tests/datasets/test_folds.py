"""Folds: every row is tested once, strata are spread evenly, groups stay together, and a seed says all."""

import numpy as np
import pytest

from plstm_graph.datasets.folds import TEST, TRAIN, VALID, check_fold, fold_of_each, parts_of_fold, parts_of_fractions

_RANDOM = np.random.default_rng(0)
CLASSES = np.array(["a"] * 40 + ["b"] * 15 + ["c"] * 5)
NUMBERS = _RANDOM.normal(size=60)
GROUPS = np.array([f"g{number}" for number in _RANDOM.integers(0, 12, 60)])
KINDS = {
    "random": {},
    "classes": {"targets": CLASSES},
    "numbers": {"targets": NUMBERS},
    "missing": {"targets": np.where(np.arange(60) % 4 == 0, np.nan, NUMBERS)},
    "groups": {"groups": GROUPS},
    "classes in groups": {"targets": CLASSES, "groups": GROUPS},
}


@pytest.mark.parametrize("num_folds", [3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_each_row_is_tested_once_and_parts_do_not_meet(kind, num_folds):
    folds = fold_of_each(60, num_folds, 1, **KINDS[kind])
    assert np.array_equal(folds, fold_of_each(60, num_folds, 1, **KINDS[kind]))
    tested = np.zeros(60, dtype=int)
    for fold in range(num_folds):
        part = parts_of_fold(folds, fold, num_folds)
        tested += part == TEST
        assert np.array_equal(part == VALID, parts_of_fold(folds, (fold + 1) % num_folds, num_folds) == TEST)
        assert {TRAIN, VALID, TEST} == set(part)
        if "groups" in kind:
            for group in set(GROUPS):
                assert len(set(part[group == GROUPS])) == 1
    assert (tested == 1).all()


@pytest.mark.parametrize("kind", ["random", "classes", "numbers", "missing"])
def test_folds_are_of_one_size_and_another_seed_gives_others(kind):
    folds = fold_of_each(60, 5, 0, **KINDS[kind])
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= (0 if kind == "random" else 5)
    assert not np.array_equal(folds, fold_of_each(60, 5, 1, **KINDS[kind]))


def test_every_fold_has_its_share_of_each_class_and_of_each_tenth():
    folds = fold_of_each(60, 5, 0, targets=CLASSES)
    counts = [[int(((folds == fold) & (name == CLASSES)).sum()) for name in "abc"] for fold in range(5)]
    assert counts == [[8, 3, 1]] * 5
    folds = fold_of_each(60, 5, 0, targets=NUMBERS)
    tenth = np.argsort(np.argsort(NUMBERS)) // 6
    counts = np.array([[((folds == fold) & (tenth == number)).sum() for number in range(10)] for fold in range(5)])
    assert counts.min() >= 1 and counts.max() <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_parts_by_fractions(kind):
    part = parts_of_fractions((0.6, 0.2, 0.2), 60, 0, **KINDS[kind])
    sizes = np.bincount(part, minlength=3)
    assert np.abs(sizes - [36, 12, 12]).max() <= (8 if "groups" in kind else 3)
    if "groups" in kind:
        assert all(len(set(part[group == GROUPS])) == 1 for group in set(GROUPS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 3), "3 folds need as many rows, and the number is 2"),
        ((6, 3, 0, None, ["a", "b", "a", "b", "a", "b"]), "3 folds need as many groups, and the number is 2"),
        ((6, 4, 0, np.array(list("aabbcc"))), "4 stratified folds need a class of as many rows, and the largest has 2"),
    ],
)
def test_too_few(arguments, message):
    with pytest.raises(ValueError, match=message):
        fold_of_each(*arguments)


@pytest.mark.parametrize(("fold", "num_folds", "message"), [(0, 2, "at least 3"), (5, 5, "0 to 4"), (-1, 5, "0 to 4")])
def test_no_such_fold(fold, num_folds, message):
    with pytest.raises(ValueError, match=message):
        check_fold(fold, num_folds)
