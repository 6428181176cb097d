"""Delays of gates by hand, circuits read from files, and pieces whose gates keep their delays."""

import pytest
import torch

from plstm_graph.datasets.circuits.aiger import read_circuit
from plstm_graph.datasets.circuits.epfl import PARTS
from plstm_graph.datasets.circuits.gate_delays import KINDS, gate_delays
from plstm_graph.datasets.circuits.pieces import draw_cones, timing_pieces
from plstm_graph.datasets.circuits.timing import CircuitTiming, timed_circuit
from plstm_graph.datasets.circuits.timing_analysis import arrival_times, required_times
from plstm_graph.tasks.circuits import arrival_metrics, path_metrics
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.testing import assert_close
from tests.made_circuits import circuit_folder, random_circuit

# x = a AND b; y = NOT a AND NOT b; sum = NOT x AND NOT y, which is also an output, as is NOT x.
HALF_ADDER = b"aig 5 2 0 2 3\n10\n7\n" + bytes([2, 2, 3, 2, 1, 2])
DELAYS = ["fan_out", "driven"]


def half_adder(tmp_path, delays):
    (tmp_path / "half_adder.aig").write_bytes(HALF_ADDER)
    return timed_circuit(read_circuit(tmp_path / "half_adder.aig"), "half_adder", delays)


def test_a_half_adder_by_hand(tmp_path):
    data = half_adder(tmp_path, "fan_out")
    assert [KINDS[int(kind)] for kind in data.x[:, 0]] == ["input", "input", "and", "nor", "nor"]
    assert (10 * data.x[:, 1]).round().tolist() == [2, 2, 1, 1, 0] and data.edge_attr.view(-1).tolist() == [
        0,
        0,
        1,
        1,
        1,
        1,
    ]
    assert data.is_endpoint.tolist() == [False, False, True, False, True]
    # and: 1 + .2 * 1; nor: .8 + .2 * 1 + .3 of an inverted input; the last one drives nothing.
    expected = torch.tensor([1.2, 1.2, 1.3, 1.3, 1.1, 1.1], dtype=torch.double)
    assert_close(data.delay, expected, 1e-15, "delay")
    assert data.y[:2].isnan().all()
    assert_close(data.y[2:].view(-1), torch.tensor([1.2, 1.3, 2.4]), 1e-6, "arrival")  # rounded to float32
    driven = half_adder(tmp_path, "driven")
    # Both load a nor by an inverted input: 1.6 + .25.
    assert_close(driven.delay[:4], torch.tensor([1.37, 1.37, 1.47, 1.47], dtype=torch.double), 1e-15, "delay")


@pytest.mark.parametrize("delays", DELAYS)
def test_delays_gate_by_gate(delays):
    """The formula of the documentation, in a plain loop."""
    data = timed_circuit(random_circuit(), "random", delays)
    intrinsic = dict(zip(KINDS, (0.0, 1.0, 1.2, 0.8, 0.5), strict=True))
    capacitance = dict(zip(KINDS, (0.0, 1.0, 1.3, 1.6, 0.7), strict=True))
    kinds = [KINDS[int(kind)] for kind in data.x[:, 0]]
    edges = list(zip(*data.edge_index.tolist(), data.edge_attr.view(-1).tolist(), strict=True))
    assert {"and", "and_not", "nor"} <= set(kinds)
    for number, (_, gate, inverts) in enumerate(edges):
        driven = [(kinds[end], inverted) for start, end, inverted in edges if start == gate]
        load = sum(capacitance[kind] + 0.25 * inverted if delays == "driven" else 1.0 for kind, inverted in driven)
        expected = intrinsic[kinds[gate]] + 0.2 * load + 0.3 * inverts
        assert data.delay[number].item() == pytest.approx(expected, rel=1e-12)


def all_paths(data, end, start=0.0):
    """Delays of all paths that lead to a node, with the columns of their edges, by going back from it."""
    into = [column for column, node in enumerate(data.edge_index[1].tolist()) if node == end]
    if not into:
        return [(start, ())]
    return [
        (total, (*path, column))
        for column in into
        for total, path in all_paths(data, int(data.edge_index[0, column]), start + float(data.delay[column]))
    ]


