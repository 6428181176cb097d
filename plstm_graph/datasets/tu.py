"""Graph classification sets of the TU Dortmund collection, through PyG's loader."""

import hashlib
import os
import re
import tempfile
import urllib.error
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch_geometric.data import Data, download_url
from torch_geometric.datasets import TUDataset
from torch_geometric.transforms import BaseTransform, Compose

from plstm_graph.datasets.files import replace_file
from plstm_graph.datasets.tensor_files import load_graphs


class TUGraphs(TUDataset):
    """A set of the `TU Dortmund collection <https://chrsmrrs.github.io/datasets>`_ with all its features.

    Node features are the set's continuous attributes, then its labels one-hot; a set without either gets a constant 1.
    Edge features likewise, and none if it has none. Sets that were processed with different transforms lie side by
    side.

    Args:
        root (str): Folder for downloaded and processed files.
        name (str): Name of the set, such as ``"MUTAG"``.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.
        source (str, optional): A folder that has ``NAME.zip`` or ``TU/NAME.zip``, instead of a download. (default: the
            environment variable ``PLSTM_DATA``, if set)

    Raises:
        FileNotFoundError: If the source has no such set, or the collection has none of that name.
        OSError: If the download fails, or the disk is full. Nothing half-written is left behind.
        ValueError: If the zip is damaged or holds another set, or its targets are not classes.
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
        self.source = source or os.environ.get("PLSTM_DATA") or None
        self._file = "data.pt"
        self._key = hashlib.sha256(describe_transform(pre_transform).encode()).hexdigest()[:16]
        steps = [_Featured()] if pre_transform is None else [_Featured(), pre_transform]
        self.name, self.cleaned = name, False
        # Not PyG's constructor of TU sets, which runs code that stored graphs may contain.
        super(TUDataset, self).__init__(root, pre_transform=Compose(steps))
        self.data, self.slices, more = load_graphs(self.processed_paths[0])
        self.sizes: dict[str, int] = dict(*more)
        if self._data.y is None or self._data.y.is_floating_point():
            raise ValueError(f"{name} has no classes of graphs, so it cannot be used for classification")

    @property
    def processed_dir(self) -> str:
        """Folder of the graphs of this set under this transform."""
        return str(Path(self.root) / self.name / f"processed-{self._key}")

    @property
    def processed_file_names(self) -> str:
        """The graphs; under a temporary name while they are written."""
        return self._file

    def download(self) -> None:
        """Unpack the zip, from the source or the collection. PyG calls this if the raw files are not there."""
        raw = Path(self.raw_dir)
        with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
            path = self._local_zip() if self.source else self._fetch(folder)
            files = _unpack(path, folder, self.name)
            for file in files:
                os.replace(file, raw / file.name)

    def process(self) -> None:
        """Read and transform the graphs. PyG calls this if the processed file is not there."""
        final = Path(self.processed_paths[0])

        def write(path: str) -> None:
            self._file = Path(path).name
            super(TUGraphs, self).process()

        try:
            replace_file(final, write)
        finally:
            self._file = final.name

    def _process(self) -> None:
        # PyG's own keeps two more files here, whose writing a crash or a second process can disturb. They guard
        # against another pre-transform, which the name of the folder does already.
        if not Path(self.processed_paths[0]).exists():
            self.process()

    def _download(self) -> None:
        raw = Path(self.raw_dir)
        try:
            super()._download()
        finally:
            # Folders that a failed download leaves empty.
            for folder in (raw, raw.parent):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def _local_zip(self) -> Path:
        folder = Path(str(self.source))
        for path in (folder / f"{self.name}.zip", folder / "TU" / f"{self.name}.zip"):
            if path.is_file():
                return path
        there = sorted({path.stem for path in [*folder.glob("*.zip"), *folder.glob("TU/*.zip")]})
        listed = f"it has {', '.join(there)}" if there else "it has no zips at all"
        raise FileNotFoundError(
            f"no {self.name}.zip or TU/{self.name}.zip in {folder} ({listed}). Unset PLSTM_DATA and data.source to "
            "download the set"
        )

    def _fetch(self, folder: str) -> Path:
        url = f"{self.url}/{self.name}.zip"
        try:
            return Path(download_url(url, folder, log=False))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(f"the TU collection has no set {self.name!r} ({url} is not there)") from error
            raise OSError(f"{url} could not be downloaded: {error}") from error
        except urllib.error.URLError as error:
            raise OSError(
                f"{url} could not be downloaded: {error.reason}. Without a network, put {self.name}.zip into a folder "
                "and name it by data.source or PLSTM_DATA"
            ) from error


class _Featured(BaseTransform):
    """Gives a constant feature to graphs that have none."""

    def forward(self, data: Data) -> Data:
        if data.x is None or data.x.size(1) == 0:
            data.x = torch.ones(int(data.num_nodes or 0), 1)
        if data.edge_attr is not None and data.edge_attr.size(1) == 0:
            data.edge_attr = None
        return data


def describe_transform(transform: Callable[[Data], Data] | None) -> str:
    """What a transform is, with all its settings; equal in every process for equal transforms.

    Args:
        transform: A transform whose settings are plain values or transforms.
    """
    if isinstance(transform, Compose):
        return f"[{', '.join(describe_transform(step) for step in transform.transforms)}]"
    if transform is None:
        return "None"
    settings = ", ".join(f"{name}={value!r}" for name, value in sorted(vars(transform).items()))
    return f"{type(transform).__module__}.{type(transform).__qualname__}({settings})"


def _unpack(path: Path, folder: str, name: str) -> list[Path]:
    """Unpack the text files of a set and return them in the order in which they are to be moved."""
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        size = path.stat().st_size
        raise ValueError(f"{path} is no zip file, or damaged or cut short ({size} bytes): {error}") from error
    files = list(Path(folder).rglob(f"{name}_*.txt"))
    # PyG takes the set as downloaded when these two are there, so they are moved last.
    required = [f"{name}_A.txt", f"{name}_graph_indicator.txt"]
    missing = set(required) - {file.name for file in files}
    if missing:
        raise ValueError(f"{path} does not hold the set {name}: {', '.join(sorted(missing))} is missing")
    return sorted(files, key=lambda file: file.name in required)
