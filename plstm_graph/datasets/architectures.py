"""Neural architectures and how well they do: ENAS and NAS-Bench-Graph."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.storage.dag_set import DAGSet, typed_dag
from plstm_graph.datasets.storage.plain_values import literal
from plstm_graph.datasets.table import read_whole_table

_BURN_IN = 1000
_OPERATIONS = 6
_LAYERS = 6
_NAS_COLUMNS = ("dataset", "key", "link", "ops", "valid_perf", "perf", "latency", "para_M")


class ENASDataset(DAGSet):
    """19,020 architectures of ENAS with six layers, and their weight-sharing accuracy on CIFAR-10 (0.70 to 0.75).

    Nodes are an input (type 0), six layers (types 2 to 7, one for each operation) and an output (type 1): ``x``
    ``[8, 1]``. A layer reads the one before it and any others before that. ``y`` ``[1, 1]`` is the accuracy. Parts
    are those of D-VAE and DAGNN: the first 1,000 lines are left out, the rest is shuffled with seed 0, and nine tenths
    train (17,118), the others test (1,902).

    Args:
        root (str): Folder of all data sets.
        split (str): ``"train"`` or ``"test"``.
        source (str, optional): Folder with ``final_structures6.txt``, also below ``dag/enas``. (default: the
            environment variable ``PLSTM_DATA``, else a download)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
    """

    folder = "enas"
    places = ("enas", "dag/enas")
    files: ClassVar[dict[str, str | None]] = {
        "final_structures6.txt": (
            "https://raw.githubusercontent.com/muhanzhang/D-VAE/3569a4a3bf5ecf8e12ae548e0d22e72062d29e26/data/"
            "final_structures6.txt"
        )
    }
    parts = ("train", "test")
    #: Number of types of nodes.
    num_types = _OPERATIONS + 2

    def read(self) -> dict[str, list[Data]]:
        """Read the lines of the file."""
        path = self.raw_path("final_structures6.txt")
        lines = path.read_text(encoding="utf-8").splitlines()
        graphs = [_enas(line, number, path) for number, line in enumerate(lines, start=1) if number > _BURN_IN]
        random.Random(0).shuffle(graphs)
        train = int(len(graphs) * 0.9)
        return {"train": graphs[:train], "test": graphs[train:]}


class NASBenchGraph(DAGSet):
    """Architectures of graph neural networks and how well they do on a data set, by NAS-Bench-Graph (Qin et al. 2022).

    Nodes are an input (type 0), four computing nodes with one input each (types 2 to 10, one for each operation) and an
    output (type 1) that reads all leaves: ``x`` ``[6, 1]``. ``y`` ``[1, 1]`` is the test performance; ``valid_perf``,
    ``latency`` and ``parameters`` (in millions) are there too, ``[1]``, as is ``key``. There is no official split.

    Args:
        root (str): Folder of all data sets.
        name (str): ``"cora"``, ``"citeseer"``, ``"pubmed"``, ``"cs"``, ``"physics"``, ``"photo"``, ``"computers"``,
            ``"arxiv"`` (26,206 architectures each) or ``"proteins"`` (2,021).
        source (str, optional): Folder with ``nas_bench_graph_light.csv.gz``, also below ``dag/nas_bench_graph``: a
            table with columns dataset, key, link, ops, valid_perf, perf, latency and para_M. (default: the environment
            variable ``PLSTM_DATA``)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
    """

    folder = "nas_bench_graph"
    places = ("nas_bench_graph", "dag/nas_bench_graph")
    files: ClassVar[dict[str, str | None]] = {"nas_bench_graph_light.csv.gz": None}
    parts = ("all",)
    #: Operations, in the order of their types, from 2 on.
    operations = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")

    def __init__(
        self,
        root: str | Path = "datasets",
        name: str = "cora",
        source: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
    ) -> None:
        self.name = name
        super().__init__(root, "all", source, transform, pre_transform, name=name)

    def read(self) -> dict[str, list[Data]]:
        """Read the rows of a data set."""
        table = read_whole_table(self.raw_path("nas_bench_graph_light.csv.gz"), _NAS_COLUMNS)
        names = table.column("dataset")
        if self.name not in names:
            raise ValueError(f"name must be one of {', '.join(dict.fromkeys(names))}, got {self.name!r}")
        columns = [table.column(name) for name in _NAS_COLUMNS]
        rows = zip(table.lines, zip(*columns, strict=True), strict=True)
        graphs = []
        for line, cells in rows:
            values = dict(zip(_NAS_COLUMNS, cells, strict=True))
            if values["dataset"] == self.name:
                graphs.append(self._graph(values, f"{table.path}, line {line}"))
        return {"all": graphs}

    def _graph(self, values: dict[str, str], place: str) -> Data:
        link, operations = values["link"], values["ops"].split("-")
        inputs = [int(digit) for digit in link] if re.fullmatch("[0-9]+", link) else []
        unknown = [word for word in operations if word not in self.operations]
        if len(inputs) != len(operations) or unknown or any(read > node for node, read in enumerate(inputs)):
            raise ValueError(f"{place}: no architecture: {link} {values['ops']}")
        edges = [(read, node + 1) for node, read in enumerate(inputs)]
        output = len(inputs) + 1
        edges += [(node, output) for node in range(1, output) if node not in inputs]
        types = [0, *(2 + self.operations.index(word) for word in operations), 1]
        try:
            numbers = {name: float(values[name]) for name in ("valid_perf", "latency", "para_M", "perf")}
            key = torch.tensor([int(values["key"])])
        except (ValueError, RuntimeError) as error:  # of a key that no tensor holds
            raise ValueError(f"{place}: {error}") from error
        names = {"valid_perf": "valid_perf", "latency": "latency", "parameters": "para_M"}
        more = {name: torch.tensor([numbers[column]]) for name, column in names.items()}
        return typed_dag(types, edges, y=torch.tensor([[numbers["perf"]]]), key=key, **more)


def _enas(line: str, number: int, path: Path) -> Data:
    """The architecture of a line: ``[[op], [op, b0], [op, b0, b1], ...], accuracy``."""
    try:
        layers, accuracy = literal(line)
        types, edges = [0], []
        for node, (operation, *skips) in enumerate(layers, start=1):
            if not 0 <= operation < _OPERATIONS or len(skips) != node - 1 or set(skips) - {0, 1}:
                raise ValueError(f"layer {node} is {[operation, *skips]}")
            types.append(operation + 2)
            edges += [(read, node) for read, is_read in enumerate(skips) if is_read]
            edges.append((node - 1, node))
        if len(layers) != _LAYERS:
            raise ValueError(f"{len(layers)} layers, expected {_LAYERS}")
        target = torch.tensor([[float(accuracy)]])
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}, line {number}: no architecture: {error}") from error
    edges.append((len(layers), len(layers) + 1))
    return typed_dag([*types, 1], edges, y=target)
