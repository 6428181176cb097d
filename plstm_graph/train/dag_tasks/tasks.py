"""Tasks on DAGs, by their names."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args

import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.datasets.circuits.epfl import EPFLCircuits
from plstm_graph.datasets.long_range import SYMBOLS, LongRange, Shape, Task
from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.train.dag_tasks.circuits import sub_circuits, with_probabilities
from plstm_graph.train.dag_tasks.options import fitting
from plstm_graph.train.dag_tasks.pedigrees import pedigrees
from plstm_graph.train.dag_tasks.task import DAGTask, regression
from plstm_graph.train.dag_tasks.terrain import terrain
from plstm_graph.train.dag_tasks.timing import timing
from plstm_graph.train.dag_tasks.workflows import workflows
from plstm_graph.train.selection import Row


def load_dag_task(name: str, root: str = "datasets", source: str | None = None, **options: Any) -> DAGTask:
    """Load a task by its name.

    Args:
        name: ``"enas"``, ``"nas_bench_graph"``, ``"sst"``, ``"circuits"``, ``"timing"``, ``"pedigrees"``,
            ``"terrain"``, ``"workflows"``, ``"copy"``, ``"longest_path"``, ``"reachability"`` or ``"path_parity"``.
        root: Folder of all data sets.
        source: Folder with an offline copy of the raw files. (default: the environment variable PLSTM_DATA, else a
            download)
        **options: Of the task: of :func:`nas_bench_graph`, :func:`circuits`, :func:`timing`, :func:`pedigrees`,
            :func:`terrain`, :func:`workflows` or :func:`long_range`.

    Raises:
        ValueError: If there is no such task, an option does not fit, or a part is left without graphs.
        OSError: If data cannot be had.
        ImportError: If data are made by a package that is not installed.
    """
    makers: dict[str, Callable[..., DAGTask]] = {
        "enas": partial(enas, root, source),
        "nas_bench_graph": partial(nas_bench_graph, root, source),
        "sst": partial(sst, root, source),
        "circuits": partial(circuits, root, source),
        "pedigrees": pedigrees,
        "terrain": terrain,
        "workflows": partial(workflows, root),
        "timing": partial(timing, root, source),
        **{task: partial(long_range, task) for task in get_args(Task)},
    }
    if name not in makers:
        raise ValueError(f"no task {name!r}: expected one of {', '.join(makers)}")
    task = makers[name](**fitting(makers[name], options, name))
    empty = [part for part, graphs in task.parts.items() if len(graphs) == 0]
    if empty:
        raise ValueError(f"options {options} leave the task {name} without a graph in {', '.join(empty)}")
    return task


def enas(root: str, source: str | None) -> DAGTask:
    """Accuracy of ENAS architectures; the last tenth of D-VAE's training part validates."""
    train, test = (list(ENASDataset(root, part, source)) for part in ("train", "test"))
    cut = len(train) - len(train) // 10
    parts: dict[str, Sequence[Data]] = {"train": train[:cut], "valid": train[cut:], "test": test}
    return regression("enas", parts, "graph", [ENASDataset.num_types], None, target="standard", relative=True)


def nas_bench_graph(root: str, source: str | None, data: str = "proteins", seed: int = 0) -> DAGTask:
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


def sst(root: str, source: str | None) -> DAGTask:
    """Sentiment of every phrase in five classes; the root's also in two, by the classes' probabilities."""
    sets = {part: SentimentTreebank(root, part, source) for part in ("train", "valid", "test")}
    words = 2 + len(sets["train"].words)
    return DAGTask(
        "sst",
        {part: list(dataset) for part, dataset in sets.items()},
        predict="node",
        out_channels=5,
        in_channels=[words],
        edge_dim=[2],
        loss="cross_entropy",
        metrics=_sentiment_metrics,
        monitor={"root": "max"},
        columns=("y", "root_mask"),
    )


def circuits(root: str, source: str | None, samples: int = 300, nodes: int = 300, seed: int = 0) -> DAGTask:
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


def long_range(
    task: Task,
    train: dict[str, Any],
    valid: dict[str, Any],
    tests: dict[str, dict[str, Any]],
    shape: Shape = "chain",
) -> DAGTask:
    """A synthetic task.

    Args:
        task: Of :class:`~plstm_graph.datasets.LongRange`.
        train: Arguments ``num_graphs``, ``size`` and perhaps ``smallest`` of the training part.
        valid: Those of the validation part.
        tests: Those of each test, by its name, in an order that decides their seeds.
        shape: Of the copy task.
    """
    sizes = {"train": train, "valid": valid} | {f"test_{name}": size for name, size in tests.items()}
    given = ("task", "shape", "seed")
    parts: dict[str, Sequence[Data]] = {
        name: LongRange(task, shape=shape, seed=number, **fitting(LongRange, size, task, name, given))[:]
        for number, (name, size) in enumerate(sizes.items())
    }
    if task == "longest_path":
        return regression(task, parts, "node", [2], None, "l1")
    classes = SYMBOLS if task == "copy" else 2
    return DAGTask(
        task,
        parts,
        predict="node",
        out_channels=classes,
        in_channels=[SYMBOLS, 3] if task == "copy" else [2],
        edge_dim=None,
        loss="cross_entropy",
        metrics=_accuracy,
        # The surer of two models that make no error is the better one on graphs unlike those of training.
        monitor={"accuracy": "max", "cross_entropy": "min"},
    )


def _accuracy(output: Tensor, y: Tensor) -> Row:
    known = y.view(-1).isfinite()
    output, label = output[known].double(), y.view(-1)[known].long()
    return {
        "accuracy": float((output.argmax(dim=1) == label).double().mean()),
        "cross_entropy": float(F.cross_entropy(output, label)),
    }


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
