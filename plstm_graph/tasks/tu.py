"""Sets of the TU Dortmund collection, cross-validated by the paper's protocol."""

import functools
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE, BaseTransform, Compose

from plstm_graph.datasets.folds import NUM_FOLDS, fold_split
from plstm_graph.datasets.molecules.tu import TUGraphs
from plstm_graph.tasks.batches import Arguments
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.task import Direction, Row
from plstm_graph.transforms import AddWLColors, ToDAG
from plstm_graph.transforms.to_dag import Orientation

_PARTS = ("train", "valid", "test")

#: Test accuracy in the paper's table of TU sets, by set and model.
PAPER = {
    "MUTAG": {"GAT": 0.7822, "GCN": 0.7234, "GIN": 0.8251, "LSTM-GNN": 0.7450, "MPNN": 0.7450, "pLSTM": 0.8512},
    "NCI1": {"GAT": 0.7968, "GCN": 0.7852, "GIN": 0.8175, "LSTM-GNN": 0.7951, "MPNN": 0.8012, "pLSTM": 0.7324},
    "PROTEINS": {"GAT": 0.7215, "GCN": 0.7395, "GIN": 0.7350, "LSTM-GNN": 0.7503, "MPNN": 0.7350, "pLSTM": 0.7502},
    "PTC_FM": {"GAT": 0.6105, "GCN": 0.6162, "GIN": 0.6097, "LSTM-GNN": 0.6076, "MPNN": 0.5786, "pLSTM": 0.6133},
}


def tu(
    root: str,
    source: str | None,
    set: str,
    fold: int = 0,
    split_seed: int = 42,
    orientation: Orientation = "auto",
    walk_length: int = 0,
    wl_rounds: int = 0,
    wl_colors: int = 512,
    standardise: bool = True,
    edge_features: bool = True,
    label_smoothing: float = 0.0,
    ties: Literal["first", "loss"] = "first",
    widest_below: int | None = None,
    max_parameters: int | None = 300_000,
) -> GraphTask:
    """The class of each graph of a set, in one of ten folds.

    Args:
        root: Folder of all data sets.
        source: Folder that has NAME.zip or TU/NAME.zip.
        set: Name of a set of the collection.
        fold: From 0 to 9: which tenth is the test.
        split_seed: Of the folds; the paper's is 42.
        orientation: How undirected edges get directions, as in ToDAG; for models that run on DAGs.
        walk_length: Add return probabilities of random walks up to this length to the node features.
        wl_rounds: Let models count what lies around nodes: Weisfeiler-Leman colours of so many rounds, which begin
            with the node labels.
        wl_colors: Number of colours of each round.
        standardise: Give continuous node attributes mean 0 and variance 1 over the training graphs of each fold.
        edge_features: Whether edge labels and attributes are used.
        label_smoothing: Of the cross-entropy.
        ties: Among epochs of equal validation accuracy, take the "first" or the one with the lowest "loss".
        widest_below: Set hidden_channels to the largest multiple of 8 with fewer parameters than this, all members
            together.
        max_parameters: Refuse a model with more parameters.

    Raises:
        ValueError: If the set has no classes, there is no such fold, or an option is out of range.
    """
    if not 0 <= fold < NUM_FOLDS or not 0 <= label_smoothing < 1:
        raise ValueError(
            f"fold must be from 0 to {NUM_FOLDS - 1} and label_smoothing in [0, 1), got {fold} and {label_smoothing}"
        )

    def load(arguments: Arguments) -> TUGraphs:
        steps: list[BaseTransform] = []
        if walk_length:
            steps.append(AddRandomWalkPE(walk_length, attr_name=None))
        if "line_graph" in arguments.names:
            steps.append(ToDAG(orientation, multitree=arguments.multitree))
        data = TUGraphs(root, set, Compose(steps), source)
        if wl_rounds:
            labels = range(data.num_node_attributes, data.num_features - walk_length)
            data.transform = AddWLColors(wl_rounds, wl_colors, labels)
        return data

    plain = load(Arguments((), multitree=False))
    rows = fold_split(plain.y.numpy(), fold, split_seed)

    @functools.lru_cache(maxsize=2)
    def prepare(is_dag: bool, multitree: bool) -> dict[str, list[Data]]:
        data = load(Arguments(("line_graph",) if is_dag else (), multitree))
        parts = {part: [data[int(row)] for row in numbers] for part, numbers in rows.items()}
        if standardise and data.num_node_attributes:
            _standardise(parts, data.num_node_attributes)
        for graph in (graph for graphs in parts.values() for graph in graphs):
            graph.y = graph.y.view(-1)
            if not edge_features:
                graph.edge_attr = None
        return parts

    histogram = [wl_colors] * wl_rounds
    monitor: dict[str, Direction] = {"accuracy": "max"}
    return GraphTask(
        name=set,
        parts={part: cast(Sequence[Data], plain.index_select(numbers)) for part, numbers in rows.items()},
        target_level="graph",
        out_channels=plain.num_classes,
        in_channels=plain.num_features - len(histogram),
        edge_dim=(plain.num_edge_features or None) if edge_features else None,
        objective="cross_entropy",
        metrics=class_metrics,
        monitor=monitor | ({"loss": "min"} if ties == "loss" else {}),
        fixed=False,
        prepared=lambda part, needs: prepare("line_graph" in needs.names, needs.multitree)[part],
        model_arguments={"histogram": histogram} if histogram else {},
        label_smoothing=label_smoothing,
        widest_below=widest_below,
        max_parameters=max_parameters,
        num_folds=NUM_FOLDS,
        published={f"{model} (paper)": {"test/accuracy": value} for model, value in PAPER.get(set, {}).items()},
    )


def class_metrics(output: Tensor, y: Tensor) -> Row:
    """Accuracy and cross-entropy.

    Args:
        output: Scores ``[B, C]``.
        y: Numbers of the classes, ``[B]``.
    """
    return {
        "accuracy": float((output.argmax(dim=1) == y).double().mean()),
        "loss": float(F.cross_entropy(output, y)),
    }


def _standardise(parts: dict[str, list[Data]], columns: int) -> None:
    """Standardise the first columns of node features by the training graphs."""
    scale = TargetScale.fit("standard", torch.cat([graph.x[:, :columns] for graph in parts["train"]]))
    for graphs in parts.values():
        for graph in graphs:
            graph.x = torch.cat([scale.apply(graph.x[:, :columns]).float(), graph.x[:, columns:]], dim=1)
