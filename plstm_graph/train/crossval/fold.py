"""One fold of a cross-validation: its graphs, its training, its one test."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold, train_test_split
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric import seed_everything
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import AddRandomWalkPE, BaseTransform, Compose

from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.nn.baselines.undirected import widest
from plstm_graph.nn.ensemble import Ensemble
from plstm_graph.train.forward import Arguments, attach_line_graph, call_model, model_arguments
from plstm_graph.train.loop import train_epochs
from plstm_graph.train.losses import class_loss
from plstm_graph.train.optimizer import make_adamw, warmup_cosine
from plstm_graph.train.options import check_training
from plstm_graph.train.sampler import EpochBatchSampler
from plstm_graph.train.scale import TargetScale
from plstm_graph.train.selection import Mode, Row
from plstm_graph.transforms import AddWLColors, ToDAG
from plstm_graph.transforms.to_dag import Orientation

#: Makes a model of a number of targets, node features and edge features (None for none).
ModelFactory = Callable[[int, int, int | None], nn.Module]

NUM_FOLDS = 10


@dataclass
class GraphOptions:
    """Which graphs, and how they enter a model.

    Args:
        name: Name of a set of the TU Dortmund collection.
        source: Folder that has NAME.zip or TU/NAME.zip. (default: PLSTM_DATA if set, else a download)
        root: Folder for downloaded and processed files.
        orientation: How undirected edges get directions, as in ToDAG; for models that run on DAGs.
        walk_length: Add return probabilities of random walks up to this length to the node features.
        wl_rounds: Let the model count what lies around nodes: Weisfeiler-Leman colours of so many rounds, which begin
            with the node labels.
        wl_colors: Number of colours of each round.
        standardise: Give continuous node attributes mean 0 and variance 1 over the training graphs of each fold.
        edge_features: Whether edge labels and attributes are used.
    """

    name: str = "MUTAG"
    source: str | None = None
    root: str = "datasets"
    orientation: Orientation = "auto"
    walk_length: int = 0
    wl_rounds: int = 0
    wl_colors: int = 512
    standardise: bool = True
    edge_features: bool = True


@dataclass
class FoldOptions:
    """How a fold is split and trained. AdamW, linear warm-up and cosine decay by steps, cross-entropy.

    Args:
        epochs: Number of epochs.
        batch_size: Graphs per step.
        lr: Peak learning rate.
        weight_decay: Decay of weight matrices.
        warmup: Part of all steps over which the learning rate rises.
        final_lr: Learning rate at the end, as a part of the peak.
        clip: Largest norm of the gradient.
        average: Evaluate weights averaged over about this many epochs; 0 for those of the last step.
        label_smoothing: Of the cross-entropy.
        ties: Among epochs of equal validation accuracy, take the "first" or the one with the lowest "loss".
        patience: Stop after this many epochs without a better one. (default: never)
        seed: Of weights, order and dropout.
        split_seed: Of the folds; the paper's is 42.
        members: Train this many networks side by side on the same batches; their mean is the prediction, see
            :class:`~plstm_graph.nn.Ensemble`.
        widest_below: Set hidden_channels to the largest multiple of 8 with fewer parameters than this, all members
            together.
        max_parameters: Refuse a model with more parameters.
    """

    epochs: int = 100
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    final_lr: float = 0.0
    clip: float = 1.0
    average: float = 0.0
    label_smoothing: float = 0.0
    ties: Literal["first", "loss"] = "first"
    patience: int | None = None
    seed: int = 42
    split_seed: int = 42
    members: int = 1
    widest_below: int | None = None
    max_parameters: int | None = 300_000

    def __post_init__(self) -> None:
        check_training(self)
        if self.members < 1 or not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"members must be at least 1 and label_smoothing in [0, 1), got members={self.members}, "
                f"label_smoothing={self.label_smoothing}"
            )


def factory_arguments(make_model: ModelFactory) -> Arguments:
    """What the model asks of a batch, before the sizes of its features are known."""
    return model_arguments(make_model(2, 1, None))


def load_graphs(options: GraphOptions, arguments: Arguments) -> TUGraphs:
    """The set as a model needs it: as DAGs if it asks for a line graph, else with edges in both directions.

    Args:
        options: Which graphs.
        arguments: Of the model, see :func:`~plstm_graph.train.forward.model_arguments`.
    """
    steps: list[BaseTransform] = []
    if options.walk_length:
        steps.append(AddRandomWalkPE(options.walk_length, attr_name=None))
    if "line_graph" in arguments.names:
        steps.append(ToDAG(options.orientation, multitree=arguments.multitree))
    data = TUGraphs(options.root, options.name, Compose(steps), options.source)
    if options.wl_rounds:
        labels = range(data.num_node_attributes, data.num_features - options.walk_length)
        data.transform = AddWLColors(options.wl_rounds, options.wl_colors, labels)
    return data


def fold_split(labels: np.ndarray, fold: int, seed: int) -> dict[str, np.ndarray]:
    """The paper's split: a stratified tenth to test; of the rest, a stratified ninth to validate.

    Args:
        labels: Class of each graph.
        fold: From 0 to 9.
        seed: Of both splits.

    Returns:
        Numbers of graphs in ``"train"``, ``"valid"`` and ``"test"``.
    """
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)
    rest, test = list(folds)[fold]
    train, valid = train_test_split(rest, train_size=8 / 9, random_state=seed, stratify=labels[rest])
    return {"train": train, "valid": valid, "test": test}


def build_model(make_model: ModelFactory, data: TUGraphs, graphs: GraphOptions, options: FoldOptions) -> nn.Module:
    """A model of the right size for a set.

    Args:
        make_model: Makes it.
        data: The set.
        graphs: Whether edge features are used, and colours counted.
        options: Width and largest number of parameters.

    Raises:
        ValueError: If it has more parameters than it may.
    """
    make: Any = make_model
    edge_dim = (data.num_edge_features or None) if graphs.edge_features else None
    histogram = [graphs.wl_colors] * graphs.wl_rounds
    sizes = (data.num_classes, data.num_features - len(histogram), edge_dim)
    extra: dict[str, Any] = {"histogram": histogram} if histogram else {}
    if options.widest_below is not None:
        extra["hidden_channels"] = widest(
            lambda width: make(*sizes, **extra, hidden_channels=width), options.widest_below // options.members
        )
    seed_everything(options.seed)
    model = make(*sizes, **extra)
    if options.members != 1:
        model = Ensemble(model, options.members)
    count = count_parameters(model)
    if options.max_parameters is not None and count > options.max_parameters:
        raise ValueError(
            f"the model has {count:,} parameters, more than max_parameters={options.max_parameters:,}: take fewer "
            f"layers, hidden_channels or members, or --training.widest_below {options.max_parameters}"
        )
    return model


def count_parameters(model: nn.Module) -> int:
    """Number of parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def run_fold(
    fold: int,
    make_model: ModelFactory,
    graphs: GraphOptions,
    options: FoldOptions,
    on_epoch: Callable[[Row], None],
    device: torch.device,
    compiled: bool = False,
) -> dict[str, Any]:
    """Train on a fold, select the epoch by validation accuracy, and test that epoch once.

    Args:
        fold: From 0 to 9.
        make_model: Makes the model.
        graphs: Which graphs.
        options: How to train.
        on_epoch: Called with the metrics of each epoch.
        device: Where to train.
        compiled: Whether training steps are compiled.

    Returns:
        Plain values: fold, accuracies, the selected epoch, parameters, seconds.
    """
    started = time.perf_counter()
    data = load_graphs(graphs, factory_arguments(make_model))
    model = build_model(make_model, data, graphs, options).to(device)
    arguments = model_arguments(model)
    rows = fold_split(data.y.numpy(), fold, options.split_seed)
    splits = {name: [data[int(row)] for row in numbers] for name, numbers in rows.items()}
    if graphs.standardise and data.num_node_attributes:
        _standardise(splits, data.num_node_attributes)
    if not graphs.edge_features:
        for data_list in splits.values():
            for graph in data_list:
                graph.edge_attr = None

    def collate(graphs: list[Data]) -> Batch:
        return attach_line_graph(Batch.from_data_list(graphs).to(device), arguments)

    sampler = EpochBatchSampler(len(splits["train"]), options.batch_size, shuffle=True, seed=options.seed)

    def train_batches(epoch: int) -> Iterator[Batch]:
        sampler.set_epoch(epoch)
        for numbers in sampler:
            yield collate([splits["train"][number] for number in numbers])

    def batches_of(split: str) -> list[Batch]:
        step = 4 * options.batch_size
        return [collate(splits[split][start : start + step]) for start in range(0, len(splits[split]), step)]

    valid_batches = batches_of("valid")
    monitor: dict[str, Mode] = {"valid/accuracy": "max"}
    if options.ties == "loss":
        monitor["valid/loss"] = "min"
    optimizer = make_adamw(model, options.lr, options.weight_decay, fused=True)
    best = train_epochs(
        model,
        optimizer,
        warmup_cosine(optimizer, options.epochs * len(sampler), options.warmup, options.final_lr),
        train_batches,
        lambda output, target: class_loss(output, target, options.label_smoothing),
        options.epochs,
        lambda model: {f"valid/{name}": value for name, value in _evaluate(model, valid_batches, arguments).items()},
        monitor,
        seed=options.seed,
        clip=options.clip,
        average_steps=options.average * len(sampler),
        patience=options.patience,
        compiled=compiled,
        train_metrics=lambda output, target: {"accuracy": float((output.argmax(dim=-1) == target).double().mean())},
        on_epoch=on_epoch,
    )
    model.load_state_dict(best.state_dict)
    with torch.no_grad():
        test = _evaluate(model.eval(), batches_of("test"), arguments)
    return {
        "fold": fold,
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "valid_accuracy": best.row["valid/accuracy"],
        "valid_loss": best.row["valid/loss"],
        "train_accuracy": best.row["train/accuracy"],
        "best_epoch": best.epoch + 1,
        "graphs": {name: len(split) for name, split in splits.items()},
        "parameters": count_parameters(model),
        "seconds": time.perf_counter() - started,
    }


def _evaluate(model: nn.Module, batches: list[Batch], arguments: Arguments) -> Row:
    outputs = torch.cat([call_model(model, batch, arguments) for batch in batches])
    targets: Tensor = torch.cat([batch.y for batch in batches])
    accuracy = (outputs.argmax(dim=1) == targets).double().mean()
    return {"accuracy": float(accuracy), "loss": float(F.cross_entropy(outputs, targets))}


def _standardise(splits: dict[str, list[Data]], columns: int) -> None:
    """Standardise the first columns of node features by the training graphs."""
    scale = TargetScale.fit(torch.cat([graph.x[:, :columns] for graph in splits["train"]]))
    for graphs in splits.values():
        for graph in graphs:
            graph.x = torch.cat([scale.standardise(graph.x[:, :columns]).float(), graph.x[:, columns:]], dim=1)
