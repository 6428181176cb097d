"""Graph classification sets of the TU Dortmund collection, through PyG's loader."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch_geometric.data import Data
from torch_geometric.datasets import TUDataset
from torch_geometric.transforms import BaseTransform, Compose

from plstm_graph.datasets.molecules.tu_files import REQUIRED, check_tu, unpack_tu
from plstm_graph.datasets.storage.checksums import record
from plstm_graph.datasets.storage.download import download, secure
from plstm_graph.datasets.storage.files import new_folder
from plstm_graph.datasets.storage.graph_cache import CachedGraphs, GraphCache
from plstm_graph.datasets.storage.sources import find_source, named_source
from plstm_graph.datasets.storage.tensor_files import load_graphs

# Part of the cache key; raise it when what is stored changes.
_FORMAT = 1


class TUGraphs(CachedGraphs, TUDataset):
    """A set of the `TU Dortmund collection <https://chrsmrrs.github.io/datasets>`_ with all its features.

    Node features are the set's continuous attributes, then its labels one-hot; a set without either gets a constant 1.
    Edge features likewise, and none if it has none. Sets that were processed with different transforms lie side by
    side.

    Args:
        root (str): Folder for downloaded and processed files.
        name (str): Name of the set, such as ``"MUTAG"``.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
        source (str, optional): A folder that has ``NAME.zip`` or ``TU/NAME.zip``, instead of a download. (default: the
            environment variable ``PLSTM_DATA``, else a download)

    Raises:
        FileNotFoundError: If the source has no such set, or the collection has none of that name.
        OSError: If the download fails, or the disk is full. Nothing half-written is left behind.
        ValueError: If the zip is damaged, holds another set or files that do not fit together, or its targets are not
            classes. Nothing of it stays, so a good zip can be put in its place.
    """

    def __init__(
        self,
        root: str,
        name: str,
        pre_transform: Callable[[Data], Data] | None = None,
        source: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
            raise ValueError(f"name must be that of a TU set, such as 'MUTAG', got {name!r}")
        self.source = source
        self._unpacked: Path | None = None
        self._cache = GraphCache(Path(root).expanduser() / name, [pre_transform], [_FORMAT])
        steps = [_Featured()] if pre_transform is None else [_Featured(), pre_transform]
        self.name, self.cleaned = name, False
        # Not PyG's constructor of TU sets, which runs code that stored graphs may contain.
        super(TUDataset, self).__init__(root, pre_transform=Compose(steps))
        self.data, self.slices, more = load_graphs(self.processed_paths[0])
        self.sizes: dict[str, int] = dict(*more)
        if self._data.y is None or self._data.y.is_floating_point():
            raise ValueError(f"{name} has no classes of graphs, so it cannot be used for classification")

    @property
    def raw_dir(self) -> str:
        """Folder of the text files; a temporary one until graphs could be made of them."""
        return str(self._unpacked or Path(self.root) / self.name / "raw")

    def _sources(self) -> list[Path]:
        raw = Path(self.raw_dir)
        files = {raw / f"{self.name}_{part}.txt" for part in REQUIRED}
        return sorted(files | set(raw.glob(f"{self.name}_*.txt")))

    def _download(self) -> None:
        # Raw files are got when graphs are made of them.
        pass

    @contextmanager
    def _raw_files(self) -> Iterator[None]:
        """Get the raw files if they are missing; they come to stay if the block ends without an error."""
        raw = Path(self.raw_dir)
        if all((raw / f"{self.name}_{part}.txt").is_file() for part in REQUIRED):
            try:
                check_tu(raw, self.name, str(raw))
                yield
            except ValueError as error:
                raise ValueError(f"{error}. Remove {raw} to unpack the set anew") from error
            return
        unknown = None
        is_new = not raw.parent.exists()
        try:
            with new_folder(raw) as self._unpacked:
                local = self._local_zip()
                if local is not None:
                    unpack_tu(local, self._unpacked, self.name)
                else:
                    path = self._unpacked / f"{self.name}.zip"
                    unknown = self._fetch(path)
                    unpack_tu(path, self._unpacked, self.name)
                    path.unlink()
                yield
        finally:
            self._unpacked = None
            if is_new and raw.parent.is_dir() and not any(raw.parent.iterdir()):
                raw.parent.rmdir()
        if unknown is not None:
            record(secure(f"{self.url}/{self.name}.zip"), unknown, self.root)

    def _local_zip(self) -> Path | None:
        file = f"{self.name}.zip"
        folder = find_source(
            self.source,
            ("", "TU"),
            lambda place: (place / file).is_file(),
            lambda base: (
                f"no {file} or TU/{file} in {base} ({_sets_in(base)}). Unset PLSTM_DATA and data.source to download "
                "the set"
            ),
        )
        return None if folder is None else folder / file

    def _fetch(self, path: Path) -> str | None:
        """Download the zip; returns what is to be recorded of it."""
        base = named_source(None)
        local = "" if base is None else f". {base}, which PLSTM_DATA names, does not have it ({_sets_in(base)})"
        try:
            return download(f"{self.url}/{self.name}.zip", path, self.root)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"the TU collection has no set {self.name!r}: {error}{local}") from error
        except ConnectionError as error:
            raise ConnectionError(
                f"{error}. Or put {self.name}.zip into a folder and name it by data.source or PLSTM_DATA{local}"
            ) from error


def _sets_in(folder: Path) -> str:
    there = sorted({path.stem for path in [*folder.glob("*.zip"), *folder.glob("TU/*.zip")]})
    return f"it has {', '.join(there)}" if there else "it has no zips at all"


class _Featured(BaseTransform):
    """Gives a constant feature to graphs that have none."""

    def forward(self, data: Data) -> Data:
        if data.x is None or data.x.size(1) == 0:
            data.x = torch.ones(int(data.num_nodes or 0), 1)
        if data.edge_attr is not None and data.edge_attr.size(1) == 0:
            data.edge_attr = None
        return data
