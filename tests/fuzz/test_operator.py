"""The operator against dense linear algebra: random DAGs, chains, grids, forms, layouts, dtypes and threads."""

import random

import pytest
import torch

from tests.fuzz import max_plus_regular, operator
from tests.fuzz.operator import check_operator


@pytest.mark.timeout(0)  # As long as the caller asks for.
def test_random_calls_agree_with_dense_linear_algebra(seeds):
    for seed in seeds:
        check_operator(seed)


@pytest.mark.parametrize("gate", ["transition", "right_from_left"])
def test_an_operator_that_is_slightly_wrong_is_found(gate, monkeypatch):
    """A gate off by a millionth: seeds are few, so at least one call in float64 must be found."""
    compare, found = operator._compare, []

    def with_wrong_gate(what, call, dense, operands, summands):
        if gate not in operands or any(tensor.dtype != torch.float64 for tensor in operands.values()):
            return
        try:
            compare(what, lambda **o: call(**o | {gate: o[gate] * (1 + 1e-6)}), dense, operands, summands)
        except AssertionError as error:
            found.append(str(error))

    monkeypatch.setattr(operator, "_compare", with_wrong_gate)
    for seed in range(40):
        check_operator(seed)
    assert found and all("is off by" in message for message in found)


@pytest.mark.parametrize("problem", ["max_plus_chain", "max_plus_grid"])
def test_a_maximum_that_is_slightly_wrong_is_found(problem, monkeypatch):
    """Sums of quarters are exact, so whatever is not equal is wrong."""
    compare = max_plus_regular._compare
    monkeypatch.setattr(
        max_plus_regular,
        "_compare",
        lambda what, call, *rest, steps: compare(
            what, lambda **o: call(**o | {"direct": o["direct"] * (1 + 1e-2)}), *rest, steps=steps
        ),
    )
    with pytest.raises(AssertionError, match="is off by"):
        for seed in range(40):
            getattr(max_plus_regular, problem)(random.Random(seed), seed)
