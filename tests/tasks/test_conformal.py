"""Split conformal intervals: the exact quantile of finite samples, and the coverage that follows from it."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from plstm_graph.tasks.conformal import (
    MOST_SCORES,
    Interval,
    check_coverage,
    conformal_rank,
    fewest_rows,
    fit_interval,
    kept_scores,
)

_COVERAGES = st.integers(1, 99).map(lambda percent: percent / 100)


@given(rows=st.integers(1, 5000), coverage=_COVERAGES)
def test_the_rank_is_that_of_the_decimal_number(rows, coverage):
    exact = Fraction(round(coverage * 100), 100) * (rows + 1)
    assert conformal_rank(rows, coverage) == math.ceil(exact)
    assert (conformal_rank(rows, coverage) <= rows) == (rows >= fewest_rows(coverage))


@given(scores=st.lists(st.integers(0, 10**6), min_size=2, max_size=60, unique=True), coverage=_COVERAGES)
def test_of_exchangeable_rows_exactly_so_many_lie_in_their_intervals(scores, coverage):
    """Each row in turn is the new one: the rank among ``n + 1`` rows is what decides, and every rank occurs once."""
    rows = len(scores) - 1
    assume(rows >= fewest_rows(coverage))
    inside = 0
    for number, score in enumerate(scores):
        others = torch.tensor([*scores[:number], *scores[number + 1 :]], dtype=torch.double)
        inside += score <= Interval(rows, kept_scores(others)).quantile(coverage)
    assert inside == conformal_rank(rows, coverage) >= coverage * (rows + 1) - 1e-9


@given(rows=st.integers(1, 4000), coverage=_COVERAGES)
def test_kept_scores_never_give_narrower_intervals_than_all_of_them(rows, coverage):
    rank = conformal_rank(rows, coverage)
    kept = kept_scores(torch.arange(rows, 0, -1).double())
    found = Interval(rows, kept).quantile(coverage)
    assert len(kept) == min(rows, MOST_SCORES) and kept[-1] == rows
    if rank > rows:
        assert math.isinf(found)
    else:
        assert rank <= found < rank + rows / MOST_SCORES + 1e-9 if rows > MOST_SCORES else found == rank


@pytest.mark.parametrize(("coverage", "rows"), [(0.9, 9), (0.95, 19), (0.5, 1), (0.99, 99), (0.999, 999)])
def test_how_many_rows_an_interval_needs(coverage, rows):
    assert fewest_rows(coverage) == rows


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 90.0, math.nan, math.inf])
def test_a_coverage_is_a_part(coverage):
    with pytest.raises(ValueError, match=r"coverage must be between 0 and 1, such as 0\.9"):
        check_coverage(coverage)


def _noisy(rows, spread, seed=0):
    """Predictions of 0, and measured values with a deviation of their own each."""
    draw = torch.Generator().manual_seed(seed)
    std = torch.exp(spread * torch.randn(rows, generator=draw, dtype=torch.double))
    return torch.zeros(rows, dtype=torch.double), std, std * torch.randn(rows, generator=draw, dtype=torch.double)


def test_deviations_are_used_where_they_make_intervals_narrower():
    predicted, std, measured = _noisy(600, 1.0)
    by_std, alike = fit_interval(predicted, std, measured), fit_interval(predicted, None, measured)
    assert by_std.offset is not None and alike.offset is None
    assert float(by_std.half_width(std, predicted, 0.9).mean()) < 0.9 * float(alike.half_width(None, predicted, 0.9)[0])
    shuffled = std[torch.randperm(600, generator=torch.Generator().manual_seed(1))]
    assert fit_interval(predicted, shuffled, measured).offset is None
    assert fit_interval(predicted, torch.zeros(600, dtype=torch.double), measured).offset is None
    assert fit_interval(predicted[:49], std[:49], measured[:49]).offset is None  # too few to decide


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_new_rows_lie_in_intervals_as_often_as_asked(spread):
    """Over many draws; the mean coverage has the deviation of a binomial of all new rows, and then some."""
    found = []
    for seed in range(100):
        predicted, std, measured = _noisy(400, spread, seed)
        interval = fit_interval(predicted[:100], std[:100], measured[:100])
        half = interval.half_width(std[100:], predicted[100:], 0.8)
        found.append(float((measured[100:].abs() <= half).double().mean()))
    mean = sum(found) / len(found)
    # Of one draw the coverage is Beta(81, 20), of deviation 0.04; a choice of three kinds moves it by less than that.
    assert abs(mean - 81 / 101) < 0.03


def test_values_that_were_not_measured_do_not_count():
    measured = torch.tensor([1.0, math.nan, 3.0, math.nan])
    interval = fit_interval(torch.zeros(4), None, measured)
    assert interval == Interval(2, [1.0, 3.0])
    assert interval.half_width(None, torch.zeros(2), 0.6).tolist() == [3.0, 3.0]
    assert interval.half_width(None, torch.zeros(2), 0.7).isnan().all()
    assert fit_interval(torch.zeros(1), None, torch.tensor([math.nan])) == Interval(0, [])
