"""Peptides-func and Peptides-struct of the Long Range Graph Benchmark."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.datasets import LRGBDataset
from tqdm import tqdm

from plstm_graph.datasets.molecules.molecule import InvalidSmilesError, smiles_to_data
from plstm_graph.datasets.storage.checksums import record
from plstm_graph.datasets.storage.download import download, download_zip
from plstm_graph.datasets.storage.files import new_folder
from plstm_graph.datasets.storage.graph_cache import CachedGraphs, GraphCache
from plstm_graph.datasets.storage.plain_values import literal
from plstm_graph.datasets.storage.restricted_pickle import load_arrays
from plstm_graph.datasets.storage.sources import find_source
from plstm_graph.datasets.storage.tensor_files import PlainGraphs, load_tensors, make_anew, tensors_only
from plstm_graph.datasets.table import TableError, read_whole_table

#: Number of targets of each set.
PEPTIDES = {"Peptides-func": 10, "Peptides-struct": 11}
_TABLE = "peptide_multi_class_dataset.csv.gz"
_SPLIT = "splits_random_stratified_peptide.pickle"
# Where the authors of the benchmark have them.
_ADDRESSES = {
    _TABLE: f"https://www.dropbox.com/s/ol2v01usvaxbsr8/{_TABLE}?dl=1",
    _SPLIT: f"https://www.dropbox.com/s/j4zcnx2eipuo0xz/{_SPLIT}?dl=1",
}
_SUBSETS = ("train", "val", "test")
# Part of the cache key; raise it when what is stored changes.
_FORMAT = 1


class PeptidesDataset(CachedGraphs, PlainGraphs, LRGBDataset):
    r"""Peptides as molecular graphs of 151 atoms on average, by PyG's :class:`torch_geometric.datasets.LRGBDataset`.

    ``"Peptides-func"`` has ten labels of function (average precision), ``"Peptides-struct"`` eleven standardised
    measures of 3D structure (mean absolute error). Node and edge features are OGB's. Graphs are stored in a folder of
    their own for each pre-transform with its arguments.

    Args:
        root (str): Folder of all data sets.
        name (str): ``"Peptides-func"`` or ``"Peptides-struct"``.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: ``"train"``)
        source (str, optional): Folder, or folder with a folder ``peptides_func``, that holds the SMILES table
            ``peptide_multi_class_dataset.csv.gz`` and ``splits_random_stratified_peptide.pickle`` of Peptides-func.
            (default: the environment variable ``PLSTM_DATA``, else a download)
        transform (callable, optional): Applied to each graph at every access.
        pre_transform (callable, optional): Applied to each graph once, before it is stored.

    Raises:
        ValueError: If the name is another, or a file cannot be read.
        FileNotFoundError: If ``source`` does not hold the set.
        OSError: If a file is damaged or cannot be downloaded.
    """

    def __init__(
        self,
        root: str | Path,
        name: str,
        split: str = "train",
        source: str | Path | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
    ) -> None:
        if name not in PEPTIDES:
            raise ValueError(f"name must be one of {', '.join(PEPTIDES)}, got {name!r}")
        if split not in _SUBSETS:
            raise ValueError(f"split must be one of {', '.join(_SUBSETS)}, got {split!r}")
        root = Path(root).expanduser()
        self._cache = GraphCache(root / name.lower(), [pre_transform], [_FORMAT])
        self._source = _find_source(name, source)
        self._subset = split
        super().__init__(str(root), name, split, transform, pre_transform)

    @property
    def num_tasks(self) -> int:
        """Number of targets."""
        return {name.lower(): count for name, count in PEPTIDES.items()}[self.name]

    @property
    def smiles(self) -> list[str]:
        """The SMILES of each graph, from the table in ``source`` or the downloaded one.

        Raises:
            FileNotFoundError: If the set came without that table, as Peptides-struct does.
        """
        source = self._source or self._downloads
        if not (source / _TABLE).is_file():
            raise FileNotFoundError(
                f"the SMILES of {self.name} are in {_TABLE}, which did not come with it: give the folder that holds it "
                "as source"
            )
        smiles = read_whole_table(source / _TABLE).column("smiles")
        rows = _read_split(source / _SPLIT, len(smiles))[self._subset]
        return [smiles[int(rows[index])] for index in self.indices()]

    def download(self) -> None:
        """Fill the raw folder."""
        raw = Path(self.raw_dir)
        if raw.is_dir() and any(raw.iterdir()):
            missing = ", ".join(Path(path).name for path in self.raw_paths if not Path(path).is_file())
            raise FileNotFoundError(f"{raw} lacks {missing}; remove the folder to get the set anew")
        unknown = None
        with new_folder(raw) as folder:
            if self.name == "peptides-func":
                _convert(self._source or self._fetch_table(), folder)
            else:
                # The table is there too, but its split and scale would have to be made as PyG's files have them.
                url, root = self.urls[self.name], Path(self.root)
                unknown = download_zip(url, folder, self.dwnld_file_name[self.name], root)
                for subset in _SUBSETS:
                    load_tensors(folder / f"{subset}.pt", f"{url} has to be looked at")
        if unknown is not None:
            record(url, unknown, root)

    @property
    def _downloads(self) -> Path:
        return Path(self.root) / self.name / "source"

    def _fetch_table(self) -> Path:
        """Download the table of SMILES and the split of the benchmark's authors, unless they are there."""
        if not self._downloads.is_dir():
            with new_folder(self._downloads) as folder:
                for name, url in _ADDRESSES.items():
                    download(url, folder / name, self.root)
        return self._downloads

    def _download(self) -> None:
        # Raw files are got when graphs are made of them.
        pass

    def _sources(self) -> list[Path]:
        return [Path(path) for path in self.raw_paths]

    @contextmanager
    def _raw_files(self) -> Iterator[None]:
        if not all(path.is_file() for path in self._sources()):
            self.download()
        for path in self._sources():
            # PyG would fall back to running whatever code a file holds.
            load_tensors(path, make_anew(self.raw_dir))
        with tensors_only():
            yield


