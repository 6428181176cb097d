import pytest
import torch

from benchmarks.operators import cases, workloads  # noqa: F401, they fill the registries
from benchmarks.operators.cases import plstm_operands
from benchmarks.operators.compile import count_graph_breaks
from benchmarks.operators.peers import GATv2Model
from benchmarks.operators.registry import OPERATORS, NotMeasured, Width, make_case, make_workload
from benchmarks.operators.suites import LIMITED
from plstm_graph.nn import PLSTM, count_parameters

WIDTH = Width(2, 4, 4)


@pytest.fixture(scope="module")
def molecules():
    return make_workload("nci-3")


@pytest.mark.parametrize("name", OPERATORS)
def test_every_pass_runs(name, molecules):
    case = make_case(name, molecules, WIDTH)
    assert set(case) in ({"forward", "forward+backward"}, {"training step"}, {"build"})
    for run in case.values():
        run()


def test_what_does_not_apply_says_so():
    chain = make_workload("chain-30000")
    with pytest.raises(NotMeasured, match="needs molecules"):
        make_case("PLSTM model", chain, WIDTH)
    with pytest.raises(NotMeasured, match="at most 20000"):
        make_case("plstm naive", chain, WIDTH)
    with pytest.raises(NotMeasured, match="GiB of memory"):
        make_case("plstm recurrent", chain, Width(64, 1024, 1024))


def test_operands_keep_states_bounded():
    hub = make_workload("hub-5")
    transition = plstm_operands(hub, WIDTH)["transition"]
    into_hub = torch.zeros(10, 2).index_add(0, hub.line_graph.pairs[0], transition)
    assert (into_hub[:5] <= 1).all()
    assert (into_hub[:5] > 0.9).all()


def test_models_of_equal_size():
    size = count_parameters(PLSTM("atom", 96, 2, 1))
    assert count_parameters(GATv2Model.of_size(size, 96)) == pytest.approx(size, rel=2e-3)


@pytest.mark.slow
def test_no_graph_breaks():
    assert count_graph_breaks(modes="P", direction="forward") == 0


@pytest.mark.parametrize("number", [1, 2])
def test_a_number_of_threads_holds_for_its_case_alone(number, molecules, monkeypatch):
    found = []
    monkeypatch.setattr(
        cases, "plstm", lambda *_, query, value, **__: found.append(torch.get_num_threads()) or value * 1
    )
    before = torch.get_num_threads()
    make_case(LIMITED[number - 1], molecules, WIDTH)["forward"].prepare()
    assert found == [number] and torch.get_num_threads() == before
