"""Tasks on graphs: parts, what a model must give, loss and metrics."""

import hashlib
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader
from torch_geometric.data import Batch, Data

from plstm_graph.config.fitting import fitting
from plstm_graph.config.names import resolve
from plstm_graph.config.sized import make_sized, sized_spec
from plstm_graph.nn.baselines.undirected import widest
from plstm_graph.nn.encoders import FeatureSpec
from plstm_graph.nn.parameters import count_parameters
from plstm_graph.tasks.batches import (
    Arguments,
    batches_in_order,
    call_model,
    fixed_batches,
    fresh_batches,
    model_arguments,
)
from plstm_graph.tasks.labelled import LabelledGraphs, exact
from plstm_graph.tasks.losses import Objective, Weighing, loss_sum
from plstm_graph.tasks.metrics import Kind, mae, misfit, pearson, rmse, to_prediction
from plstm_graph.tasks.scale import (
    TargetKind,
    TargetScale,
    check_logarithms,
    kinds_of_targets,
    without_logarithm,
)
from plstm_graph.tasks.scores import Scores
from plstm_graph.tasks.task import Direction, Row, Shard, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKED_AT = 1000  # graphs of a part, to tell it from another


@dataclass(kw_only=True)
class GraphTask(Task):
    """A task on graphs, of which graphs or nodes have targets.

    Attributes:
        name (str): Its name.
        parts (dict[str, Sequence[Data]]): Graphs of ``"train"``, ``"valid"`` and of each test.
        target_level (str): ``"graph"``, ``"node"`` or ``"edge"``: what has the targets ``y``, ``[M, T]``; NaN where
            there is none.
        out_channels (int): Number of columns that a model gives: 1, or one per class.
        in_channels (int, list[int] or str): Node features, as :func:`plstm_graph.nn.feature_encoder` takes them.
        edge_dim (int, list[int], str or None): Edge features likewise.
        objective (str): The loss, a mean over known targets: ``"mse"``, ``"l1"`` or ``"gaussian"`` of numbers, the
            last of which takes a mean and a logarithm of the variance of each target from the model; ``"binary"`` of
            labels 0 and 1, ``"cross_entropy"`` of a class, or ``"sequence"``, the same at each of several positions.
        metrics (callable): Metrics of outputs ``[M, O]``, in the unit of the targets, and of the tensors of
            :attr:`columns`, concatenated.
        monitor (dict): As of :class:`~plstm_graph.tasks.task.Task`, and so is all else that is not named here.
        target (TargetScale, optional): The scale on which targets are learnt; None for classes.
        column_names (dict[str, Sequence[str]]): Names of the columns of ``"x"``, ``"edge_attr"`` and ``"y"`` where
            there are any.
        draw (callable, optional): Pictures of the tests, matplotlib figures by the names of their files: given the
            outputs of each test, ``[M, O]`` in the unit of the targets, by the name of the test.
        graph_metrics (callable, optional): Further metrics for tests, of the outputs of one graph, in the unit of the
            targets, and of that graph; means over the graphs of a part are reported.
        fixed (bool): Whether batches are made once, of graphs of about the same size; they are drawn anew otherwise.
        prepared (callable, optional): Graphs of a part as a model needs them, where models differ in that: given the
            name of the part and what the model asks of a batch. (default: the graphs of the part)
        model_arguments (dict): Further arguments of models that the task decides.
        label_smoothing (float): Of the cross-entropy.
        weighing (Weighing, optional): How much targets and classes count in the loss, beside the weights that batches
            have. (default: all alike)
        widest_below (int, optional): Give models the largest ``hidden_channels``, a multiple of 8, with fewer
            parameters than this.
        max_parameters (int, optional): Refuse models with more parameters.
        balanced (bool): Whether batches of training have graphs of all classes equally often, as of
            :class:`~plstm_graph.tasks.batches.BalancedBatches`.
        with_loss (bool): Whether the loss is one of the metrics.
        made (callable, optional): Called with each model that is made.
        changes (callable, optional): What chance changes in batches of training.
        serving (callable, optional): Plain values by which ``predict`` prepares other graphs for a model: given what
            the model asks of a batch.
    """

    name: str
    parts: Mapping[str, Sequence[Data]]
    target_level: Literal["graph", "node", "edge"]
    out_channels: int
    in_channels: FeatureSpec
    edge_dim: FeatureSpec | None
    objective: Objective
    metrics: Callable[..., Row]
    monitor: dict[str, Direction]
    columns: tuple[str, ...] = ("y",)
    target: TargetScale | None = None
    column_names: dict[str, Sequence[str]] = field(default_factory=dict)
    draw: "Callable[[dict[str, Tensor]], dict[str, Figure]] | None" = None
    graph_metrics: Callable[[Tensor, Data], Row] | None = None
    fixed: bool = True
    prepared: Callable[[str, Arguments], Sequence[Data]] | None = None
    model_arguments: dict[str, Any] = field(default_factory=dict)
    label_smoothing: float = 0.0
    weighing: Weighing | None = None
    widest_below: int | None = None
    max_parameters: int | None = None
    published: Mapping[str, Row] = field(default_factory=dict)
    package: str = ""
    num_folds: int = 0
    balanced: bool = False
    with_loss: bool = False
    labelled: LabelledGraphs | None = None
    made: Callable[[nn.Module], None] | None = None
    changes: Callable[[Batch], Batch] | None = None
    notes: Sequence[str] = ()
    serving: Callable[[Arguments], dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.labelled is None and self.objective != "sequence":  # those with names are checked with them
            self._check_targets(self.out_channels)

    def _check_targets(self, num_classes: int) -> None:
        """Check all targets once: none may be infinite, or no label or class of the task."""
        for part, graphs in self.parts.items():
            whole = getattr(graphs, "y", None)  # a data set need not be taken apart
            if not isinstance(whole, Tensor):
                whole = torch.cat([graph.y for graph in graphs]) if len(graphs) else torch.empty(0)
            found = misfit(whole.reshape(len(whole), -1), self.kind, num_classes) if len(whole) else None
            if found is not None:
                row, column, reason = found
                raise ValueError(f"target {column} of row {row} of the {part} part of {self.name} is {reason}")

    @property
    def kind(self) -> Kind:
        """Of the targets."""
        if self.objective == "binary":
            return "binary" if self.out_channels == 1 else "multilabel"
        kinds: dict[Objective, Kind] = {"cross_entropy": "multiclass", "sequence": "sequence"}
        return kinds.get(self.objective, "regression")

    @property
    def is_gaussian(self) -> bool:
        """Whether models give a variance of each number, too."""
        return self.objective == "gaussian"

    @property
    def scores(self) -> Scores | None:
        """What is measured of targets that have names."""
        return self.metrics if isinstance(self.metrics, Scores) else None

    def scaled(self, kind: Any) -> Task:
        """The same task, with targets learnt on another scale: one of all, or of each as a list or by their names.

        Raises:
            ValueError: If there is no such scale or target, or a target has no logarithm; it says where that stands.
        """
        if self.target is None:
            return super().scaled(kind)
        names = [] if self.labelled is None else self.labelled.target_names
        kinds = kinds_of_targets(kind, names, "standard")
        if self.labelled is not None:
            self._check_logarithms(self.labelled, [kinds] if isinstance(kinds, str) else kinds)
        return replace(self, target=TargetScale.of_graphs(kinds, self.parts["train"]))

    def _check_logarithms(self, labelled: LabelledGraphs, kinds: Sequence[TargetKind]) -> None:
        """Name the first target of any part that has no logarithm by its place."""
        for part in ("train", "valid", "test"):
            targets = labelled.targets(part)
            wrong = without_logarithm(kinds, targets)
            if bool(wrong.any()):
                row, column = wrong.nonzero()[0].tolist()
                check_logarithms(kinds, targets[[row]], f": {labelled.place(part, row, column)} is")

    def make_model(self, spec: Mapping[str, Any], members: int = 1) -> nn.Module:
        """A new model of these sizes."""
        if members > 1 and not hasattr(resolve(spec.get("class_path")), "reset_parameters"):
            raise ValueError(f"{spec['class_path']} has no reset_parameters, so training.members must be 1")
        model = make_sized(self.sized_spec(spec, members), {})
        if self.made is not None:
            self.made(model)
        if any(map(is_lazy, model.parameters())):
            self.check(model)  # which sets its sizes
        count = count_parameters(model)
        if self.max_parameters is not None and count > self.max_parameters:
            raise ValueError(
                f"the model has {count:,} parameters, more than max_parameters={self.max_parameters:,}: take fewer "
                f"layers, hidden_channels or members, or widest_below={self.max_parameters} of the task"
            )
        return model

    def sized_spec(self, spec: Mapping[str, Any], members: int = 1) -> dict[str, Any]:
        """Class and all arguments of the model that :meth:`make_model` makes."""
        sizes: dict[str, Any] = {
            "out_channels": self.out_channels,
            "in_channels": self.in_channels,
            "edge_dim": self.edge_dim,
            "predict": self.target_level,
            **self.model_arguments,
        }
        if self.column_names.get("x"):
            sizes["column_names"] = list(self.column_names["x"])
        if self.widest_below is not None:
            with torch.random.fork_rng([]):  # the seed decides the weights of the model alone
                limit = self.widest_below // members
                width = widest(lambda width: make_sized(_of_width(spec, width), sizes), limit)
            spec = _of_width(spec, width)
        sized = sized_spec(spec, sizes)
        if members == 1:
            return sized
        return {"class_path": "plstm_graph.nn.Ensemble", "init_args": {"model": sized, "size": members}}

    def recipe(self, model: nn.Module, spec: Mapping[str, Any], members: int) -> dict[str, Any]:
        """What predicting with a model of this task takes."""
        if self.serving is None:
            return {}
        scale = None if self.target is None else self.target.to_plain()
        sized = self.sized_spec(spec, members)
        gaussian = {"likelihood": "gaussian"} if self.is_gaussian else {}
        return gaussian | {**self.serving(self.needs(model)), "kind": self.kind, "model": sized, "scale": scale}

    @torch.no_grad()
    def check(self, model: nn.Module) -> None:
        """Try a model on the first two graphs of the training part.

        Raises:
            ValueError: If it gives something else than the task needs, or learns on another scale of targets.
        """
        for module in model.modules():
            allowed: Any = getattr(module, "target_scales", None)
            if allowed is not None and self.target is not None and self.target.kind not in allowed:
                raise ValueError(
                    f"{type(module).__name__} gives numbers in the unit of the targets, or their logarithms, and "
                    f"cannot learn them on the scale {self.target.kind!r}: task.target_scale must be "
                    f"{' or '.join(allowed)}"
                )
        if self.is_gaussian and self.target is not None and {"raw", "log1p"} & set(self.target.kinds):
            raise ValueError(
                "likelihood gaussian learns variances about 1, so task.target_scale must be standard, log, ln or "
                f"log10, got {' and '.join(dict.fromkeys(self.target.kinds))}"
            )
        needs, training = self.needs(model), model.training
        (batch,) = batches_in_order(self.graphs("train", needs)[:2], 2, torch.device("cpu"), Shard(), needs)
        given = list(self.output(model.eval(), batch, needs).shape)
        model.train(training)
        expected = list(batch.y.shape)
        if self.objective == "cross_entropy":
            expected = [batch.y.numel(), self.out_channels]
        elif self.objective == "sequence":
            expected = [*expected, *given[-1:]]
        elif self.is_gaussian:
            expected = [*expected[:-1], 2 * expected[-1]]
        if given != expected:
            raise ValueError(f"the model gives {given} where the targets are {expected}: {self._needed()}")
        if self.objective == "sequence":
            self._check_targets(given[-1])  # the model alone says of how many classes

    def _needed(self) -> str:
        """What a model has to give, for messages."""
        if self.objective == "sequence":
            return "scores [B, L, C] are needed, see plstm_graph.nn.SequenceHead"
        names = [] if self.labelled is None else self.labelled.output_names
        shown = f" ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})" if names else ""
        return f"a model of {self.target_level}s with out_channels={self.out_channels}{shown} is needed"

    def digest(self, part: str) -> str:
        """A sum of the number of graphs and of the targets of the first ones."""
        graphs = self.parts[part]
        found = hashlib.sha256(str(len(graphs)).encode())
        for number in range(min(len(graphs), _LOOKED_AT)):
            found.update(torch.as_tensor(graphs[number].y).double().cpu().numpy().tobytes())
        return found.hexdigest()

    def graphs(self, part: str, needs: Arguments) -> Sequence[Data]:
        """Graphs of a part as a model needs them."""
        return self.parts[part] if self.prepared is None else self.prepared(part, needs)

    def needs(self, model: nn.Module) -> Arguments:
        """What the model asks of a batch."""
        return model_arguments(model)

    def train_loader(
        self, needs: Arguments, batch_size: int, seed: int, device: torch.device, shard: Shard, workers: int = 0
    ) -> DataLoader:
        """Batches of the training part."""
        graphs = self.graphs("train", needs)
        if self.fixed:
            return fixed_batches(graphs, batch_size, seed, device, shard, needs)
        classes = torch.cat([graph.y.view(-1)[:1] for graph in self.parts["train"]]) if self.balanced else None
        return fresh_batches(graphs, batch_size, seed, shard, needs, workers, classes)

    def batches(
        self, part: str, needs: Arguments, batch_size: int, device: torch.device, shard: Shard, workers: int = 0
    ) -> Iterator[Batch]:
        """Batches of a part, in order; of graphs far larger than those of training fewer are in a batch."""
        room = batch_size * max((graph.num_nodes or 0) for graph in self.graphs("train", needs))
        return batches_in_order(self.graphs(part, needs), batch_size, device, shard, needs, most_nodes=room)

    def changed(self, batch: Batch) -> Batch:
        """A batch as training sees it."""
        return batch if self.changes is None else self.changes(batch)

    def output(self, model: nn.Module, batch: Batch, needs: Arguments) -> Tensor:
        """What a model gives for a batch."""
        return call_model(model, batch, needs)

    def loss(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sum of the losses of known targets, and what to divide it by for their mean, see :meth:`loss_of`.

        A batch may have ``weight`` and ``censor``, ``[M, T]`` each.
        """
        return self.loss_of(output, batch.y, batch.get("weight"), batch.get("censor"))

    def loss_of(
        self, output: Tensor, target: Tensor, weight: Tensor | None = None, censor: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sum of losses, and sum of weights: without any, the number of known targets.

        Args:
            output: ``[..., M, O]``, of an ensemble with its members in front, each of which has a loss of its own.
            target: In their own unit, ``[M, T]``; NaN where unknown.
            weight: Of their rows, as of :func:`~plstm_graph.tasks.losses.loss_sum`.
            censor: On which side of a target the true value is, likewise.
        """
        if self.weighing is not None:
            weight = self.weighing.of(target, weight)
        return loss_sum(output, target, self.objective, self.target, self.label_smoothing, weight, censor)

    def restored(self, output: Tensor) -> Tensor:
        """Outputs ``[M, O]`` in the unit of the targets; of means and variances the means."""
        if self.is_gaussian:
            output = output.chunk(2, dim=-1)[0]
        return output if self.target is None else self.target.restore(output)

    def score(self, output: Tensor, **columns: Tensor) -> Row:
        """Metrics of outputs ``[M, O]`` and of the columns, in the unit of the targets.

        The loss is weighted and knows bounds, as that of training. Metrics are not weighted, and leave out targets that
        are known as bounds alone.
        """
        weight, censor = (columns.pop(name, None) for name in ("weight", "censor"))
        known = columns if censor is None else columns | {"y": exact(columns["y"], censor)}
        row = self.metrics(self.restored(output), **known)
        if self.with_loss:
            loss, count = self.loss_of(output, columns["y"], weight, censor)
            row["loss"] = float(loss) / (float(count) or 1.0)
        return row

    def part_scores(self, part: str, output: Tensor) -> Row:
        """Means over graphs of what the task measures graph by graph; of several targets, the metrics of each."""
        if self.scores is not None and self.labelled is not None:
            true = self.labelled.exact_targets(part)
            return self.scores.of_targets(to_prediction(self.restored(output).to("cpu"), self.kind), true)
        if self.graph_metrics is None:
            return {}
        graphs = self.parts[part]
        sizes = [graph.num_nodes if self.target_level == "node" else 1 for graph in graphs]
        pieces = self.restored(output).to("cpu").split(sizes)
        rows = [self.graph_metrics(piece, graph) for piece, graph in zip(pieces, graphs, strict=True)]
        return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}

    def pictures(self, outputs: dict[str, Tensor]) -> "dict[str, Figure]":
        """Pictures of the tests."""
        return {} if self.draw is None else self.draw(outputs)


def regression(
    name: str,
    parts: dict[str, Sequence[Data]],
    target_level: Literal["graph", "node"],
    in_channels: FeatureSpec,
    edge_dim: FeatureSpec | None,
    objective: Literal["mse", "l1"] = "mse",
    target: TargetKind = "raw",
    relative: bool = False,
) -> GraphTask:
    """A task with one number per graph or node; validation selects by the error that the objective measures.

    Args:
        name: As of :class:`GraphTask`, and so are the four that follow.
        parts: With targets in their own unit.
        target_level: What has the targets.
        in_channels: Node features.
        edge_dim: Edge features.
        objective: ``"mse"`` or ``"l1"``, of targets on the scale that is learnt.
        target: That scale.
        relative: Whether errors are given in standard deviations of the training targets, rather than in their unit.
    """
    unit = float(TargetScale.of_graphs("standard", parts["train"]).std) if relative else 1.0
    return GraphTask(
        name=name,
        parts=parts,
        target_level=target_level,
        out_channels=1,
        in_channels=in_channels,
        edge_dim=edge_dim,
        objective=objective,
        metrics=partial(regression_metrics, unit=unit),
        monitor={"rmse" if objective == "mse" else "mae": "min"},
        target=TargetScale.of_graphs(target, parts["train"]),
    )


def drawn_parts(
    dataset: Callable[..., Any], sizes: Mapping[str, Mapping[str, Any]], owner: str, **fixed: Any
) -> dict[str, Sequence[Data]]:
    """Parts of a data set that is drawn: of options of their own, fixed arguments, and their numbers as seeds.

    Args:
        dataset: Makes a part.
        sizes: Options of each part, in an order that decides the seeds.
        owner: What errors call that which has the options.
        **fixed: Arguments that are not for options to set.
    """
    return {
        name: dataset(**fitting(dataset, size, owner, name, (*fixed, "seed")), **fixed, seed=number)[:]
        for number, (name, size) in enumerate(sizes.items())
    }


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


def _of_width(spec: Mapping[str, Any], width: int) -> dict[str, Any]:
    return {**spec, "init_args": {**(spec.get("init_args") or {}), "hidden_channels": width}}
