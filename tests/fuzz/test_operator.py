"""The operators against dense linear algebra or dynamic programming: random DAGs, chains, grids, forms, layouts, dtypes
and threads."""

import random

import pytest
import torch

from plstm_graph.graph import LineGraph
from tests.fuzz import max_plus, max_plus_regular, operator
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


@pytest.mark.parametrize("problem", ["max_plus_chain", "max_plus_grid", "max_plus_merged"])
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


@pytest.mark.parametrize("wrong", ["value", "gradient", "tie"])
def test_a_max_plus_that_is_slightly_wrong_is_found(wrong, monkeypatch):
    run, found = max_plus.plstm_max_plus, []

    def with_fault(source, transition, mark, direct, line_graph, temperature, form):
        if wrong == "value":
            transition = transition * (1 + 1e-6)
        elif wrong == "gradient":
            source = source.clone()
            source.register_hook(lambda gradient: 1.01 * gradient)
        else:  # The last of equal ones.
            pairs = line_graph.pairs.flip(1)
            line_graph, transition = LineGraph(line_graph.edge_index, line_graph.num_nodes, pairs), transition.flip(0)
        return run(source, transition, mark, direct, line_graph, temperature, form)

    monkeypatch.setattr(max_plus, "plstm_max_plus", with_fault)
    for seed in range(60):
        try:
            max_plus.check_max_plus(random.Random(seed), seed)
        except AssertionError as error:
            found.append(str(error))
    assert found and all("plstm_max_plus, form" in message for message in found)
