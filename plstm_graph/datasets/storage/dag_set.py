"""What the sets of real DAGs share: raw files found or downloaded, graphs stored whole, parts by name."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.storage.checksums import record
from plstm_graph.datasets.storage.download import download, secure
from plstm_graph.datasets.storage.files import write_errors
from plstm_graph.datasets.storage.graph_cache import CachedGraphs, GraphCache
from plstm_graph.datasets.storage.sources import find_source, named_source
from plstm_graph.datasets.storage.tensor_files import PlainGraphs
from plstm_graph.datasets.storage.unfinished import remove_leftovers, unfinished_path

# Part of the cache key; raise it when what is stored changes.
_FORMAT = 1


class DAGSet(CachedGraphs, PlainGraphs):
    """A set of real DAGs with named parts, made from raw files.

    Raw files lie in ``root/FOLDER/raw``. What is missing there is taken from ``source``, or downloaded where a public
    address is known, and stays there once graphs could be made of it; a damaged file does not. Each part is stored
    under ``root/FOLDER/processed``, in a folder of its own for each pre-transform with its arguments.

    Args:
        root (str): Folder of all data sets.
        split (str): Name of a part.
        source (str, optional): Folder with the raw files, or a folder above it. (default: the environment variable
            ``PLSTM_DATA``, else a download)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
        options: What else decides the graphs, for the name of the folder they are stored in.

    Raises:
        ValueError: If there is no such part, or a raw file is not what it should be; it names file and line.
        FileNotFoundError: If raw files are nowhere to be had.
        OSError: If a download fails.
    """

    #: Name of the folder of the set.
    folder: ClassVar[str]
    #: Folders below ``source`` in which raw files are looked for, beside ``source`` itself.
    places: ClassVar[Sequence[str]]
    #: Raw files and where they can be downloaded, None where they cannot.
    files: ClassVar[Mapping[str, str | None]]
    #: Names of the parts.
    parts: ClassVar[Sequence[str]]

    def __init__(
        self,
        root: str | Path = "datasets",
        split: str = "train",
        source: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        **options: Any,
    ) -> None:
        if split not in self.parts:
            raise ValueError(f"split must be one of {', '.join(self.parts)}, got {split!r}")
        self._source = source
        home = Path(root).expanduser() / self.folder
        self._cache = GraphCache(home, [options, pre_transform], [_FORMAT])
        self._fetched: dict[str, Path] = {}
        self._unknown: dict[str, str] = {}
        super().__init__(str(home), transform, pre_transform)
        self.load(self.processed_paths[self.parts.index(split)])

    def read(self) -> dict[str, list[Data]]:
        """Make the graphs of each part from the raw files."""
        raise NotImplementedError

    def raw_path(self, name: str) -> Path:
        """Where a raw file lies."""
        return self._fetched.get(name) or Path(self.raw_dir) / name

    @property
    def raw_file_names(self) -> list[str]:
        """The raw files."""
        return list(self.files)

    @property
    def processed_file_names(self) -> list[str]:
        """One file for each part."""
        return [f"{part}.pt" for part in self.parts]

    def process(self) -> None:
        """Make and store the graphs of all parts. PyG calls this if they are not stored yet."""
        for part, graphs in self.read().items():
            if not graphs:
                raise ValueError(f"the files in {self.raw_dir} have no graphs for the part {part!r}")
            if self.pre_transform is not None:
                graphs = [self.pre_transform(graph) for graph in graphs]
            self.save(graphs, str(Path(self.processed_dir) / f"{part}.pt"))

    def _download(self) -> None:
        # Raw files are got when graphs are made of them.
        pass

    def _sources(self) -> list[Path]:
        return [self.raw_path(name) for name in self.files]

    @contextmanager
    def _raw_files(self) -> Iterator[None]:
        """Get the raw files that are missing; they come to stay if the block ends without an error."""
        raw = Path(self.raw_dir)
        missing = [name for name in self.files if not (raw / name).is_file()]
        remove_leftovers(raw.parent)
        if not missing:
            try:
                yield
            except ValueError as error:
                raise ValueError(f"{error}. Remove {raw} to get its files anew") from error
            return
        root = Path(self.root)
        is_new, folder = not root.exists(), unfinished_path(raw)
        with write_errors(folder):
            folder.mkdir(parents=True)
        try:
            for name in missing:
                with write_errors(raw / name, full_only=True):
                    self._fetch(name, folder / name)
                self._fetched[name] = folder / name
            yield
            raw.mkdir(exist_ok=True)
            for name in missing:
                os.replace(folder / name, raw / name)
            for url, digest in self._unknown.items():
                record(url, digest, root.parent)
        finally:
            self._fetched = {}
            shutil.rmtree(folder, ignore_errors=True)
            for empty in (Path(self.processed_dir).parent, *([root] if is_new else [])):
                with suppress(OSError):  # it is not empty
                    empty.rmdir()

    def _fetch(self, name: str, path: Path) -> None:
        """Copy or download a raw file."""

        def missing(folder: Path | None) -> str:
            where = "" if folder is None else f" in {folder}"
            return f"no {name}{where}: name the folder that has it by source, or by PLSTM_DATA"

        folder = find_source(self._source, ("", *self.places), lambda place: (place / name).is_file(), missing)
        url = self.files[name]
        if folder is not None:
            shutil.copyfile(folder / name, path)
        elif url is not None:
            unknown = download(url, path, Path(self.root).parent)
            if unknown is not None:
                self._unknown[secure(url)] = unknown
        else:
            raise FileNotFoundError(missing(named_source(None)))


def typed_dag(types: Sequence[int], edges: Sequence[tuple[int, int]], **more: torch.Tensor) -> Data:
    """A DAG whose nodes have one category each: ``x`` ``[N, 1]`` int64, ``edge_index`` ``[2, E]``.

    Args:
        types: Category of each node.
        edges: Start and end of each edge.
        **more: Further attributes.
    """
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(x=torch.tensor(types).view(-1, 1), edge_index=edge_index, **more)
