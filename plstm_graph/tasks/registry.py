"""Tasks by their names."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, get_args

import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.config.fitting import fitting
from plstm_graph.datasets.architectures import ENASDataset, NASBenchGraph
from plstm_graph.datasets.circuits.epfl import EPFLCircuits
from plstm_graph.datasets.long_range import SYMBOLS, LongRange, Shape
from plstm_graph.datasets.long_range import Task as LongRangeTask
from plstm_graph.datasets.sentiment import SentimentTreebank
from plstm_graph.tasks.benchmark import benchmark
from plstm_graph.tasks.circuits import sub_circuits, with_probabilities
from plstm_graph.tasks.graph_task import GraphTask, regression
from plstm_graph.tasks.images import ImageSet, arrows, image_set
from plstm_graph.tasks.pedigrees import pedigrees
from plstm_graph.tasks.rows import Row
from plstm_graph.tasks.scaled_target import TargetKind
from plstm_graph.tasks.task import Task
from plstm_graph.tasks.terrain import terrain
from plstm_graph.tasks.timing import timing
from plstm_graph.tasks.tu import tu
from plstm_graph.tasks.workflows import workflows
from plstm_graph.text import meant

#: Options of every task.
_COMMON = ("root", "source", "target_scale")


def load_task(
    name: str,
    root: str = "datasets",
    source: str | None = None,
    target_scale: TargetKind | None = None,
    **options: Any,
) -> Task:
    """Load a task by its name.

    Args:
        name: ``"enas"``, ``"nas_bench_graph"``, ``"sst"``, ``"circuits"``, ``"timing"``, ``"pedigrees"``,
            ``"terrain"``, ``"workflows"``, ``"tu"``, ``"copy"``, ``"longest_path"``, ``"reachability"``,
            ``"path_parity"``, ``"arrows"``, ``"fashion_mnist"``, ``"cifar10"`` or ``"imagenet"``.
        root: Folder of all data sets.
        source: Folder with an offline copy of the raw files. (default: the environment variable PLSTM_DATA, else a
            download)
        target_scale: Scale on which numbers are learnt: ``"raw"``, ``"standard"`` (mean 0, standard deviation 1),
            ``"log"`` (of 1 + target, then standard) or ``"log1p"`` (that logarithm itself). (default: that of the task)
        **options: Of the task: of :func:`nas_bench_graph`, :func:`circuits`, :func:`timing`, :func:`pedigrees`,
            :func:`terrain`, :func:`workflows`, :func:`tu`, :func:`long_range`, :func:`arrows` or :func:`image_set`.

    Raises:
        ValueError: If there is no such task, an option does not fit, or a part is left without samples.
        OSError: If data cannot be had.
        ImportError: If data are made by a package that is not installed.
    """
    makers: dict[str, Callable[..., Task]] = {
        "enas": partial(enas, root, source),
        "nas_bench_graph": partial(nas_bench_graph, root, source),
        "sst": partial(sst, root, source),
        "circuits": partial(circuits, root, source),
        "pedigrees": pedigrees,
        "terrain": terrain,
        "workflows": partial(workflows, root),
        "timing": partial(timing, root, source),
        "tu": partial(tu, root, source),
        "benchmark": partial(benchmark, root, source),
        **{task: partial(long_range, task) for task in get_args(LongRangeTask)},
        "arrows": arrows,
        **{images: partial(image_set, images, root, source) for images in get_args(ImageSet)},
    }
    if name not in makers:
        raise ValueError(f"no task {name!r}{meant(name, makers)}: expected one of {', '.join(makers)}")
    task = makers[name](**fitting(makers[name], options, f"the task {name}", besides=_COMMON))
    empty = [part for part, graphs in task.parts.items() if len(graphs) == 0]
    if empty:
        kind = "a graph" if isinstance(task, GraphTask) else "an image"
        raise ValueError(f"options {options} leave the task {name} without {kind} in {', '.join(empty)}")
    if target_scale is None:
        return task
    if not isinstance(task, GraphTask):
        raise ValueError(f"target_scale {target_scale!r} is a scale of numbers, and the targets of {name} are classes")
    return task.scaled(target_scale)


def task_of(section: Mapping[str, Any]) -> Task:
    """The task of a section of a configuration: its name, and arguments of :func:`load_task`.

    Args:
        section: Plain values.

    Raises:
        ValueError: If there is no name, and as :func:`load_task` does.
        OSError: If data cannot be had.
        ImportError: If data are made by a package that is not installed.
    """
    if not isinstance(section.get("name"), str):
        near = [f", not {key}" for key in section if meant(key, ["name"]) and key != "name"]
        raise ValueError(f"a task needs its name, such as name: enas{near[0] if near else ''}")
    common = {key: value for key, value in section.items() if key in ("name", *_COMMON)}
    options = {str(key): value for key, value in section.items() if key not in common}
    return load_task(**fitting(load_task, common, "the task", given=("options",)), **options)


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


def long_range(
    task: LongRangeTask,
    train: dict[str, Any],
    valid: dict[str, Any],
    tests: dict[str, dict[str, Any]],
    shape: Shape = "chain",
) -> GraphTask:
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
        name: LongRange(task, shape=shape, seed=number, **fitting(LongRange, size, f"the task {task}", name, given))[:]
        for number, (name, size) in enumerate(sizes.items())
    }
    if task == "longest_path":
        return regression(task, parts, "node", [2], None, "l1")
    classes = SYMBOLS if task == "copy" else 2
    return GraphTask(
        name=task,
        parts=parts,
        target_level="node",
        out_channels=classes,
        in_channels=[SYMBOLS, 3] if task == "copy" else [2],
        edge_dim=None,
        objective="cross_entropy",
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
