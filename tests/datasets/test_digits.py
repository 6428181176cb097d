"""Numbers as text."""

import math

import pytest
import torch

from plstm_graph.datasets.digits import column, exact, exact_cells, rows_of_columns, shown
from plstm_graph.report.study import mean_and_std, with_std


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.51134, "0.5113"),
        (0.5, "0.5000"),
        (0.99999, "1.000"),
        (-0.0211349, "-0.02113"),
        (1234.5678, "1235"),
        (123456.7, "123457"),
        (1e8 + 1, "1.000e+08"),
        (1.23456e-30, "1.235e-30"),
        (-2e25, "-2.000e+25"),
        (0.0, "0.0000"),
        (math.nan, "undefined"),
        (None, "undefined"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_four_digits_in_any_unit(value, text):
    assert shown(value) == text


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e8, 1e30])
def test_different_values_of_a_column_look_different(scale):
    values = [scale * value for value in (1.0, 1.00001, 1.00002, 3.0)]
    texts = column([*values, math.nan, None])
    assert len(set(texts)) == 5
    assert [float(text) for text in texts[:4]] == pytest.approx(values, rel=1e-5)
    assert rows_of_columns([[1.0, values[0]], [1.0, values[1]]])[0] == ["1.000", column(values[:2])[0]]


def test_equal_values_take_no_more_digits():
    assert column([0.25, 0.25, math.nan]) == ["0.2500", "0.2500", "undefined"]
    assert column([0.1, 0.1 + 1e-17]) == ["0.1000", "0.1000"]


@pytest.mark.parametrize("value", [0.1, 1e8 + 1 / 3, 1e-30 / 3, 5e20, 7.0, -123456789.0])
def test_files_have_all_digits(value):
    assert float(exact(value)) == value  # the shortest text that reads back the same
    doubles, singles = torch.tensor([[value]], dtype=torch.double), torch.tensor([[value]])
    assert float(exact_cells(doubles)[0][0]) == value
    assert torch.tensor(float(exact_cells(singles)[0][0])) == singles.item()
    assert len(exact_cells(singles)[0][0]) <= 14


def test_cells_of_other_types():
    assert exact_cells(torch.tensor([[1.0, math.nan]])) == [["1", ""]]
    assert exact_cells(torch.tensor([[3]])) == [["3"]]
    assert exact_cells(torch.tensor([[0.5]], dtype=torch.bfloat16)) == [["0.5"]]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.76, 0.77], "0.7650 ± 0.0071"),
        ([0.76], "0.7600"),
        ([1.2e-5, 1.3e-5], "1.250e-05 ± 7.071e-07"),
        ([3e20], "3.000e+20"),
        ([0.0, 0.0], "0.0000 ± 0.0000"),
    ],
)
def test_mean_and_spread_in_any_unit(values, text):
    assert with_std(mean_and_std(values)) == text
