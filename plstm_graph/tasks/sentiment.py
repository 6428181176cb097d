"""Sentiment of phrases, trees of words."""

from torch import Tensor

from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.task import Row


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
