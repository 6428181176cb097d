"""Circuits: probability and arrival time of signals, learnt on pieces of circuits, tested on whole others."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.circuits.epfl import EPFLCircuits
from plstm_graph.datasets.circuits.gate_delays import KINDS, Delays
from plstm_graph.datasets.circuits.pieces import sub_circuits, timing_pieces, with_probabilities
from plstm_graph.datasets.circuits.timing import CircuitTiming
from plstm_graph.datasets.circuits.timing_analysis import arrival_times, latest_path
from plstm_graph.tasks.graph_task import GraphTask, regression
from plstm_graph.tasks.metrics import mae, r2, rmse
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.task import Row


def circuits(root: str, source: str | None, samples: int = 300, nodes: int = 300, seed: int = 0) -> GraphTask:
    """Signal probability of every gate; trains on samples of circuits, tests on whole other circuits.

    Args:
        root: Folder of all data sets.
        source: Folder with an offline copy.
        samples: Number of sub-circuits of the training part; validation has a fifth as many.
        nodes: Largest number of gates of a sub-circuit.
        seed: Of the samples.
    """
    whole = {
        part: [with_probabilities(graph) for graph in EPFLCircuits(root, part, source)]
        for part in ("train", "valid", "test")
    }
    parts: dict[str, Sequence[Data]] = {
        "train": sub_circuits(whole["train"], samples, nodes, seed),
        "valid": sub_circuits(whole["valid"], max(samples // 5, 1), nodes, seed),
    }
    parts |= {f"test_{graph.circuit}": [graph] for graph in whole["test"]}
    return regression("circuits", parts, "node", [3, 0], [2], "l1")


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
        target=TargetScale.of_graphs("raw", parts["train"]),
        graph_metrics=path_metrics,
        column_names={"x": ["kind", "fan_out_tens", "log_fan_out"], "edge_attr": ["inverted"], "y": ["arrival"]},
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
