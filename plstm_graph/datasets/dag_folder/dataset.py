"""PyG data sets of a folder of DAGs: in memory, and on disk for sets larger than that."""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, OnDiskDataset
from tqdm import tqdm

from plstm_graph.datasets.dag_folder.assemble import Dags
from plstm_graph.datasets.dag_folder.encoding import MASKS, Encoding, check_encoded, make_encoding, to_data
from plstm_graph.datasets.dag_folder.folder import FeatureFit, count_unseen, files_of, read_folder
from plstm_graph.datasets.dag_folder.pieces import read_pieces
from plstm_graph.datasets.dag_folder.problems import DAGFolderError
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.spec_file import read_spec
from plstm_graph.datasets.dag_folder.targets import (
    PARTS,
    ClassErrors,
    TargetFit,
    encode_targets,
    read_split,
    report_class_error,
    split_table,
)
from plstm_graph.datasets.folds import drawn_parts
from plstm_graph.datasets.storage.graph_cache import CachedGraphs, GraphCache, HeldFolder
from plstm_graph.datasets.storage.tensor_files import PlainGraphs, TensorFileError, load_graph, load_tensors, make_anew

# Part of the cache key; raise it when what is stored changes.
_FORMAT = 3
Transform = Callable[[Data], Data]


class _Folder(CachedGraphs):
    """What is made of a folder, and what is stored beside its graphs. Mixed into PyG's data sets."""

    folder: Path
    spec: Spec

    def _open_folder(self, root: str | Path, pre_transform: Transform | None, split: Mapping[str, Any] | None) -> None:
        self.folder = Path(root).expanduser()
        spec = read_spec(self.folder)
        self.spec = replace(spec, split=replace(spec.split, **split)) if split else spec
        options = [type(self).__name__, pre_transform, dict(split or {})]
        self._cache = GraphCache(self.folder, options, [_FORMAT])

    @functools.cached_property
    def encoding(self) -> Encoding:
        """Names of targets and classes, and how features are encoded."""
        return Encoding.load(Path(self.processed_dir) / "encoding.json")

    @functools.cached_property
    def split(self) -> dict[str, Tensor]:
        """Numbers of the graphs in ``"train"``, ``"valid"`` and ``"test"``; all of them in each where the targets of a
        graph are split, as ``train_mask``, ``val_mask`` and ``test_mask`` say."""
        remedy = make_anew(self.processed_dir)
        part = load_tensors(Path(self.processed_dir) / "split.pt", remedy)
        sizes = (0, len(self))  # type: ignore[arg-type]
        plain = isinstance(part, Tensor) and part.layout == torch.strided and part.dim() == 1
        if not plain or part.numel() not in sizes:
            raise TensorFileError(f"split.pt in {self.processed_dir} does not say the part of each graph; {remedy}")
        if part.numel() == 0:
            return dict.fromkeys(PARTS, torch.arange(len(self)))  # type: ignore[arg-type]
        return {name: (part == number).nonzero().view(-1) for number, name in enumerate(PARTS)}

    def _save_meta(self, encoding: Encoding, part: np.ndarray) -> None:
        encoding.save(Path(self.processed_dir) / "encoding.json")
        torch.save(torch.from_numpy(part), Path(self.processed_dir) / "split.pt")

    def _sources(self) -> list[Path]:
        return files_of(self.folder, self.spec)

    def _process(self) -> None:
        try:
            super()._process()
        except DAGFolderError as error:
            raise DAGFolderError(error.problems, self.folder) from error