@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("seed", range(4))
def test_arrival_slack_and_critical_path_by_all_paths(delays, seed):
    circuit = timed_circuit(random_circuit(inputs=4, gates=24, seed=seed), "random", delays)
    paths = {node: all_paths(circuit, node) for node in range(circuit.num_nodes)}
    latest = torch.tensor([max(paths[node])[0] for node in paths], dtype=torch.double)
    gates = circuit.x[:, 0] > 0
    assert max(map(len, paths.values())) > 20 and gates.sum() == 24
    assert circuit.y[~gates].isnan().all()
    assert_close(circuit.y[gates].view(-1).double(), latest[gates], 1e-6, "arrival")  # rounded to float32
    ends = circuit.is_endpoint.nonzero().view(-1).tolist()
    period = max(latest[end] for end in ends)
    required = required_times(circuit.edge_index, circuit.delay, circuit.is_endpoint, float(period))
    through = torch.full((circuit.num_nodes,), -torch.inf, dtype=torch.double)
    for end in ends:  # the longest path through a node to an output decides how much later it may be
        for total, path in paths[end]:
            for node in {end, *circuit.edge_index[0, list(path)].tolist()}:
                through[node] = max(through[node], total)
    leads_out = through.isfinite()
    assert_close((required - latest)[leads_out], (period - through)[leads_out], 1e-12, "slack")
    assert bool((required[~leads_out] == torch.inf).all())
    # What is predicted late by as much at every output, in units of the longest path.
    for late in (0.0, 0.7, -0.3):
        row = path_metrics((latest + late).view(-1, 1), circuit)
        assert row["slack"] == pytest.approx(abs(late) / float(period), abs=1e-12)
    # The trace is one of the paths to the output that is predicted to be the last.
    found = path_metrics(latest.view(-1, 1), circuit)["path"] * float(period)
    last = max(ends, key=lambda end: latest[end])
    assert min(abs(found - total) for total, _ in paths[last]) < 1e-12 and found <= float(period) * (1 + 1e-12)


@pytest.mark.parametrize("delays", DELAYS)
def test_a_piece_with_all_that_leads_to_a_gate_has_its_times(delays):
    circuits = [timed_circuit(random_circuit(seed=seed), "random", delays) for seed in range(3)]
    pieces = timing_pieces(circuits, 12, 1000, seed=5)
    for piece, (number, taken) in zip(pieces, draw_cones(circuits, 12, 1000, seed=5), strict=True):
        gates = piece.y.isfinite()
        assert int(gates.sum()) == int(taken.sum())
        # The same sums of the same numbers, level by level.
        assert torch.equal(piece.y[gates], circuits[number].y[taken].view(-1))
        assert piece.is_endpoint.sum() == (circuits[number].is_endpoint & taken).sum()


def test_unknown_delays_are_named():
    with pytest.raises(ValueError, match="delays must be 'fan_out' or 'driven', got 'load'"):
        gate_delays(torch.zeros(1, dtype=torch.long), torch.empty(2, 0, dtype=torch.long), torch.empty(0), "load")


@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("size", [1, 7, 40, 500])
def test_gates_of_a_piece_keep_their_delays(delays, size):
    circuits = [timed_circuit(random_circuit(seed=seed), "random", delays) for seed in (0, 1)]
    pieces = timing_pieces(circuits, 12, size, seed=3)
    assert torch.equal(timing_pieces(circuits, 5, size, seed=3)[4].edge_index, pieces[4].edge_index)
    for number, piece in enumerate(pieces):
        whole = circuits[number % 2]
        gates = piece.y.isfinite().view(-1)
        assert 1 <= gates.sum() <= min(size, 120)
        # What models see decides the delays of the piece as it decides those of the whole.
        inverted = piece.edge_attr.view(-1).bool()
        into_gates = gates[piece.edge_index[1]]
        again = gate_delays(piece.x[:, 0].long(), piece.edge_index, inverted, delays)
        assert_close(again[into_gates], piece.delay[into_gates], 1e-14, "delay")
        fan_out = torch.bincount(piece.edge_index[0], minlength=piece.num_nodes)
        assert torch.equal(piece.x[gates, 1], fan_out[gates] / 10)  # the same division
        assert_close(piece.x[:, 2], (10 * piece.x[:, 1]).log1p(), 1e-6, "logarithm")
        # No path leads through anything but gates: inputs begin paths, loads end them.
        starts, ends = set(piece.edge_index[0].tolist()), set(piece.edge_index[1].tolist())
        assert starts & ends <= set(gates.nonzero().view(-1).tolist())
        assert (piece.x[~gates, 0] == 0).sum() == sum(not gates[node] for node in starts)
        arrival = arrival_times(piece.edge_index, piece.delay, piece.num_nodes)
        assert_close(piece.y[gates].view(-1).double(), arrival[gates], 1e-6, "arrival")  # rounded to float32
        assert piece.y[gates].max() <= whole.y[whole.y.isfinite()].max()


