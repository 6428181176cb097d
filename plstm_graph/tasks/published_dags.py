"""Published sets of small DAGs: neural architectures (ENAS, NAS-Bench-Graph) and trees of words (SST)."""

import random
from collections.abc import Sequence

from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.tasks.graph_task import GraphTask, regression
from plstm_graph.tasks.task import Row


def enas(root: str, source: str | None) -> GraphTask:
    """Accuracy of ENAS architectures; the last tenth of D-VAE's training part validates."""
    train, test = (list(ENASDataset(root, part, source)) for part in ("train", "test"))
    cut = len(train) - len(train) // 10
    parts: dict[str, Sequence[Data]] = {"train": train[:cut], "valid": train[cut:], "test": test}
    return regression("enas", parts, "graph", [ENASDataset.num_types], None, target="standard", relative=True)


def nas_bench_graph(root: str, source: str | None, data: str = "proteins", seed: int = 0) -> GraphTask:
    """Performance of graph networks.

    Args:
        root: Folder of all data sets.
        source: Folder with an offline copy.
        data: The data set on which they were measured.
        seed: Of the split, 80 / 10 / 10.
    """
    dataset = NASBenchGraph(root, data, source)
    graphs = list(dataset)
    random.Random(seed).shuffle(graphs)
    tenth = len(graphs) // 10
    parts: dict[str, Sequence[Data]] = {
        "train": graphs[2 * tenth :],
        "valid": graphs[tenth : 2 * tenth],
        "test": graphs[:tenth],
    }
    types = [2 + len(NASBenchGraph.operations)]
    return regression("nas_bench_graph", parts, "graph", types, None, target="standard", relative=True)


def sst(root: str, source: str | None) -> GraphTask:
    """Sentiment of every phrase in five classes; the root's also in two, by the classes' probabilities."""
    sets = {part: SentimentTreebank(root, part, source) for part in ("train", "valid", "test")}
    words = 2 + len(sets["train"].words)
    return GraphTask(
        name="sst",
        parts={part: list(dataset) for part, dataset in sets.items()},
        target_level="node",
        out_channels=5,
        in_channels=[words],
        edge_dim=[2],
        objective="cross_entropy",
        metrics=_sentiment_metrics,
        monitor={"root": "max"},
        columns=("y", "root_mask"),
    )


def _sentiment_metrics(output: Tensor, y: Tensor, root_mask: Tensor) -> Row:
    label, probability = y.view(-1), output.softmax(dim=-1)
    is_right = (output.argmax(dim=1) == label).double()
    # Of positive and negative sentences, which of the two the classes on either side of neutral make more likely.
    sided = root_mask & (label != 2)
    positive = probability[:, 3:].sum(dim=1) > probability[:, :2].sum(dim=1)
    return {
        "root": float(is_right[root_mask].mean()),
        "root_binary": float((positive == (label > 2))[sided].double().mean()),
        "nodes": float(is_right.mean()),
    }
