"""A task on DAGs: its parts, what a model must give, loss and metrics."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.nn.encoders import FeatureSpec
from plstm_graph.train.dag_tasks.scaled_target import ScaledTarget, TargetKind
from plstm_graph.train.regression import mae, pearson, rmse
from plstm_graph.train.scale import TargetScale
from plstm_graph.train.selection import Row

Loss = Literal["mse", "l1", "cross_entropy"]


@dataclass
class DAGTask:
    """A task on DAGs.

    Attributes:
        name (str): Its name.
        parts (dict[str, Sequence[Data]]): Graphs of ``"train"``, ``"valid"`` and of each test.
        predict (str): ``"graph"`` or ``"node"``: what has the targets ``y`` ``[B, 1]`` or ``[N, 1]``, NaN where none.
        out_channels (int): Number of columns that a model gives: 1, or one per class.
        in_channels (int, list[int] or str): Node features, as :func:`plstm_graph.nn.feature_encoder` takes them.
        edge_dim (int, list[int], str or None): Edge features likewise.
        loss (str): ``"mse"``, ``"l1"`` or ``"cross_entropy"``, the mean over known targets.
        metrics (callable): Metrics of outputs ``[M, O]``, in the unit of the targets, and of the tensors of
            :attr:`columns`, concatenated.
        monitor (dict): Metrics that select epoch and learning rate, and whether more or less of each is better; a later
            one breaks ties of the earlier ones.
        columns (tuple[str, ...]): Attributes of graphs that the metrics are given.
        target (ScaledTarget, optional): The scale on which targets are learnt; None for classes.
        column_names (dict[str, Sequence[str]]): Names of the columns of ``"x"``, ``"edge_attr"`` and ``"y"`` where
            there are any.
        draw (callable, optional): Pictures of the tests, matplotlib figures by the names of their files: given the
            outputs of each test, ``[M, O]`` in the unit of the targets, by the name of the test.
        graph_metrics (callable, optional): Further metrics for tests, of the outputs of one graph, in the unit of the
            targets, and of that graph; means over the graphs of a part are reported.
    """

    name: str
    parts: dict[str, Sequence[Data]]
    predict: Literal["graph", "node"]
    out_channels: int
    in_channels: FeatureSpec
    edge_dim: FeatureSpec | None
    loss: Loss
    metrics: Callable[..., Row]
    monitor: dict[str, Literal["min", "max"]]
    columns: tuple[str, ...] = field(default=("y",))
    target: ScaledTarget | None = None
    column_names: dict[str, Sequence[str]] = field(default_factory=dict)
    draw: Callable[[dict[str, Tensor]], dict[str, Figure]] | None = None
    graph_metrics: Callable[[Tensor, Data], Row] | None = None

    def scaled(self, kind: TargetKind) -> "DAGTask":
        """The same task, with targets learnt on another scale.

        Raises:
            ValueError: If it is a task of classes, or its targets do not allow this scale.
        """
        if self.target is None:
            raise ValueError(f"target {kind!r} is a scale of numbers, and the targets of {self.name} are classes")
        return replace(self, target=ScaledTarget.fit(kind, self.parts["train"]))

    def loss_of(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of outputs ``[M, O]`` and targets ``[M, 1]``, in their own unit."""
        known = target.view(-1).isfinite()
        output, target = output[known], target[known]
        if self.loss == "cross_entropy":
            return F.cross_entropy(output, target.view(-1).long())
        if self.target is not None:
            target = self.target.apply(target).to(output.device, output.dtype)
        return (F.l1_loss if self.loss == "l1" else F.mse_loss)(output, target)

    def restore(self, output: Tensor) -> Tensor:
        """Outputs ``[M, O]`` in the unit of the targets."""
        return output if self.target is None else self.target.restore(output)

    def score(self, output: Tensor, **columns: Tensor) -> Row:
        """Metrics of outputs ``[M, O]`` and of the :attr:`columns`, in the unit of the targets."""
        return self.metrics(self.restore(output), **columns)


def regression(
    name: str,
    parts: dict[str, Sequence[Data]],
    predict: Literal["graph", "node"],
    in_channels: FeatureSpec,
    edge_dim: FeatureSpec | None,
    loss: Literal["mse", "l1"] = "mse",
    target: TargetKind = "raw",
    relative: bool = False,
) -> DAGTask:
    """A task with one number per graph or node; validation selects by the error that the loss measures.

    Args:
        name: As of :class:`DAGTask`, and so are the four that follow.
        parts: With targets in their own unit.
        predict: What has the targets.
        in_channels: Node features.
        edge_dim: Edge features.
        loss: ``"mse"`` or ``"l1"``, of targets on the scale that is learnt.
        target: That scale.
        relative: Whether errors are given in standard deviations of the training targets, rather than in their unit.
    """
    unit = float(TargetScale.fit(_targets(parts["train"])).std) if relative else 1.0
    return DAGTask(
        name,
        parts,
        predict,
        out_channels=1,
        in_channels=in_channels,
        edge_dim=edge_dim,
        loss=loss,
        metrics=partial(regression_metrics, unit=unit),
        monitor={"rmse" if loss == "mse" else "mae": "min"},
        target=ScaledTarget.fit(target, parts["train"]),
    )


def regression_metrics(output: Tensor, y: Tensor, unit: float = 1.0) -> Row:
    """Errors and correlation over known targets.

    Args:
        output: ``[M, 1]``, in the unit of the targets.
        y: ``[M, 1]``, NaN where unknown.
        unit: What errors are divided by.
    """
    known = y.isfinite()
    predicted, true = output[known], y[known]
    row = {"rmse": rmse(predicted, true) / unit, "mae": mae(predicted, true) / unit}
    correlation = pearson(predicted, true)
    return row if math.isnan(correlation) else row | {"pearson": correlation}


def _targets(graphs: Sequence[Data]) -> Tensor:
    return torch.cat([graph.y.view(-1, 1) for graph in graphs])