def test_what_a_designer_asks():
    circuit = timed_circuit(random_circuit(gates=60), "random")
    exact = circuit.y.nan_to_num()
    row = path_metrics(exact, circuit)
    assert row["slack"] < 1e-6 and 0.9 < row["path"] <= 1.0
    late = path_metrics(exact + 2.0, circuit)
    period = float(arrival_times(circuit.edge_index, circuit.delay, circuit.num_nodes)[circuit.is_endpoint].max())
    assert late["slack"] == pytest.approx(2.0 / period, rel=1e-5) and late["path"] == row["path"]
    # A prediction that takes gates for early that are late loses the path.
    assert path_metrics(-exact, circuit)["path"] < row["path"]
    metrics = arrival_metrics(exact.double() + 0.5, circuit.y)
    assert metrics["mae"] == pytest.approx(0.5, rel=1e-5) and metrics["rmse"] == pytest.approx(0.5, rel=1e-5)
    assert metrics["relative"] == pytest.approx(0.5 / float(exact.max()), rel=1e-5) and metrics["r2"] < 1


NAN = float("nan")


@pytest.mark.parametrize(
    ("true", "expected"),
    [
        ([NAN, NAN], {"r2": NAN, "relative": NAN, "rmse": NAN, "mae": NAN}),  # no gate at all
        ([NAN, 3.0, 3.0], {"r2": NAN, "relative": 2 / 3, "rmse": 2.0, "mae": 2.0}),  # nothing to explain
        ([0.0, 0.0, NAN], {"r2": NAN, "relative": NAN, "rmse": 1.0, "mae": 1.0}),
        ([1.0, 4.0, NAN], {"r2": 1 - 9 / 4.5, "relative": 1.5 / 4, "rmse": 4.5**0.5, "mae": 1.5}),
    ],
)
def test_metrics_that_are_not_defined_are_no_numbers(true, expected):
    row = arrival_metrics(torch.ones(len(true), 1), torch.tensor(true).view(-1, 1))
    assert row == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("change", ["no output is a gate", "no time passes", "a prediction is no number"])
def test_paths_that_are_not_defined_are_no_numbers(change, tmp_path):
    circuit = half_adder(tmp_path, "fan_out")
    output = circuit.y.nan_to_num()
    if change == "no output is a gate":
        circuit.is_endpoint = circuit.x[:, 0] == 0
    elif change == "no time passes":
        circuit.delay = torch.zeros_like(circuit.delay)
    else:
        output[3] = NAN
    assert path_metrics(output, circuit) == pytest.approx({"slack": NAN, "path": NAN}, nan_ok=True)


def test_parts_and_task(tmp_path):
    source = circuit_folder(tmp_path / "source", gates=20)
    for part, names in PARTS.items():
        found = CircuitTiming(tmp_path / "root", part, source)
        assert tuple(graph.circuit for graph in found) == names
    own, driven = (CircuitTiming(tmp_path / "root", "test", source, delays)[0].delay for delays in DELAYS)
    assert not torch.equal(own, driven)
    task = load_task("timing", str(tmp_path / "root"), str(source), samples=24, nodes=2)
    assert isinstance(task, GraphTask) and list(task.parts) == ["train", "valid", *(f"test_{n}" for n in PARTS["test"])]
    assert len(task.parts["train"]) == 24 and task.target.kind == "raw"
    with pytest.raises(ValueError, match="split must be one of train, valid, test, got 'hyp'"):
        CircuitTiming(tmp_path / "root", "hyp", source)


@pytest.mark.slow
def test_the_deepest_circuit(real_data, tmp_path):
    (hyp,) = [graph for graph in CircuitTiming(tmp_path, "test", real_data) if graph.circuit == "hyp"]
    assert hyp.num_nodes == 214_591
    # 24,801 gates lie on the longest path, each with a delay of about two.
    assert 24_801 < hyp.y[hyp.is_endpoint].max() < 3 * 24_801
    # The trace looks at arrival times alone, and not at which input of a gate inverts.
    assert path_metrics(hyp.y.nan_to_num(), hyp)["path"] > 0.999
