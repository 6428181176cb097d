import pytest

from benchmarks.operators import cases, workloads  # noqa: F401, operators fill their registry
from benchmarks.operators.registry import FAMILIES, OPERATORS, NotMeasured, family, make_case, make_workload
from benchmarks.operators.suites import SUITES

# Nodes, edges, pairs, levels with edges.
SIZES = {
    "nci-128": (2156, 2257, 2160, 20),
    "random-50": (10, 50, None, None),
    "chain-7": (8, 7, 6, 7),
    "grid-3": (9, 12, 14, 4),
    "layered-5": (10_000, 16_000, None, 4),
    "instar-6": (7, 6, 0, 1),
    "outstar-6": (7, 6, 0, 1),
    "hub-3": (7, 6, 9, 2),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    graph = make_workload(name).line_graph
    found = (graph.num_nodes, graph.num_edges, graph.num_pairs, graph.schedule.num_levels)
    assert all(size == expected for size, expected in zip(found, SIZES[name], strict=True) if expected is not None)


def test_every_family_is_used_and_every_name_of_the_suites_is_known():
    groups = [group for groups in SUITES.values() for group in groups]
    assert {name.partition("-")[0] for group in groups for name in group.workloads} == set(FAMILIES)
    assert {name for group in groups for name in group.operators} == set(OPERATORS)
    assert all(group.reference in OPERATORS for group in groups)


@pytest.mark.parametrize("name", ["molhiv-3", "peptides-3", "circuit-ctrl"])
def test_real_data(name, monkeypatch, real_data):
    workload = make_workload(name)
    assert workload.line_graph.num_pairs > 0
    assert (workload.batch is None) == (name == "circuit-ctrl")
    monkeypatch.setenv("PLSTM_DATA", "/nonexistent")
    with pytest.raises(NotMeasured, match="PLSTM_DATA has no"):
        make_workload(name)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    with pytest.raises(NotMeasured, match="set PLSTM_DATA"):
        make_workload("molhiv-3")
    with pytest.raises(NotMeasured, match="only 2 molecules"):
        workloads._molecules("three", ["C", "C1CC", "CC"], 3)
    with pytest.raises(ValueError, match="no workload 'tree-3'; the families are nci"):
        make_workload("tree-3")
    with pytest.raises(ValueError, match="no operator 'LSTM'"):
        make_case("LSTM", make_workload("chain-3"), (2, 4, 4))


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="there is a 'chain' already"):
        family("chain")(lambda size: None)
