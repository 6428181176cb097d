"""Patterns of sparse products that lead outside their matrix are an error, not a read of foreign memory."""

import pytest
import torch

from plstm_graph import LineGraph, plstm
from plstm_graph.ops.sparse import Pattern, sampled_product
from plstm_graph.testing import random_dag, random_operands
from tests.ops.catalogue import native_code

#: No index of a small matrix.
BAD = [-1, 10_000, 2**40, -(2**63)]
PTR, COLUMN = torch.tensor([0, 2, 3, 3]), torch.tensor([0, 1, 1])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", range(7))
def test_an_index_outside_its_range_is_refused(place, bad):
    tensors = [PTR.clone(), COLUMN.clone()]
    tensors[place // 4][place % 4] = bad
    with pytest.raises(ValueError, match="outside their range"):
        sampled_product(Pattern(*tensors), torch.randn(3, 4), torch.randn(2, 4))


def test_rows_out_of_order_or_of_another_number_are_refused():
    for ptr in (torch.tensor([0, 3, 2, 3]), PTR[:3], torch.tensor([0, 2, 3, 3, 3]), PTR[:0]):
        with pytest.raises(ValueError, match="outside their range"):
            sampled_product(Pattern(ptr, COLUMN), torch.randn(3, 4), torch.randn(2, 4))


def test_a_good_pattern_gives_the_entries_of_the_product():
    left, right = torch.randn(3, 4), torch.randn(2, 4)
    expected = (left @ right.t())[[0, 0, 1], [0, 1, 1]]
    torch.testing.assert_close(sampled_product(Pattern(PTR, COLUMN), left, right), expected)
    nothing = Pattern(torch.zeros(4, dtype=torch.long), COLUMN[:0])
    assert sampled_product(nothing, left, right).shape == (0,)


@pytest.mark.parametrize("bad", BAD)
def test_damaged_links_do_not_take_the_process_with_them(bad):
    for name in ("ptr", "column"):
        graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(1)), 9)
        getattr(graph.links.by_reader, name)[3] = bad
        with native_code(False), pytest.raises((ValueError, RuntimeError, IndexError)):
            plstm(**random_operands(graph, 1, 3, 4), line_graph=graph, form="parallel")