def _find_source(name: str, source: str | Path | None) -> Path | None:
    """The folder with the table of SMILES; of Peptides-struct there is no such table."""
    if name != "Peptides-func":
        if source is not None:
            raise ValueError(
                f"source has the table of Peptides-func only; {name} is downloaded, or put its raw files "
                f"({', '.join(f'{subset}.pt' for subset in _SUBSETS)}) into ROOT/{name.lower()}/raw"
            )
        return None
    return find_source(
        source,
        ("", "peptides_func"),
        lambda place: (place / _TABLE).is_file(),
        lambda base: f"neither {base} nor {base / 'peptides_func'} holds {_TABLE}",
    )


def _convert(source: Path, folder: Path) -> None:
    """Write the benchmark's raw files from the table of SMILES: a tuple of x, edge_attr, edge_index and y per graph."""
    table = read_whole_table(source / _TABLE, ("smiles", "labels"))
    smiles, labels = table.column("smiles"), table.column("labels")
    split = _read_split(source / _SPLIT, len(table))
    for subset, rows in split.items():
        graphs = [
            _convert_row(f"{table.path}, line {table.lines[row]}", smiles[row], labels[row])
            for row in tqdm(rows.tolist(), desc=f"Peptides-func {subset}", unit=" molecules", delay=2, disable=None)
        ]
        torch.save(graphs, folder / f"{subset}.pt")


def _convert_row(place: str, smiles: str, labels: str) -> tuple[Tensor, ...]:
    try:
        data = smiles_to_data(smiles)
        target = torch.tensor([literal(labels)], dtype=torch.float)
        if target.shape != (1, PEPTIDES["Peptides-func"]):
            raise ValueError(f"{target.numel()} labels instead of {PEPTIDES['Peptides-func']}")
    # Torch has several errors for nested values that are no row of numbers.
    except (InvalidSmilesError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise TableError(f"{place}: {error}") from error
    return data.x, data.edge_attr, data.edge_index, target


def _read_split(path: Path, num_rows: int) -> dict[str, Tensor]:
    content = load_arrays(path)
    if not isinstance(content, dict) or set(content) != set(_SUBSETS):
        raise ValueError(f"{path} is no dict of {', '.join(_SUBSETS)}")
    for subset, numbers in content.items():
        if not isinstance(numbers, list) and not (isinstance(numbers, np.ndarray) and numbers.dtype.kind in "iu"):
            raise ValueError(f"{path} has no numbers of rows for {subset}")
    try:
        split = {subset: torch.as_tensor(content[subset], dtype=torch.long).view(-1) for subset in _SUBSETS}
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{path} has no numbers of rows: {error}") from error
    rows = torch.cat(list(split.values()))
    if rows.min() < 0 or rows.max() >= num_rows or rows.unique().numel() != rows.numel():
        raise ValueError(f"{path} names rows twice, or outside of 0 to {num_rows - 1}")
    return split
