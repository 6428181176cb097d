"""What the sets of real DAGs share: raw files found or downloaded, graphs stored whole, parts by name."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch_geometric.data import Data

from plstm_graph.datasets.cache import cache_key
from plstm_graph.datasets.files import new_folder, replace_file
from plstm_graph.datasets.tensor_files import PlainGraphs

# Part of the cache key; raise it when what is stored changes.
_FORMAT = 1
_TIMEOUT = 60.0  # seconds without an answer


class DAGSet(PlainGraphs):
    """A set of real DAGs with named parts, made from raw files.

    Raw files lie in ``root/FOLDER/raw``. What is missing there is taken from ``source``, or downloaded where a public
    address is known. Each part is stored under ``root/FOLDER/processed``, in a folder of its own for each
    pre-transform with its arguments.

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
        self._source = source if source is not None else os.environ.get("PLSTM_DATA") or None
        self._source_is_given = source is not None
        self._key = cache_key(_FORMAT, options, pre_transform)
        self._unfinished: Path | None = None
        super().__init__(str(Path(root).expanduser() / self.folder), transform, pre_transform)
        self.load(self.processed_paths[self.parts.index(split)])

    def read(self) -> dict[str, list[Data]]:
        """Make the graphs of each part from the raw files."""
        raise NotImplementedError

    def raw_path(self, name: str) -> Path:
        """Where a raw file lies."""
        return Path(self.raw_dir) / name

    @property
    def raw_file_names(self) -> list[str]:
        """The raw files."""
        return list(self.files)

    @property
    def processed_file_names(self) -> list[str]:
        """One file for each part."""
        return [f"{part}.pt" for part in self.parts]

    @property
    def processed_dir(self) -> str:
        """Folder of the graphs with this pre-transform."""
        return str(self._unfinished or Path(self.root) / "processed" / self._key)

    def download(self) -> None:
        """Get the raw files that are missing. PyG calls this."""
        for name, url in self.files.items():
            if self.raw_path(name).is_file():
                continue
            offline = self._find(name)
            if offline is not None:
                content = offline.read_bytes()
            elif url is not None and not self._source_is_given:
                content = _fetch(url)
            else:
                where = "" if self._source is None else f" in {self._source}"
                raise FileNotFoundError(f"no {name}{where}: name the folder that has it by source, or by PLSTM_DATA")
            _write(self.raw_path(name), content)

    def process(self) -> None:
        """Make and store the graphs of all parts. PyG calls this if they are not stored yet."""
        for part, graphs in self.read().items():
            if self.pre_transform is not None:
                graphs = [self.pre_transform(graph) for graph in graphs]
            self.save(graphs, str(Path(self.processed_dir) / f"{part}.pt"))

    def _process(self) -> None:
        folder = self.processed_dir
        if Path(folder).is_dir():
            return
        with new_folder(folder) as self._unfinished:
            self.process()
        self._unfinished = None

    def _find(self, name: str) -> Path | None:
        if self._source is None:
            return None
        base = Path(self._source).expanduser()
        found = [base / place / name for place in ("", *self.places) if (base / place / name).is_file()]
        return found[0] if found else None


def typed_dag(types: Sequence[int], edges: Sequence[tuple[int, int]], **more: torch.Tensor) -> Data:
    """A DAG whose nodes have one category each: ``x`` ``[N, 1]`` int64, ``edge_index`` ``[2, E]``.

    Args:
        types: Category of each node.
        edges: Start and end of each edge.
        **more: Further attributes.
    """
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(x=torch.tensor(types).view(-1, 1), edge_index=edge_index, **more)


def _write(path: Path, content: bytes) -> None:
    replace_file(path, lambda unfinished: Path(unfinished).write_bytes(content))


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            return answer.read()
    except urllib.error.URLError as error:
        raise ConnectionError(
            f"cannot download {url}: {error.reason}. Without a network, name a folder with an offline copy "
            "(source, or the environment variable PLSTM_DATA)"
        ) from error
