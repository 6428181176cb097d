"""When signals arrive in a circuit: trained on pieces of circuits, tested on whole others."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.circuits.gate_delays import KINDS, Delays
from plstm_graph.datasets.circuits.timing import CircuitTiming
from plstm_graph.datasets.circuits.timing_analysis import arrival_times, latest_path
from plstm_graph.tasks.circuits import draw_cones
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.regression import mae, r2, rmse
from plstm_graph.tasks.rows import Row
from plstm_graph.tasks.scaled_target import ScaledTarget


def timing(
    root: str,
    source: str | None,
    samples: int = 300,
    nodes: int = 300,
    delays: Delays = "fan_out",
    seed: int = 0,
) -> GraphTask:
    """Arrival time of every gate; trains on pieces of twelve circuits, validates on two and tests on six whole ones.

    Args:
        root: Folder of all data sets.
        source: Folder with an offline copy of the circuits.
        samples: Number of pieces of the training part.
        nodes: Largest number of gates of a piece.
        delays: As of :class:`~plstm_graph.datasets.CircuitTiming`.
        seed: Of the pieces.
    """
    train, valid, test = (list(CircuitTiming(root, part, source, delays)) for part in ("train", "valid", "test"))
    parts: dict[str, Sequence[Data]] = {"train": timing_pieces(train, samples, nodes, seed), "valid": valid}
    return GraphTask(
        name="timing",
        parts=parts | {f"test_{circuit.circuit}": [circuit] for circuit in test},
        target_level="node",
        out_channels=1,
        in_channels=[len(KINDS), 0, 0],
        edge_dim=[2],
        objective="l1",
        metrics=arrival_metrics,
        monitor={"rmse": "min"},
        target=ScaledTarget.fit("raw", parts["train"]),
        graph_metrics=path_metrics,
        column_names={"x": ["kind", "fan_out_tens", "log_fan_out"], "edge_attr": ["inverted"], "y": ["arrival"]},
    )


def timing_pieces(circuits: Sequence[Data], samples: int, nodes: int, seed: int) -> list[Data]:
    """Gates that lead to a random gate, nearest first, with what feeds them as inputs, which switch at 0.

    The gates that these drive belong to a piece as well, as their load: so each gate has the delay that it has in the
    whole circuit. What drives a gate that is there as a load is not all there; it has no target.

    Args:
        circuits: By :class:`~plstm_graph.datasets.CircuitTiming`.
        samples: Number of pieces.
        nodes: Largest number of gates of each that have a target.
        seed: Sample ``i`` depends on this and on ``i`` only.
    """
    return [_piece(circuits[number], gates) for number, gates in draw_cones(circuits, samples, nodes, seed)]


def _piece(circuit: Data, is_gate: Tensor) -> Data:
    """A circuit around some of the gates of another one, by a mask ``[N]``."""
    start, end = circuit.edge_index
    inside = is_gate[end].nonzero().view(-1)
    outside = (is_gate[start] & ~is_gate[end]).nonzero().view(-1)
    core = torch.unique(torch.cat([is_gate.nonzero().view(-1), start[inside]]))
    # A node may be both a load and an input, further on. It then stands here twice, so that no path leads through it.
    loads, load = torch.unique(end[outside], return_inverse=True)
    place = torch.full((circuit.num_nodes,), -1)
    place[core] = torch.arange(len(core))
    within = place[circuit.edge_index[:, inside]]
    edge_index = torch.cat([within, torch.stack([place[start[outside]], len(core) + load])], dim=1)
    edges, nodes = torch.cat([inside, outside]), torch.cat([core, loads])
    gates = is_gate[nodes] & (torch.arange(len(nodes)) < len(core))
    fan_out = torch.bincount(within[0], minlength=len(core)).float()
    inputs = torch.stack([torch.zeros_like(fan_out), fan_out / 10, fan_out.log1p()], dim=1)
    x = circuit.x[nodes].clone()
    x[: len(core)] = torch.where(gates[: len(core), None], x[: len(core)], inputs)
    arrival = arrival_times(within, circuit.delay[inside], len(nodes))
    return Data(
        x=x,
        edge_index=edge_index,
        edge_attr=circuit.edge_attr[edges],
        y=torch.where(gates, arrival, torch.nan).float().view(-1, 1),
        delay=circuit.delay[edges],
        is_endpoint=gates & circuit.is_endpoint[nodes],
    )


def arrival_metrics(output: Tensor, y: Tensor) -> Row:
    """Errors of arrival times over gates; ``relative`` is the mean absolute error over the latest arrival.

    What is not defined is NaN: all of it without gates, ``r2`` of equal arrivals, ``relative`` where all are 0.

    Args:
        output: ``[N, 1]``
        y: ``[N, 1]``, NaN at inputs.
    """
    known = y.isfinite()
    predicted, true = output[known], y[known]
    error, latest = mae(predicted, true), float(true.max()) if true.numel() else math.nan
    return {
        "r2": r2(predicted, true),
        "relative": error / latest if latest else math.nan,
        "rmse": rmse(predicted, true),
        "mae": error,
    }


def path_metrics(output: Tensor, circuit: Data) -> Row:
    """What a designer asks of a prediction for a circuit.

    Args:
        output: Predicted arrival times, ``[N, 1]``.
        circuit: As of :class:`~plstm_graph.datasets.CircuitTiming`.

    Returns:
        ``slack``, the mean absolute error of the slack at outputs over the period, which is the delay of the critical
        path; and ``path``, the true delay of the path that the prediction takes for critical over that of the critical
        path, at most 1. Both are NaN where no gate is an output or the period is 0, and where a prediction is not
        finite.
    """
    is_gate = circuit.y.view(-1).isfinite()
    predicted = torch.where(is_gate, output.view(-1).double().cpu(), 0.0)
    ends = (circuit.is_endpoint & is_gate).nonzero().view(-1)
    # In float64, where the targets are rounded.
    exact = arrival_times(circuit.edge_index, circuit.delay, circuit.num_nodes)
    period = float(exact[ends].max()) if ends.numel() else 0.0
    if period == 0 or not predicted.isfinite().all():
        return {"slack": math.nan, "path": math.nan}
    path = latest_path(circuit.edge_index, predicted, int(ends[predicted[ends].argmax()]))
    return {
        "slack": float((predicted[ends] - exact[ends]).abs().mean()) / period,
        "path": float(circuit.delay[path].sum()) / period,
    }