class DAGFolder(_Folder, PlainGraphs):
    r"""The DAGs of a folder: an edge table, a node table, a graph table and a ``dag.yaml``, or JSON lines.

    ``docs/custom_dags.md`` describes the files. Each graph has ``x`` ``[N, F]``, ``edge_index`` ``[2, E]``,
    ``edge_attr`` ``[E, D]`` if edges have features, ``level`` ``[N]``, ``graph_id``, ``node_id`` and ``y``: ``[1, T]``
    for targets of graphs, ``[N, T]`` of nodes, ``[E, T]`` of edges, NaN where unknown; the number of the class for a
    classification. It is float32, or float64 for numbers whose differences float32 would lose, such as 1e8 + 1, + 2
    (``encoding.dtype``). Features that are numbers are standardised by the training part, missing ones become its mean
    and get a column of their own; categories are codes, 0 for missing ones and those that the training part does not
    have.

    The graphs are stored under ``processed`` in the folder, or in the user's cache if nobody may write there, and made
    anew when the content of a table or of ``dag.yaml`` changes.

    Args:
        root (str): The folder.
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored, for example
            :class:`~plstm_graph.transforms.ToDAG`.
        split (dict, optional): Values of ``split`` in ``dag.yaml`` that come in place of those there: ``group``,
            ``stratified``, ``num_folds``, ``fold``, ``seed``, ``fractions``, ``column``.

    Raises:
        FileNotFoundError: If there is no folder or no ``dag.yaml``.
        DAGFolderError: If anything is wrong; it lists everything that was found, as ``plstm-graph check`` does.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        split: Mapping[str, Any] | None = None,
    ) -> None:
        self._open_folder(root, pre_transform, split)
        super().__init__(str(root), transform, pre_transform)
        self.load(self.processed_paths[0])
        try:
            check_encoded(self._data, self.encoding)
        except ValueError as error:
            raise TensorFileError(
                f"the graphs in {self.processed_dir} cannot be used: {error}; {make_anew(self.processed_dir)}"
            ) from error

    @property
    def processed_file_names(self) -> list[str]:
        """The graphs."""
        return ["data.pt"]

    def process(self) -> None:
        """Read and store the graphs. PyG calls this if they are not stored yet."""
        content = read_folder(self.folder, self.spec)
        if content.problems:
            raise DAGFolderError(content.problems)
        targets = content.targets
        encoding = make_encoding(
            self.spec, targets.classes, targets.dtype, content.columns, content.left_out, content.mixed, content.unseen
        )
        by_graph = split_table(content.dags) == "graphs"
        self._save_meta(encoding, content.part if by_graph else np.zeros(0, dtype=np.int64))
        made = _transformed(to_data(content.dags, targets, content.part, encoding), self.pre_transform)
        total = content.dags.num_graphs
        graphs = list(tqdm(made, desc=self.folder.name, unit=" graphs", total=total, delay=2, disable=None))
        self.save(graphs, self.processed_paths[0])

    def part(self, name: str) -> "DAGFolder | list[Data]":
        """Graphs of ``"train"``, ``"valid"`` or ``"test"``; targets of other parts are NaN.

        Args:
            name: Of the part.
        """
        if MASKS[0] not in self._data:
            return self[self.split[name]]
        return [_mask(data, MASKS[PARTS.index(name)]) for data in self]


class OnDiskDAGFolder(_Folder, OnDiskDataset):
    """As :class:`DAGFolder`, for sets larger than memory: some graphs are read at a time, and stored in a database.

    The rows of a graph must stand together, and graphs in the same order in all tables; JSON lines are so by nature.

    Args:
        root (str): The folder.
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
        graphs_at_once (int): Number of graphs that are read at a time.

    Raises:
        DAGFolderError: If anything is wrong with the graphs that are read at a time; it names all of it.
        ValueError: If the targets of a graph are in different parts: such a set has few graphs, for
            :class:`DAGFolder`.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        graphs_at_once: int = 1000,
        split: Mapping[str, Any] | None = None,
    ) -> None:
        self._open_folder(root, pre_transform, split)
        if self.spec.split.group is not None or self.spec.split.stratified:
            raise ValueError(
                f"graphs of {self.folder} are read some at a time, so they cannot be grouped or stratified"
            )
        self._pre_transform, self._graphs_at_once = pre_transform, graphs_at_once
        schema: Any = {"dtype": torch.uint8, "size": (-1,)}
        super().__init__(str(root), transform, schema=schema, log=False)
        self._held = HeldFolder(self.processed_dir)

    def process(self) -> None:
        """Read the folder four times: for its size and classes, its features, unseen words, and its graphs."""
        # Files are closed whatever happens.
        with contextlib.ExitStack() as stack:
            self._process_pieces(
                lambda: stack.enter_context(
                    contextlib.closing(read_pieces(self.folder, self.spec, self._graphs_at_once))
                )
            )

    def _process_pieces(self, pieces: Callable[[], Iterator[Dags]]) -> None:
        found = TargetFit(self.spec)
        parts, total = [], 0
        for dags in pieces():
            if split_table(dags) != "graphs" and not self.spec.split.is_drawn:
                raise ValueError(f"{self.folder} splits the targets of each graph; use DAGFolder for such a set")
            found.update(dags)
            if not self.spec.split.is_drawn:
                parts.append(read_split(dags))
            total += dags.num_graphs
            self._check(dags)
        part = drawn_parts(self.spec.split, total) if self.spec.split.is_drawn else np.concatenate(parts)
        fit = FeatureFit(self.spec)
        for dags, begin in _with_begin(pieces()):
            fit.update(dags, part[begin : begin + dags.num_graphs])
            self._check(dags)
        try:
            classes, dtype = found.finish()
        except ClassErrors as error:
            for dags in pieces():
                for number, problem in error.errors.items():
                    report_class_error(dags, number, problem)
                self._check(dags)
            raise
        columns, left_out = fit.finish()
        unseen = count_unseen(
            columns, ((dags, part[begin : begin + dags.num_graphs]) for dags, begin in _with_begin(pieces()))
        )
        encoding = make_encoding(self.spec, classes, dtype, columns, left_out, fit.mixed, unseen)
        self._save_meta(encoding, part)
        for dags in tqdm(pieces(), desc=self.folder.name, unit=" pieces", delay=2, disable=None):
            targets = encode_targets(dags, classes, dtype)
            self._check(dags)
            self.extend(list(_transformed(to_data(dags, targets, None, encoding), self._pre_transform)))
        self.close()
        self._db = None

    def _check(self, dags: Dags) -> None:
        if dags.problems:
            raise DAGFolderError(dags.problems)

    def part(self, name: str) -> "OnDiskDAGFolder":
        """Graphs of ``"train"``, ``"valid"`` or ``"test"``."""
        return self[self.split[name]]

    def __getitems__(self, indices: list[int]) -> list[Data]:
        """Graphs of a part of the data set; PyG's own numbers them in the whole."""
        return self.multi_get([self.indices()[index] for index in indices])

    def serialize(self, data: Data) -> Tensor:
        """A graph as bytes."""
        buffer = io.BytesIO()
        torch.save(data.to_dict(), buffer)
        return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)

    def deserialize(self, data: Tensor) -> Data:
        """A graph of bytes."""
        name = f"a graph in {self.processed_dir}"
        return load_graph(data.numpy().tobytes(), name, make_anew(self.processed_dir))


def _transformed(graphs: Iterator[Data], transform: Transform | None) -> Iterator[Data]:
    return graphs if transform is None else map(transform, graphs)


def _mask(data: Data, name: str) -> Data:
    data = data.clone()
    data.y[~data[name]] = float("nan")
    return data


def _with_begin(pieces: Iterator[Dags]) -> Iterator[tuple[Dags, int]]:
    begin = 0
    for dags in pieces:
        yield dags, begin
        begin += dags.num_graphs
